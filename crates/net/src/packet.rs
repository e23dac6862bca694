//! The crate's only `unsafe`: what link-layer sockets need and no safe wrapper offers.
#![allow(
    unsafe_code,
    reason = "sockaddr_ll, PACKET_ADD_MEMBERSHIP, a peer's pid that may be 0 and AsyncFd have no safe wrapper"
)]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use pintle_core::MacAddr;
use socket2::{Domain, SockAddr, SockAddrStorage, SockFilter, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// ARP.
pub(crate) const ETH_P_ARP: u16 = 0x0806;
/// IPv6.
pub(crate) const ETH_P_IPV6: u16 = 0x86dd;

/// Opens a non-blocking packet socket that hears what `filter` lets through of one protocol on one
/// link. Frames that this host sends are not heard: only taps of every protocol hear those.
pub(crate) fn open(index: u32, protocol: u16, filter: &[SockFilter]) -> io::Result<Socket> {
    // Protocol 0 receives nothing: no frame slips in before filter and link are set.
    let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking(), None)?;
    socket.attach_filter(filter)?;
    socket.bind(&link_layer_address(index, protocol)?)?;
    Ok(socket)
}

/// Makes the link take in frames to an Ethernet group, as long as the socket lives.
pub(crate) fn join(socket: &Socket, index: u32, group: MacAddr) -> io::Result<()> {
    let mut address = [0; 8];
    address[..6].copy_from_slice(&group.0);
    let request = libc::packet_mreq {
        mr_ifindex: i32::try_from(index).map_err(io::Error::other)?,
        mr_type: u16::try_from(libc::PACKET_MR_MULTICAST).map_err(io::Error::other)?,
        mr_alen: 6,
        mr_address: address,
    };
    // SAFETY: `request` lives through the call, which only reads it, and its true size is passed.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            (&raw const request).cast(),
            length_of::<libc::packet_mreq>(),
        )
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Registers a descriptor with the calling runtime, to be waited for until it is readable.
pub(crate) fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` names one and the same open descriptor until it is dropped, and `AsyncFd`
    // takes it out of the runtime before it drops it.
    let watched = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
    Ok(watched?)
}

/// The process at the other end of a connected unix socket; `None` when it lives in a pid namespace
/// that this one cannot see into (the kernel then says 0, which safe wrappers do not allow for).
pub(crate) fn peer_pid(socket: impl AsFd) -> io::Result<Option<u32>> {
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = length_of::<libc::ucred>();
    // SAFETY: both locals live through the call, `length` is the size of `credentials`, and the kernel
    // writes at most that many bytes of plain integers.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut length,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u32::try_from(credentials.pid).ok().filter(|pid| *pid != 0))
}

#[allow(clippy::cast_possible_truncation, reason = "the types passed are a few dozen bytes")]
const fn length_of<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}

fn link_layer_address(index: u32, protocol: u16) -> io::Result<SockAddr> {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` is plain integers, smaller than and no stricter aligned than
    // `sockaddr_storage`, so a zeroed storage is a valid one of it.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = u16::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = i32::try_from(index).map_err(io::Error::other)?;
    // SAFETY: the first bytes of `storage`, as many as are named, are the `sockaddr_ll` filled above.
    Ok(unsafe { SockAddr::new(storage, length_of::<libc::sockaddr_ll>()) })
}
