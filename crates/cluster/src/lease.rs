//! The Lease on the wire: what pintle writes into one, and what it makes of one that it reads.
//!
//! Pure. Every text and number may come from a stranger's hand, so reading is lenient about what does
//! not matter, bounded in size, and never panics.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use pintle_core::{AttemptId, Holder, LeaseView, LeaseWrite, Version, WriteKind};
use serde::{Deserialize, Serialize};

pub(crate) const DURATION: &str = "pintle.dev/lease-duration";
pub(crate) const INCARNATION: &str = "pintle.dev/incarnation";
pub(crate) const MAC: &str = "pintle.dev/mac";
pub(crate) const VIPS: &str = "pintle.dev/vips";

/// A node's name is a DNS subdomain, at most this long (RFC 1123); incarnations are shorter.
const MAX_NAME: usize = 253;

/// A uid is 36 characters and a resourceVersion at most 20 digits; anything beyond this is no
/// Kubernetes object.
const MAX_VERSION_PART: usize = 256;

/// A Lease as JSON, with all that a write of ours must keep of another's.
///
/// Times are kept as text: a hand may have written a year that no library parses, and such a Lease
/// must still be readable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LeaseObject {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) metadata: Metadata,
    pub(crate) spec: Spec,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) uid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) resource_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner_references: Option<Vec<serde_json::Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finalizers: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Spec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) holder_identity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lease_duration_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) acquire_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) renew_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lease_transitions: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strategy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_holder: Option<String>,
}

/// What every Lease of this process says of its writer.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) node: String,
    pub(crate) incarnation: String,
    pub(crate) namespace: String,
    pub(crate) lease: String,
    /// The VIPs, with commas between them.
    pub(crate) vips: String,
}

/// The object has no uid or no resourceVersion, or they are absurd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotALease;

/// Makes the object to send. `seen` is the object of the very version that `write` replaces, if it is
/// remembered: what others put into it is kept.
pub(crate) fn encode(
    identity: &Identity,
    write: &LeaseWrite,
    seen: Option<&LeaseObject>,
    stamp: Timestamp,
) -> LeaseObject {
    let renew_time = micro_time(stamp);
    let mut object = seen.filter(|_| write.base.is_some()).cloned().unwrap_or_default();
    "coordination.k8s.io/v1".clone_into(&mut object.api_version);
    "Lease".clone_into(&mut object.kind);

    let metadata = &mut object.metadata;
    metadata.name.clone_from(&identity.lease);
    metadata.namespace.clone_from(&identity.namespace);
    let base = write.base.as_ref();
    metadata.uid = base.map_or_else(String::new, |base| base.uid.clone());
    metadata.resource_version = base.map_or_else(String::new, |base| base.resource_version.clone());
    let annotations = metadata.annotations.get_or_insert_default();
    let milliseconds = match write.kind {
        WriteKind::Acquire | WriteKind::Renew => write.duration.as_millis(),
        WriteKind::Release => 0,
    };
    annotations.insert(DURATION.into(), format!("{renew_time}/{milliseconds}"));
    annotations.insert(INCARNATION.into(), identity.incarnation.clone());
    annotations.insert(VIPS.into(), identity.vips.clone());
    match write.mac {
        Some(mac) => annotations.insert(MAC.into(), mac.to_string()),
        None => annotations.remove(MAC),
    };

    let spec = &mut object.spec;
    spec.holder_identity = Some(match write.kind {
        WriteKind::Acquire | WriteKind::Renew => identity.node.clone(),
        // What client-go writes on release, so that every server since 1.14 takes it.
        WriteKind::Release => String::new(),
    });
    spec.lease_duration_seconds = Some(whole_seconds(write.duration));
    spec.lease_transitions = Some(i64::from(write.transitions.max(0)));
    if write.kind == WriteKind::Acquire || spec.acquire_time.is_none() {
        spec.acquire_time = Some(renew_time.clone());
    }
    spec.renew_time = Some(renew_time);
    object
}

