//! The fake control plane: one Lease behind several API servers, with compare-and-swap as the real
//! one does it (uid and resourceVersion; a create of what exists is a conflict).

use std::time::Duration;

use pintle_core::{
    AttemptId, Holder, LeaseAnswer, LeaseFailure, LeaseView, LeaseWrite, MacAddr, Observed,
    Version, WriteKind,
};

/// How an API server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// Answers.
    Up,
    /// Takes connections and says nothing.
    Hung,
    /// Refuses connections.
    Down,
    /// Answers 5xx.
    Failing,
}

/// Who wrote: a process on a node, and which of its attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writer {
    /// The node.
    pub node: usize,
    /// Which process of the node: a restart does not know its predecessor's attempts.
    pub process: u64,
    /// The attempt.
    pub attempt: AttemptId,
}

/// The stored Lease.
#[derive(Clone, Debug)]
pub struct Lease {
    uid: u64,
    revision: u64,
    /// The holder's name; empty for none.
    pub holder: String,
    /// A release in due form.
    pub released: bool,
    /// The published duration.
    pub duration: Duration,
    /// The writer's incarnation.
    pub incarnation: Option<String>,
    mac: Option<MacAddr>,
    transitions: i32,
    writer: Option<Writer>,
}

/// The store and its servers.
#[derive(Clone, Debug)]
pub struct Api {
    /// One a node.
    pub servers: Vec<ServerState>,
    /// Whether etcd can write.
    pub quorum: bool,
    lease: Option<Lease>,
    revision: u64,
}

impl Api {
    /// `servers` servers, all up, and no Lease.
    #[must_use]
    pub fn new(servers: usize) -> Self {
        Self { servers: vec![ServerState::Up; servers], quorum: true, lease: None, revision: 1 }
    }

    /// What is stored.
    #[must_use]
    pub const fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// What a read shows to a process.
    #[must_use]
    pub fn observe(&self, node: usize, process: u64) -> Observed {
        self.lease.as_ref().map_or(Observed::Absent, |lease| {
            Observed::Present(LeaseView {
                version: Version {
                    uid: lease.uid.to_string(),
                    resource_version: lease.revision.to_string(),
                },
                holder: match (lease.holder.as_str(), lease.released) {
                    ("", true) => Holder::Released,
                    ("", false) => Holder::Vacant,
                    (name, _) => Holder::Node(name.to_owned()),
                },
                duration: lease.duration,
                incarnation: lease.incarnation.clone(),
                mac: lease.mac,
                transitions: lease.transitions,
                write: lease
                    .writer
                    .filter(|writer| writer.node == node && writer.process == process)
                    .map(|writer| writer.attempt),
            })
        })
    }

    /// Carries out a write; true in the second place when the Lease changed.
    pub fn write(
        &mut self,
        writer: Writer,
        name: &str,
        incarnation: &str,
        write: &LeaseWrite,
    ) -> (LeaseAnswer, bool) {
        let base = self.lease.as_ref().map(|lease| (lease.uid, lease.revision));
        let wanted = write.base.as_ref().map(|version| {
            (version.uid.parse().unwrap_or(0), version.resource_version.parse().unwrap_or(0))
        });
        match (base, wanted) {
            (None, Some(_)) => return (LeaseAnswer::Failed(LeaseFailure::NotFound), false),
            (base, wanted) if base != wanted => {
                return (LeaseAnswer::Failed(LeaseFailure::Conflict), false);
            }
            _ => {}
        }
        self.revision += 1;
        let is_release = write.kind == WriteKind::Release;
        self.lease = Some(Lease {
            uid: base.map_or(self.revision, |(uid, _)| uid),
            revision: self.revision,
            holder: if is_release { String::new() } else { name.to_owned() },
            released: is_release,
            duration: write.duration,
            incarnation: Some(incarnation.to_owned()),
            mac: write.mac,
            transitions: write.transitions,
            writer: Some(writer),
        });
        match self.observe(writer.node, writer.process) {
            Observed::Present(view) => (LeaseAnswer::Written(view), true),
            Observed::Absent => (LeaseAnswer::Failed(LeaseFailure::NotFound), true),
        }
    }

    /// Somebody deletes the Lease.
    pub fn delete(&mut self) {
        self.revision += 1;
        self.lease = None;
    }

    /// Somebody edits the Lease.
    pub fn edit(&mut self, change: impl FnOnce(&mut Lease)) {
        self.revision += 1;
        let revision = self.revision;
        if let Some(lease) = &mut self.lease {
            change(lease);
            lease.revision = revision;
        }
    }
}
