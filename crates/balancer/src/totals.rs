//! What is counted: atomics that sessions add to, read at each scrape.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Why a backend was given up for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectFailure {
    /// It refused, or another error of the network.
    Refused,
    /// No connection in time.
    Timeout,
    /// It was connected to and ended before it had answered.
    Closed,
    /// It was connected to and did not answer in time.
    Silent,
}

/// How often a backend was given up for a connection, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectFailures {
    /// It refused, or another error of the network.
    pub refused: u64,
    /// No connection in time.
    pub timeout: u64,
    /// It was connected to and ended before it had answered.
    pub closed: u64,
    /// It was connected to and did not answer in time.
    pub silent: u64,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// Both sides had said all they had to say.
    Ended,
    /// One of them broke it off.
    Broken,
    /// No backend could be reached, or answered.
    NoBackend,
    /// The client said nothing, or not enough to be answered.
    Handshake,
    /// One side had ended, and the other went on without a byte.
    HalfClosed,
    /// The backend is gone.
    BackendDown,
    /// Another backend has fewer.
    Shed,
    /// The address that the client connected to is another host's now.
    VipLeft,
    /// There was no room.
    Full,
}

macro_rules! counted {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// What was counted since start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Totals { $($(#[$doc])* pub $name: u64),+ }

        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: AtomicU64),+ }

        impl Counters {
            pub(crate) fn totals(&self) -> Totals {
                Totals { $($name: self.$name.load(Relaxed)),+ }
            }
        }
    };
}

counted! {
    /// Connections that wait for an answer or copy.
    open,
    /// Bytes from clients to backends.
    bytes_in,
    /// Bytes from backends to clients.
    bytes_out,
    /// Sessions that ended because both sides had said all.
    closed_ended,
    /// Because one of them broke it off.
    closed_broken,
    /// Because no backend could be reached, or answered.
    closed_no_backend,
    /// Because the client said nothing, or not enough to be answered.
    closed_handshake,
    /// Because one side had ended and the other went on without a byte.
    closed_half_closed,
    /// Because the backend is gone.
    closed_backend_down,
    /// Because another backend has fewer.
    closed_shed,
    /// Because the VIP left this host.
    closed_vip_left,
    /// Because there was no room.
    closed_full,
}

// === impl ConnectFailures ===

impl ConnectFailures {
    pub(crate) const fn count(&mut self, failure: ConnectFailure) {
        let counter = match failure {
            ConnectFailure::Refused => &mut self.refused,
            ConnectFailure::Timeout => &mut self.timeout,
            ConnectFailure::Closed => &mut self.closed,
            ConnectFailure::Silent => &mut self.silent,
        };
        *counter += 1;
    }
}

// === impl Counters ===

impl Counters {
    pub(crate) fn closed(&self, reason: CloseReason) {
        let counter = match reason {
            CloseReason::Ended => &self.closed_ended,
            CloseReason::Broken => &self.closed_broken,
            CloseReason::NoBackend => &self.closed_no_backend,
            CloseReason::Handshake => &self.closed_handshake,
            CloseReason::HalfClosed => &self.closed_half_closed,
            CloseReason::BackendDown => &self.closed_backend_down,
            CloseReason::Shed => &self.closed_shed,
            CloseReason::VipLeft => &self.closed_vip_left,
            CloseReason::Full => &self.closed_full,
        };
        counter.fetch_add(1, Relaxed);
    }
}
