//! What a test asks of an etcd member: who leads, and to hand that over.
//!
//! It speaks etcd's own JSON gateway (`/v3/...`) in the member's namespace, so nothing but the
//! member's process is needed. Ids are 64 bits and travel as JSON strings.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use hyper::Method;
use serde_json::{Value, json};

use super::http::{Call, Endpoint};
use crate::netns::Namespace;

/// Where each member serves its own API server; each host's loopback is its own.
pub(super) const CLIENT_PORT: u16 = 2379;

/// Where the members talk to each other, on the hosts' addresses.
pub(super) const PEER_PORT: u16 = 2380;

/// A member answers its status from memory in well under a millisecond; one that is stopped never.
const STATUS_TIMEOUT: Duration = Duration::from_millis(500);

/// Moving the leader takes one message round; etcd itself gives up after an election timeout (1 s)
/// or so.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(5);

/// What a member says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MemberStatus {
    pub(super) member: String,
    /// `None` while it knows of no leader.
    pub(super) leader: Option<String>,
}

pub(super) fn member_status(namespace: &Namespace) -> anyhow::Result<MemberStatus> {
    let status = post(namespace, "/v3/maintenance/status", &json!({}), STATUS_TIMEOUT)?;
    let member = text(&status["header"]["member_id"]).context("no member_id in the status")?;
    // The gateway leaves out zeros: no leader is id 0.
    let leader = text(&status["leader"]).filter(|id| id != "0");
    Ok(MemberStatus { member, leader })
}

/// Asks the leader to hand over; any other member refuses.
pub(super) fn transfer_leader(namespace: &Namespace, target: &str) -> anyhow::Result<()> {
    let body = json!({ "targetID": target });
    post(namespace, "/v3/maintenance/transfer-leadership", &body, TRANSFER_TIMEOUT).map(drop)
}

fn post(
    namespace: &Namespace,
    path: &str,
    body: &Value,
    timeout: Duration,
) -> anyhow::Result<Value> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, CLIENT_PORT));
    Endpoint::new(namespace, address, None)
        .with_timeout(timeout)
        .call(Call { method: &Method::POST, path, body: Some(("application/json", body)) })?
        .into_success()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
