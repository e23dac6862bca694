//! The crate's only `unsafe`: link-layer sockets and a scheduling class, which have no safe wrapper.
//!
//! Nothing else is allowed in here: what `rustix`, `socket2` or std can do safely is done with them.
#![allow(
    unsafe_code,
    reason = "sockaddr_ll, SCM_TIMESTAMPNS, PACKET_STATISTICS and SCHED_RR have no safe wrapper"
)]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use socket2::{Domain, SockAddr, SockAddrStorage, SockFilter, Socket, Type};

/// Every protocol, and (unlike a single one) also the frames that this host sends: `dev.c`,
/// `dev_queue_xmit_nit` walks only the taps of `ETH_P_ALL`.
pub(crate) const ETH_P_ALL: u16 = 0x0003;
/// ARP.
pub(crate) const ETH_P_ARP: u16 = 0x0806;
/// IPv6.
pub(crate) const ETH_P_IPV6: u16 = 0x86dd;

/// Room for the frames of a few seconds while the reader is not scheduled; each costs the kernel
/// under 1 KiB.
const RECEIVE_BUFFER: usize = 4 << 20;

/// How long [`PacketSocket::receive`] waits: the bound on how late a reader sees that it shall end.
const RECEIVE_TIMEOUT: Duration = Duration::from_millis(20);

/// A raw `AF_PACKET` socket bound to one interface of the namespace it was opened in.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    socket: Socket,
}

/// What is known of a frame beside its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    /// Bytes written to the buffer.
    pub(crate) len: usize,
    /// Sent by this host, not received by it.
    pub(crate) outgoing: bool,
    /// When the kernel saw it.
    pub(crate) at: Instant,
}

/// Room for one `SCM_TIMESTAMPNS` message, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control([u8; 64]);

// === impl PacketSocket ===

impl PacketSocket {
    /// Opens a socket on `interface` of the calling thread's namespace; frames that `filter`
    /// refuses never reach it.
    pub(crate) fn open(interface: &str, protocol: u16, filter: &[SockFilter]) -> io::Result<Self> {
        let index = rustix::net::netdevice::name_to_index(
            rustix::net::socket(
                rustix::net::AddressFamily::INET,
                rustix::net::SocketType::DGRAM,
                None,
            )?,
            interface,
        )?;
        // Protocol 0 receives nothing: no frame slips in before filter and interface are set.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        if !filter.is_empty() {
            socket.attach_filter(filter)?;
        }
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.set_read_timeout(Some(RECEIVE_TIMEOUT))?;
        enable_time_stamps(&socket)?;
        socket.bind(&link_layer_address(index, protocol)?)?;
        Ok(Self { socket })
    }

    /// Sends one whole Ethernet frame.
    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.socket.send(frame).map(|_sent| ())
    }

    /// Waits up to 20 ms for a frame; `None` when there was none.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        match receive_message(&self.socket, buffer) {
            Ok(received) => Ok(Some(received)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// How many frames the kernel dropped since the last call because nobody read them in time.
    pub(crate) fn take_dropped(&self) -> io::Result<u32> {
        let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut len = socket_len::<libc::tpacket_stats>();
        // SAFETY: `statistics` and `len` live through the call, `len` is the size of `statistics`,
        // and the kernel writes at most that many bytes of plain integers.
        let answer = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut statistics).cast(),
                &raw mut len,
            )
        };
        if answer != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(statistics.tp_drops)
    }
}

