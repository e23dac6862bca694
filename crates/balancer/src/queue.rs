//! What a socket has still to deliver. The crate's only `unsafe`: two ioctls that no safe wrapper offers.
#![expect(
    unsafe_code,
    reason = "SIOCOUTQ and SIOCOUTQNSD have no safe wrapper in rustix, nix or socket2"
)]

use std::ffi::c_int;
use std::io;
use std::os::fd::AsFd;

use rustix::ioctl::{Getter, Opcode, ioctl};

/// Bytes that were sent or are to be, and are not acknowledged (linux/sockios.h; x86, arm64).
const SIOCOUTQ: Opcode = 0x5411;
/// Those of them that were not sent yet.
const SIOCOUTQNSD: Opcode = 0x894B;

/// Bytes between a socket and its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Queue {
    /// Sent, and not acknowledged.
    pub(crate) in_flight: usize,
    /// Not sent: the peer's window, or the network, has no room.
    pub(crate) unsent: usize,
}

// === impl Queue ===

impl Queue {
    /// How it is now.
    pub(crate) fn of(socket: impl AsFd) -> io::Result<Self> {
        // SAFETY: both requests write one `int` where the argument points to and read nothing
        // (net/ipv4/tcp.c, `tcp_ioctl`; net/core/sock.c, `sock_ioctl_out`), and that is what this type says.
        let (all, unsent) = unsafe {
            let all = ioctl(socket.as_fd(), Getter::<SIOCOUTQ, c_int>::new())?;
            (all, ioctl(socket.as_fd(), Getter::<SIOCOUTQNSD, c_int>::new())?)
        };
        let unsent = usize::try_from(unsent).unwrap_or(0);
        let all = usize::try_from(all).unwrap_or(0);
        // Between the two, something may have been sent.
        Ok(Self { in_flight: all.saturating_sub(unsent), unsent })
    }

    /// The peer has everything.
    pub(crate) const fn is_empty(self) -> bool {
        self.in_flight == 0 && self.unsent == 0
    }

    /// The peer acknowledged all that was sent and has no room for more: it lives and does not read.
    pub(crate) const fn is_paused(self) -> bool {
        self.in_flight == 0 && self.unsent > 0
    }
}
