//! Keeps the chain up to date: looks at each file, and tries again what was refused.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::api::Api;
use crate::chain::{Chain, RECHECK_INTERVAL};
use crate::source::{Look, Snapshot, Source};

/// Files are compared by what `stat` says of them, so a look costs microseconds, but it wakes up
/// threads. While nothing works, what is looked for may be the file that `kubeadm init` writes.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// While a credential works, a renewed one may come late by this much of its year.
const SERVED_LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Looks at one place of the chain for ever. A disk that hangs stops this task and no other: its one
/// look blocks a thread of the blocking pool, and no second one starts meanwhile.
///
/// # Cancel safety
/// Dropping it leaves the look to end by itself; what it found is lost.
pub(crate) async fn keep_looking(chain: Arc<Chain>, place: usize, source: Source) {
    let mut snapshot = Snapshot::default();
    loop {
        let source = source.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let look = source.look(&mut snapshot);
            (look, snapshot)
        });
        let Ok((look, after)) = looking.await else {
            // The runtime is ending.
            return;
        };
        snapshot = after;
        if let Look::New(found) = look {
            chain.replace(place, found.map(|credential| *credential));
        }
        sleep(if chain.is_served() { SERVED_LOOK_INTERVAL } else { LOOK_INTERVAL }).await;
    }
}

/// Tries refused credentials again, so that a later one is dropped as soon as an earlier one works.
/// Runs for ever; cancel-safe.
pub(crate) async fn keep_trying(api: Arc<Api>) {
    loop {
        sleep(RECHECK_INTERVAL).await;
        for candidate in api.chain.due() {
            for server in api.servers() {
                let tried = api.try_credential(server.address, &candidate).await;
                // Whoever decided, decided for all; only one that could not is not asked alone.
                if tried.is_ok() || tried.is_err_and(|failure| !failure.is_api_loss()) {
                    break;
                }
            }
        }
    }
}

/// Drops connections that nobody will use again. Runs for ever; cancel-safe.
pub(crate) async fn keep_clean(api: Arc<Api>) {
    let mut servers = api.servers.clone();
    let mut changes = api.chain.changes();
    loop {
        let changed = tokio::select! {
            changed = servers.changed() => changed.is_ok(),
            changed = changes.changed() => changed.is_ok(),
        };
        let addresses: Vec<_> = api.servers().iter().map(|server| server.address).collect();
        let serials = api.chain.serials();
        for transport in [&api.lease_transport, &api.aside.transport] {
            transport.retain(|server, credential| {
                addresses.contains(&server) && serials.contains(&credential)
            });
        }
        if !changed {
            return;
        }
    }
}
