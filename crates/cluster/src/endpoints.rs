//! Where the API servers are: the EndpointSlices of the Service `kubernetes`, remembered while no API
//! server answers.

pub(crate) mod memory;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::client::Body;
use pintle_core::{Endpoints, LeaseFailure};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use self::memory::Memory;
use crate::api::{ATTEMPT_TIMEOUT, Api, get, parse};
use crate::aside::Aside;
use crate::rarely::Trouble;
use crate::watcher::Frames;

const PATH: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices\
                    ?labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes";

/// The server ends the watch then, and the slices are listed afresh. A server that hangs ends nothing, and its kernel
/// keeps the connection alive: so long its silence is taken for a list that does not change.
const WATCH_SECONDS: u32 = 10;
const WATCH_TIMEOUT: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 1);

/// After a failure. An outage's end is to be seen soon, and asking costs a server that is down nothing.
pub(crate) const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// A change comes in several steps; the list is asked for after the last of them, and within the second in
/// which the balancer is to follow it.
pub(crate) const SETTLE_TIME: Duration = Duration::from_millis(200);

/// A watch that ended at once was refused, or its server ends.
const SHORT_WATCH: Duration = Duration::from_secs(1);

/// A list, as far as it is needed.
#[derive(Debug, Deserialize)]
pub(crate) struct Slices {
    pub(crate) metadata: ListMeta,
    pub(crate) items: Vec<EndpointSlice>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListMeta {
    pub(crate) resource_version: String,
}

/// What is news; a bookmark is not, nor is an error.
const CHANGES: [&str; 3] = ["ADDED", "MODIFIED", "DELETED"];

/// A watch's line; the object is not looked at, the list is asked again.
#[derive(Debug, Deserialize)]
struct Change {
    #[serde(rename = "type")]
    kind: String,
}

/// Publishes the addresses; runs for ever. Cancel-safe.
pub(crate) async fn run(
    api: Arc<Api>,
    vips: BTreeSet<IpAddr>,
    endpoints: watch::Sender<Endpoints>,
) {
    let mut memory = Memory::default();
    let refused = Trouble::default();
    let mut place = 0_usize;
    let mut backoff = FIRST_BACKOFF;
    loop {
        let servers = api.servers();
        let server = servers[place % servers.len()].address;
        match list(&api.aside, server).await {
            Ok(slices) => {
                backoff = FIRST_BACKOFF;
                if refused.is_over() {
                    tracing::info!("Allowed to list EndpointSlices");
                }
                let mut found = addresses(&slices.items);
                found.retain(|address| !vips.contains(&address.ip()));
                memory.learn(found, Instant::now());
                endpoints.send_if_modified(|published| {
                    let latest = memory.endpoints();
                    let is_new = *published != latest;
                    *published = latest;
                    is_new
                });
                wait_for_change(&api.aside, server, &slices.metadata.resource_version).await;
                sleep(SETTLE_TIME).await;
            }
            Err(failure) => {
                if failure == LeaseFailure::Forbidden && refused.is_due() {
                    tracing::info!(
                        "Not allowed to list EndpointSlices in namespace default: the API servers of other nodes are not known"
                    );
                }
                place = place.wrapping_add(1);
                sleep(backoff).await;
                backoff = (backoff * 2).min(MAX_BACKOFF);
            }
        }
    }
}

pub(crate) async fn list(aside: &Aside, server: SocketAddr) -> Result<Slices, LeaseFailure> {
    let asking = async { parse(aside.send(server, get(PATH.into())).await?).await };
    timeout(ATTEMPT_TIMEOUT, asking).await.unwrap_or(Err(LeaseFailure::Timeout))
}

/// Returns when something changed, or the watch ended.
pub(crate) async fn wait_for_change(aside: &Aside, server: SocketAddr, version: &str) {
    // It comes from a server and goes into a URL.
    if !version.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return sleep(MAX_BACKOFF).await;
    }
    let path =
        format!("{PATH}&watch=true&resourceVersion={version}&timeoutSeconds={WATCH_SECONDS}");
    let Ok(response) = aside.send(server, get(path)).await else {
        return sleep(FIRST_BACKOFF).await;
    };
    let began = Instant::now();
    let is_changed = watch_until_change(response.into_body(), server).await;
    if !is_changed && began.elapsed() < SHORT_WATCH {
        sleep(FIRST_BACKOFF).await;
    }
}

/// Whether something changed before it ended.
async fn watch_until_change(body: Body, server: SocketAddr) -> bool {
    let mut frames = Frames::new(body);
    let changes = async {
        while let Some(line) = frames.next().await {
            let change: Result<Change, _> = serde_json::from_slice(&line);
            if change.is_ok_and(|change| CHANGES.contains(&change.kind.as_str())) {
                return true;
            }
        }
        false
    };
    timeout(WATCH_TIMEOUT, changes).await.unwrap_or_else(|_| {
        tracing::debug!(%server, "The watch on the endpoints was not ended by its server");
        false
    })
}

/// Every address with the port named `https`, ready or not: whether it can be used is found out by
/// using it.
pub(crate) fn addresses(slices: &[EndpointSlice]) -> BTreeSet<SocketAddr> {
    let mut found = BTreeSet::new();
    for slice in slices {
        let ports = slice.ports.iter().flatten();
        let https = ports.filter(|port| port.name.as_deref() == Some("https"));
        for port in https.filter_map(|port| u16::try_from(port.port?).ok()) {
            for endpoint in &slice.endpoints {
                let parsed = endpoint.addresses.iter().filter_map(|text| text.parse().ok());
                found.extend(parsed.map(|ip: IpAddr| SocketAddr::new(ip, port)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