/// Puts the calling thread ahead of every ordinary one of the machine (`SCHED_RR`, lowest level).
/// Its children threads begin as ordinary ones again.
pub(crate) fn run_ahead_of_others() -> io::Result<()> {
    let lowest = libc::sched_param { sched_priority: 1 };
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: `lowest` lives through the call, which only reads it; 0 is the calling thread.
    let answer = unsafe { libc::sched_setscheduler(0, policy, &raw const lowest) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The size of a type as the socket calls want it.
#[allow(clippy::cast_possible_truncation, reason = "the types passed are a few dozen bytes")]
const fn socket_len<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}

/// The address that binds a packet socket to an interface and a protocol.
fn link_layer_address(index: u32, protocol: u16) -> io::Result<SockAddr> {
    let index = i32::try_from(index).map_err(io::Error::other)?;
    let family = u16::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` is plain integers, smaller than and no stricter aligned than
    // `sockaddr_storage`, so a zeroed storage is a valid one of it.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = family;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = index;
    let len = socket_len::<libc::sockaddr_ll>();
    // SAFETY: the first `len` bytes of `storage` are the `sockaddr_ll` filled in above.
    Ok(unsafe { SockAddr::new(storage, len) })
}

/// Asks for the kernel's time of each frame: a reader that is scheduled late still knows it.
fn enable_time_stamps(socket: &Socket) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: `on` lives through the call and its size is what is passed.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            (&raw const on).cast(),
            socket_len::<libc::c_int>(),
        )
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `recvmsg` with the sender's address and the time stamp.
fn receive_message(socket: &Socket, buffer: &mut [u8]) -> io::Result<Received> {
    let mut from = MaybeUninit::<libc::sockaddr_ll>::zeroed();
    let mut control = Control([0; 64]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: `msghdr` is plain integers and pointers; all zero is a valid value of it.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_name = from.as_mut_ptr().cast();
    message.msg_namelen = socket_len::<libc::sockaddr_ll>();
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>();
    // SAFETY: every pointer in `message` is to a live local or to `buffer`, with its true length.
    let len = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
    let len = usize::try_from(len).map_err(|_negative| io::Error::last_os_error())?;
    // SAFETY: zeroed before the call, and plain integers: valid whatever the kernel wrote.
    let from = unsafe { from.assume_init() };
    Ok(Received {
        len,
        outgoing: from.sll_pkttype == libc::PACKET_OUTGOING,
        at: time_stamp(&message).map_or_else(Instant::now, instant_of),
    })
}

/// The `SCM_TIMESTAMPNS` of a received message: wall-clock time since 1970.
fn time_stamp(message: &libc::msghdr) -> Option<Duration> {
    // SAFETY: `message` was filled in by `recvmsg`, its control buffer is alive in the caller, and
    // the macro reads only inside `msg_controllen`.
    let header = unsafe { libc::CMSG_FIRSTHDR(message) };
    if header.is_null() {
        return None;
    }
    // SAFETY: not null, so it points to a whole header inside the control buffer.
    let (level, kind) = unsafe { ((*header).cmsg_level, (*header).cmsg_type) };
    if (level, kind) != (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
        return None;
    }
    // SAFETY: the kernel puts one `timespec` behind a header of this level and type; the read does
    // not assume its alignment.
    let stamp = unsafe { libc::CMSG_DATA(header).cast::<libc::timespec>().read_unaligned() };
    Some(Duration::new(u64::try_from(stamp.tv_sec).ok()?, u32::try_from(stamp.tv_nsec).ok()?))
}

/// Places a wall-clock stamp on the monotonic clock by its age. A stamp from the future (the wall
/// clock was stepped back in between) counts as "just now".
fn instant_of(stamp: Duration) -> Instant {
    let (now, wall) = both_clocks();
    now.checked_sub(wall.saturating_sub(stamp)).unwrap_or(now)
}

/// The two clocks at the same time: read again (a few times at most) when the thread was preempted
/// between them, since that would shift every stamp by as much.
fn both_clocks() -> (Instant, Duration) {
    /// Two reads take under a microsecond.
    const TOGETHER: Duration = Duration::from_micros(50);
    let read = || {
        let now = Instant::now();
        (now, SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    };
    let mut clocks = read();
    for _again in 0..3 {
        if clocks.0.elapsed() < TOGETHER {
            break;
        }
        clocks = read();
    }
    clocks
}
