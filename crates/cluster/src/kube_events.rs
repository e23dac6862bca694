//! Kubernetes Events on the Lease, for `kubectl describe`. Best effort: nothing waits for one, and
//! what cannot be posted is dropped.

use std::sync::Arc;

use hyper::Method;
use jiff::Timestamp;
use pintle_core::LeaseFailure;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::api::Api;
use crate::clock::Stamps;
use crate::lease::{Identity, micro_time};
use crate::rarely::Rarely;
use crate::transport::Ask;
use crate::{EventKind, KubeEvent};

/// So many may wait: a minute of transitions faster than any that can happen.
pub(crate) const QUEUE: usize = 32;

/// The API server's limits for an Event's note and for the name of who reports it, in bytes.
const MAX_NOTE: usize = 1024;
const MAX_INSTANCE: usize = 128;

/// Every server is asked once at most.
const MAX_TRIES: usize = 3;

/// Posts what comes; runs until the sender is gone. Cancel-safe: at worst an Event is lost.
pub(crate) async fn run(api: Arc<Api>, mut queue: mpsc::Receiver<KubeEvent>) {
    let forbidden = Rarely::default();
    let mut stamps = Stamps::default();
    while let Some(event) = queue.recv().await {
        let body = object(api.ledger.identity(), api.ledger.uid(), &event, stamps.next());
        let failure = post(&api, &body).await.err();
        match failure {
            None => {}
            Some(LeaseFailure::Forbidden) if forbidden.is_due() => {
                tracing::info!("Not allowed to create Events: they appear in this log only");
            }
            Some(failure) => {
                tracing::debug!(
                    failure = failure.label(),
                    reason = event.reason,
                    "An Event was not posted"
                );
            }
        }
    }
}

async fn post(api: &Api, body: &Value) -> Result<(), LeaseFailure> {
    let namespace = &api.ledger.identity().namespace;
    let ask = Ask {
        method: Method::POST,
        path: format!("/api/v1/namespaces/{namespace}/events"),
        body: body.to_string().into_bytes(),
    };
    let mut failure = LeaseFailure::Refused;
    for server in api.servers().iter().take(MAX_TRIES) {
        match api.aside.send(server.address, ask.clone()).await {
            // What another server was too slow to confirm is there: the name is the same.
            Ok(_) | Err(LeaseFailure::Conflict) => return Ok(()),
            Err(last) if last.is_api_loss() => failure = last,
            Err(last) => return Err(last),
        }
    }
    Err(failure)
}

/// `uid` is the Lease's: `kubectl describe` shows only what names it.
fn object(identity: &Identity, uid: Option<String>, event: &KubeEvent, at: Timestamp) -> Value {
    let Identity { node, namespace, lease, .. } = identity;
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "namespace": namespace,
            // Unique per process by the stamp, across nodes by the name: as client-go does it.
            "name": format!("{lease}.{node}.{:x}", at.as_microsecond()),
        },
        "involvedObject": {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "namespace": namespace,
            "name": lease,
            "uid": uid.unwrap_or_default(),
        },
        "reason": event.reason,
        "message": cut(&event.note, MAX_NOTE),
        "type": match event.kind { EventKind::Normal => "Normal", EventKind::Warning => "Warning" },
        "action": event.reason,
        "eventTime": micro_time(at),
        "reportingComponent": "pintle",
        "reportingInstance": cut(node, MAX_INSTANCE),
    })
}

/// The longest beginning of at most `max` bytes.
fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_note_is_cut_between_characters() {
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("", 2), "");
    }
}
