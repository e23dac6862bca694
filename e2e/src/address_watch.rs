//! When an address appeared on a host and when it went, to the millisecond, as the kernel tells it.
//!
//! `ip -j` is asked too rarely to time an address that is back within 20 ms. This is what
//! `ip monitor address` does, read by a parser of its own: it shares nothing with the product's.
//! It never changes an address.

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use pintle_testkit::netns::Namespace;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};

/// `RTMGRP_IPV4_IFADDR` of linux/rtnetlink.h.
const GROUP_IPV4_ADDRESSES: u32 = 0x10;
/// `RTM_NEWADDR` and `RTM_DELADDR`.
const NEW_ADDRESS: u16 = 20;
const DELETED_ADDRESS: u16 = 21;
/// `IFA_LOCAL` of linux/if_addr.h.
const LOCAL: u16 = 2;
/// Lengths of `nlmsghdr`, `ifaddrmsg` and `rtattr`.
const HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ATTRIBUTE_HEADER: usize = 4;

/// How late the end of a watch is noticed.
const STOP_INTERVAL: Duration = Duration::from_millis(50);

/// Changes kept: an address that flaps faster than 1000 times in a run has failed long before.
const MAX_CHANGES: usize = 1000;

/// An address that came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// When the kernel's message was read.
    pub at: Instant,
    /// Whether it is there from then on.
    pub is_present: bool,
}

/// A running watch; it ends when dropped.
#[derive(Debug)]
pub struct AddressWatch {
    changes: Arc<Mutex<Vec<Change>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

// === impl AddressWatch ===

impl AddressWatch {
    /// Watches `address` in a namespace, from before it returns.
    ///
    /// # Errors
    /// When the socket cannot be opened.
    pub fn start(namespace: &Namespace, address: Ipv4Addr) -> Result<Self> {
        let socket = namespace.run_in(subscribe)?.context("subscribe to the kernel's addresses")?;
        let (changes, stop) = (Arc::<Mutex<Vec<Change>>>::default(), Arc::<AtomicBool>::default());
        let (sink, stopped) = (Arc::clone(&changes), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("address-watch".to_owned())
            .spawn(move || read_from(&socket, address, &sink, &stopped))?;
        Ok(Self { changes, stop, thread: Some(thread) })
    }

    /// What changed so far. A lifetime set anew is no change.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When the address went, first of all at or after `from`.
    #[must_use]
    pub fn gone_after(&self, from: Instant) -> Option<Instant> {
        let changes = self.changes();
        changes.iter().find(|it| it.at >= from && !it.is_present).map(|it| it.at)
    }

    /// How long it was gone, the first time after `from`; `None` when it did not go, or did not
    /// come back.
    #[must_use]
    pub fn first_absence_after(&self, from: Instant) -> Option<Duration> {
        let gone = self.gone_after(from)?;
        let changes = self.changes();
        let back = changes.iter().find(|it| it.at >= gone && it.is_present)?;
        Some(back.at.saturating_duration_since(gone))
    }

    /// Ends the watch.
    ///
    /// # Errors
    /// When the kernel's messages could not be read to the end.
    pub fn stop(mut self) -> Result<Vec<Change>> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_panic| anyhow::anyhow!("the address watch panicked"))??;
        }
        Ok(self.changes())
    }
}

impl Drop for AddressWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn subscribe() -> rustix::io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        // 0 is NETLINK_ROUTE.
        None,
    )?;
    set_socket_timeout(&socket, Timeout::Recv, Some(STOP_INTERVAL))?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, GROUP_IPV4_ADDRESSES))?;
    Ok(socket)
}

fn read_from(
    socket: &OwnedFd,
    address: Ipv4Addr,
    sink: &Mutex<Vec<Change>>,
    stop: &AtomicBool,
) -> Result<()> {
    // One page holds any burst of address messages that the kernel sends at once.
    let mut buffer = [0_u8; 8192];
    while !stop.load(Ordering::Relaxed) {
        let length = match rustix::net::recv(socket, &mut buffer, RecvFlags::empty()) {
            Ok((length, _whole)) => length,
            Err(Errno::AGAIN | Errno::INTR) => continue,
            Err(error) => return Err(error).context("read the kernel's addresses"),
        };
        let at = Instant::now();
        let mut changes = sink.lock().unwrap_or_else(PoisonError::into_inner);
        for is_present in about(&buffer[..length], address) {
            let is_news = changes.last().is_none_or(|last| last.is_present != is_present);
            if is_news && changes.len() < MAX_CHANGES {
                changes.push(Change { at, is_present });
            }
        }
    }
    Ok(())
}

/// What a datagram of netlink messages says of an address: there, or gone, each time.
fn about(mut datagram: &[u8], address: Ipv4Addr) -> Vec<bool> {
    let mut said = Vec::new();
    while let Some(length) = u32_at(datagram, 0).and_then(|length| usize::try_from(length).ok()) {
        let Some(message) = datagram.get(HEADER..length) else {
            break;
        };
        let kind = u16_at(datagram, 4);
        if local_address(message) == Some(address) {
            said.extend(kind.and_then(|kind| match kind {
                NEW_ADDRESS => Some(true),
                DELETED_ADDRESS => Some(false),
                _ => None,
            }));
        }
        datagram = datagram.get(aligned(length)..).unwrap_or_default();
    }
    said
}

fn local_address(message: &[u8]) -> Option<Ipv4Addr> {
    let mut attributes = message.get(ADDRESS_HEADER..)?;
    loop {
        let length = usize::from(u16_at(attributes, 0)?);
        let value = attributes.get(ATTRIBUTE_HEADER..length)?;
        if u16_at(attributes, 2)? == LOCAL {
            return <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from);
        }
        attributes = attributes.get(aligned(length)..)?;
    }
}

const fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    bytes.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);

    /// A message about an address, with one attribute before it.
    fn message(kind: u16, address: Ipv4Addr) -> Vec<u8> {
        let mut bytes = 40_u32.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10 + ADDRESS_HEADER]);
        for (attribute, value) in [(1_u16, [9, 9, 9, 9]), (LOCAL, address.octets())] {
            bytes.extend(8_u16.to_ne_bytes());
            bytes.extend(attribute.to_ne_bytes());
            bytes.extend(value);
        }
        bytes
    }

    #[test]
    fn reads_each_message_about_the_address_and_no_other() {
        let other = Ipv4Addr::new(192, 0, 2, 11);
        let datagram =
            [message(NEW_ADDRESS, other), message(DELETED_ADDRESS, VIP), message(NEW_ADDRESS, VIP)]
                .concat();
        assert_eq!(about(&datagram, VIP), [false, true]);
    }

    #[test]
    fn garbage_says_nothing() {
        assert!(about(&[0; 64], VIP).is_empty());
        assert!(about(&[0xff; 64], VIP).is_empty());
        let whole = message(NEW_ADDRESS, VIP);
        for length in 0..whole.len() {
            assert!(about(&whole[..length], VIP).is_empty(), "cut to {length}");
        }
    }
}
