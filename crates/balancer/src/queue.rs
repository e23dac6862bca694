//! What a socket has still to deliver, and how often it asks for room. The crate's only `unsafe`: what the kernel
//! tells and no safe wrapper does.
#![expect(
    unsafe_code,
    reason = "SIOCOUTQ, SIOCOUTQNSD, TCP_INFO and TCP_RTO_MAX_MS have no safe wrapper in rustix or socket2"
)]

use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::time::Duration;

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
    /// Probes of a closed window since the peer was last heard.
    pub(crate) probes: u8,
}

/// A reader that lives answers the first.
const ENOUGH_PROBES: u8 = 3;

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
        let in_flight = all.saturating_sub(unsent);
        Ok(Self { in_flight, unsent, probes: unanswered_probes(socket.as_fd())? })
    }

    /// The peer has everything.
    pub(crate) const fn is_empty(self) -> bool {
        self.in_flight == 0 && self.unsent == 0
    }

    /// The peer acknowledged all that was sent, and says that it has no room for more: it lives and does not
    /// read.
    pub(crate) const fn is_paused(self) -> bool {
        self.in_flight == 0 && self.unsent > 0 && self.probes < ENOUGH_PROBES
    }
}

fn unanswered_probes(socket: BorrowedFd<'_>) -> io::Result<u8> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = socklen_of::<libc::tcp_info>();
    // SAFETY: the kernel writes at most `length` bytes, which is the size of what the pointer leads to.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: every field is a number, for which the zeros that were there before are as good a value.
    Ok(unsafe { info.assume_init() }.tcpi_probes)
}

/// Asks a reader that pauses at least so often; Linux 6.15 and newer, others ask every two minutes in the end.
pub(crate) fn limit_probe_interval(socket: impl AsFd, longest: Duration) {
    /// linux/tcp.h.
    const TCP_RTO_MAX_MS: c_int = 44;
    let milliseconds = c_int::try_from(longest.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: the option is an `int`, and that is what the pointer leads to and the length says.
    let _older = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            TCP_RTO_MAX_MS,
            (&raw const milliseconds).cast(),
            socklen_of::<c_int>(),
        )
    };
}

fn socklen_of<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).expect("a socket option is small")
}
