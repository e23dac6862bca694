//! Joins what the cluster says of its API servers with what net says of this host, and tells cluster,
//! probe and the machine. One task; cancel-safe, since it holds nothing but the table.

use std::net::IpAddr;

use pintle_core::{Endpoints, Event, Server, ServerId};
use tokio::sync::{mpsc, watch};

use crate::outputs::set;
use crate::servers::ServerTable;

/// Follows both sources until one of them ends.
pub(crate) async fn follow(
    mut table: ServerTable,
    mut endpoints: watch::Receiver<Endpoints>,
    mut host: watch::Receiver<Vec<IpAddr>>,
    servers: watch::Sender<Vec<Server>>,
    events: mpsc::Sender<Event>,
) {
    let mut told = Endpoints::default();
    loop {
        let latest = endpoints.borrow_and_update().clone();
        let list = table.list(&latest.known, &host.borrow_and_update());
        let is_new = set(&servers, list.clone());
        // The loop also looks at who has left the cluster's list and is remembered.
        if is_new || latest.listed != told.listed {
            let ids: Vec<ServerId> = list.iter().skip(1).map(|server| server.id).collect();
            tracing::debug!(?list, "API servers");
            if events.send(Event::ServersLearnt(ids)).await.is_err() {
                return;
            }
        }
        told = latest;
        let changed = tokio::select! {
            changed = endpoints.changed() => changed,
            changed = host.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[tokio::test]
    async fn a_new_endpoint_reaches_everybody() {
        let local: SocketAddr = "127.0.0.1:6443".parse().unwrap();
        let table = ServerTable::new(local, Vec::new(), Vec::new());
        let (learnt, endpoints) = watch::channel(Endpoints::default());
        let (_host, addresses) = watch::channel(Vec::new());
        let first = vec![Server { id: ServerId::LOCAL, address: local }];
        let (servers, mut list) = watch::channel(first);
        let (events, mut heard) = mpsc::channel(4);
        tokio::spawn(follow(table, endpoints, addresses, servers, events));
        let peer: SocketAddr = "172.30.0.12:6443".parse().unwrap();
        learnt.send_replace(Endpoints { known: vec![peer], listed: [peer].into() });
        assert_eq!(heard.recv().await, Some(Event::ServersLearnt(vec![ServerId(1)])));
        assert_eq!(list.borrow_and_update().len(), 2);
        // Also that it is remembered only.
        learnt.send_replace(Endpoints { known: vec![peer], listed: [local].into() });
        assert_eq!(heard.recv().await, Some(Event::ServersLearnt(vec![ServerId(1)])));
    }
}
