//! API servers as the core sees them: an identifier; and for the adapters an address, and the CA that
//! vouches for all of them.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;

/// Which API server. Ids are given out by the daemon and never reused for another address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub u16);

impl ServerId {
    /// The API server on this node.
    pub const LOCAL: Self = Self(0);
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::LOCAL { f.write_str("local") } else { write!(f, "peer-{}", self.0) }
    }
}

/// An API server and where it listens. Never the VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    /// Its identifier.
    pub id: ServerId,
    /// Its address and port.
    pub address: SocketAddr,
}

/// Where the cluster's API servers are, as its API says and said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Those of the last list, and those of the lists before it that are remembered: one that is away is taken
    /// out of the list and comes back.
    pub known: Vec<SocketAddr>,
    /// Those of the last list.
    pub listed: BTreeSet<SocketAddr>,
}

/// The cluster's CA certificates, DER: those of every credential that is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterCa {
    /// At least one, at most 16.
    pub certificates: Vec<Vec<u8>>,
}

// === impl Endpoints ===

impl Endpoints {
    /// Whether it left the list: it ends, or is no part of the control plane any more.
    #[must_use]
    pub fn has_left(&self, address: SocketAddr) -> bool {
        !self.listed.is_empty() && !self.listed.contains(&address)
    }
}