/// client-go's `LeaderElector.release` writes both times anew, and one second: no hand that empties
/// `holderIdentity` does.
fn is_resignation(spec: &Spec) -> bool {
    spec.lease_duration_seconds == Some(1)
        && spec.renew_time.is_some()
        && spec.renew_time == spec.acquire_time
}

/// Reads an object; `written` tells which own write a `renewTime` (in microseconds) belongs to.
pub(crate) fn decode(
    identity: &Identity,
    object: &LeaseObject,
    written: impl FnOnce(i64) -> Option<AttemptId>,
) -> Result<LeaseView, NotALease> {
    let spec = &object.spec;
    let published = published_duration(object);
    let holder = match spec.holder_identity.as_deref() {
        None | Some("") if published == Some(Duration::ZERO) => Holder::Released,
        None | Some("") if is_resignation(spec) => Holder::Resigned,
        None | Some("") => Holder::Vacant,
        Some(name) => Holder::Node(bounded(name)),
    };
    let incarnation = annotation(object, INCARNATION).map(bounded);
    let is_ours = incarnation.as_deref() == Some(identity.incarnation.as_str())
        && match &holder {
            Holder::Node(name) => *name == identity.node,
            Holder::Released => true,
            Holder::Resigned | Holder::Vacant => false,
        };
    let renewed_at = spec.renew_time.as_deref().and_then(instant_of);
    let in_seconds = || u64::try_from(spec.lease_duration_seconds.unwrap_or(0)).unwrap_or(0);
    Ok(LeaseView {
        version: version_of(object).ok_or(NotALease)?,
        holder,
        duration: published.unwrap_or_else(|| Duration::from_secs(in_seconds())),
        // Other clients keep annotations that they do not know: a stale one vouches for nobody.
        mac: published.and_then(|_| annotation(object, MAC)?.parse().ok()),
        transitions: i32::try_from(spec.lease_transitions.unwrap_or(0)).unwrap_or(i32::MAX),
        write: renewed_at.filter(|_| is_ours).and_then(|at| written(at.as_microsecond())),
        incarnation,
    })
}

/// Which state of which object this is.
pub(crate) fn version_of(object: &LeaseObject) -> Option<Version> {
    let part =
        |text: &String| (!text.is_empty() && text.len() <= MAX_VERSION_PART).then(|| text.clone());
    Some(Version {
        uid: part(&object.metadata.uid)?,
        resource_version: part(&object.metadata.resource_version)?,
    })
}

/// The annotation's duration, if it repeats `renewTime`: whoever else writes the Lease changes that
/// and leaves the annotation as it was.
fn published_duration(object: &LeaseObject) -> Option<Duration> {
    let (repeated, milliseconds) = annotation(object, DURATION)?.rsplit_once('/')?;
    let renew_time = object.spec.renew_time.as_deref()?;
    let is_repeated = repeated == renew_time
        || matches!((instant_of(repeated), instant_of(renew_time)), (Some(a), Some(b)) if a == b);
    is_repeated.then_some(())?;
    milliseconds.parse().ok().map(Duration::from_millis)
}

fn annotation<'a>(object: &'a LeaseObject, key: &str) -> Option<&'a str> {
    object.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// A name, cut where no valid one is that long. The mark at the end keeps a cut name from being equal
/// to a valid one.
fn bounded(name: &str) -> String {
    if name.len() <= MAX_NAME {
        return name.to_owned();
    }
    let kept: String = name.chars().take(MAX_NAME).collect();
    format!("{kept}…")
}

fn instant_of(text: &str) -> Option<Timestamp> {
    // The longest RFC 3339 text with nanoseconds and an offset has 35 characters.
    (text.len() <= 64).then(|| text.parse().ok()).flatten()
}

/// As `metav1.MicroTime` is written: six digits and a `Z`.
pub(crate) fn micro_time(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// Rounded up, and at least 1: the server refuses 0, and no follower may wait less than was meant.
fn whole_seconds(duration: Duration) -> i64 {
    let seconds = duration.as_millis().div_ceil(1000).max(1);
    i64::from(i32::try_from(seconds).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests;
