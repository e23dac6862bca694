//! The Lease as the core sees it: who is named, which version, for how long.

use std::time::Duration;

use crate::vip::MacAddr;

/// One request to an API server. Unique in the life of a process, so that a late answer is told
/// from the answer that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub u64);

/// Which state of which Lease object: both go into every PUT. Without the uid, a PUT would bring a
/// deleted Lease back to life.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
}

impl Version {
    /// Whether `self` is an earlier state of the same object than `other`.
    ///
    /// Resource versions of one object are decimal numbers that grow (KEP-5504). Where one does not
    /// read as a number, the answer is no: then any difference counts as news, which only makes a
    /// follower wait longer.
    #[must_use]
    pub fn is_before(&self, other: &Self) -> bool {
        let number = |version: &Self| version.resource_version.parse::<u128>().ok();
        self.uid == other.uid
            && matches!((number(self), number(other)), (Some(own), Some(than)) if own < than)
    }
}

/// Who the Lease names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A pintle gave it up in due form: no holder, and the published duration is zero. May be taken
    /// at once.
    Released,
    /// A holder that uses client-go gave it up (`LeaderElector.release`): no holder, and a short duration
    /// of its own, which is waited for, since kube-vip takes its address off after this write.
    Resigned,
    /// No holder, but not a release: somebody edited it. Waited for like a stranger.
    Vacant,
    /// The named node.
    Node(String),
}

/// A Lease object, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseView {
    /// Which state of which object this is.
    pub version: Version,
    /// Who it names.
    pub holder: Holder,
    /// The published duration: the annotation's when it repeats `renewTime`, else
    /// `leaseDurationSeconds`, else zero.
    pub duration: Duration,
    /// `pintle.dev/incarnation`: which boot of which machine wrote it.
    pub incarnation: Option<String>,
    /// `pintle.dev/mac`: where the holder had bound the VIP when it wrote this.
    pub mac: Option<MacAddr>,
    /// `spec.leaseTransitions`.
    pub transitions: i32,
    /// Which of this process's own writes this is the result of, recognised by its `renewTime`.
    pub write: Option<AttemptId>,
}

/// What a read or a watch showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// There is no such Lease.
    Absent,
    /// There is.
    Present(LeaseView),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(uid: &str, resource_version: &str) -> Version {
        Version { uid: uid.into(), resource_version: resource_version.into() }
    }

    #[test]
    fn only_an_earlier_state_of_the_same_object_is_before() {
        assert!(version("a", "9").is_before(&version("a", "10")));
        assert!(!version("a", "10").is_before(&version("a", "10")));
        assert!(!version("b", "9").is_before(&version("a", "10")), "another object");
        assert!(!version("a", "x").is_before(&version("a", "10")), "not a number");
    }
}
