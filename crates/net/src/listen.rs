//! The segment: link-layer sockets on the VIP's link, to announce, to probe, and to hear others.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use pintle_core::{MacAddr, Vip};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::frame::{self, Form, Heard};
use crate::{filter, packet};

/// Frames read per wake-up: a flood must not keep the loop from its timers. What is left is read in
/// the next round.
const MAX_READS: usize = 64;

/// One end of the segment.
#[derive(Debug)]
pub(crate) struct Segment {
    index: u32,
    mac: MacAddr,
    /// One socket per VIP: at most one per family.
    ears: Vec<Ear>,
}

#[derive(Debug)]
struct Ear {
    vip: Vip,
    socket: AsyncFd<OwnedFd>,
}

// === impl Segment ===

impl Segment {
    /// Opens the sockets for `vips` on a link.
    ///
    /// # Errors
    /// `EPERM` without NET_RAW; `ENXIO` or `ENODEV` when the link is gone.
    pub(crate) fn open(index: u32, mac: MacAddr, vips: &[Vip]) -> io::Result<Self> {
        let ears = vips.iter().map(|vip| Ear::open(index, *vip)).collect::<io::Result<_>>()?;
        Ok(Self { index, mac, ears })
    }

    pub(crate) const fn index(&self) -> u32 {
        self.index
    }

    pub(crate) const fn mac(&self) -> MacAddr {
        self.mac
    }

    /// The link got another hardware address.
    pub(crate) const fn set_mac(&mut self, mac: MacAddr) {
        self.mac = mac;
    }

    /// Announces a VIP in every form; `sent` is told each form that left.
    pub(crate) fn announce(&self, vip: Vip, mut sent: impl FnMut(Form)) -> io::Result<()> {
        for (form, frame) in frame::announcements(vip, self.mac) {
            self.send(vip, &frame)?;
            sent(form);
        }
        Ok(())
    }

    /// Asks the segment who has a VIP.
    pub(crate) fn probe(&self, vip: Vip) -> io::Result<()> {
        self.send(vip, &frame::probe(vip, self.mac))
    }

    fn send(&self, vip: Vip, frame: &[u8]) -> io::Result<()> {
        let ear = self.ears.iter().find(|ear| ear.vip == vip);
        let ear = ear.ok_or_else(|| io::Error::other("not one of the configured VIPs"))?;
        send(ear.socket.get_ref(), frame, SendFlags::DONTWAIT)?;
        Ok(())
    }

    /// Waits until there may be something to hear.
    ///
    /// # Cancel safety
    /// Nothing is read here.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        let waits = self.ears.iter().map(|ear| Box::pin(ear.socket.ready(Interest::READABLE)));
        let mut waits: Vec<_> = waits.collect();
        std::future::poll_fn(|cx| {
            for wait in &mut waits {
                if let std::task::Poll::Ready(ready) = wait.as_mut().poll(cx) {
                    return std::task::Poll::Ready(ready.map(|mut guard| guard.clear_ready()));
                }
            }
            std::task::Poll::Pending
        })
        .await
    }

    /// Reads what was heard about the VIPs, without waiting; true when there may be more.
    pub(crate) fn drain(&self, mut heard: impl FnMut(Vip, Heard)) -> bool {
        let mut has_more = false;
        for ear in &self.ears {
            has_more |= ear.drain(&mut heard);
        }
        has_more
    }
}

// === impl Ear ===

impl Ear {
    fn open(index: u32, vip: Vip) -> io::Result<Self> {
        let socket = match vip.0 {
            IpAddr::V4(address) => packet::open(index, packet::ETH_P_ARP, &filter::arp(address))?,
            IpAddr::V6(address) => {
                let socket = packet::open(index, packet::ETH_P_IPV6, &filter::ndp(address))?;
                // Unbound, the kernel is not in the VIP's group: others' solicitations would be missed.
                packet::join(&socket, index, frame::solicited_node_mac(address))?;
                socket
            }
        };
        Ok(Self { vip, socket: packet::watch(socket.into())? })
    }

    fn drain(&self, heard: &mut impl FnMut(Vip, Heard)) -> bool {
        let mut buffer = [0; filter::SNAP_LENGTH as usize];
        for _ in 0..MAX_READS {
            match recv(self.socket.get_ref(), &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    let frame = buffer.get(..length).and_then(frame::parse);
                    if let Some(frame) = frame.filter(|frame| frame.address == self.vip.0) {
                        heard(self.vip, frame);
                    }
                }
                // The link was set down: the socket says so once and goes on afterwards.
                Err(rustix::io::Errno::NETDOWN) => {}
                // Nothing left, or the link is gone, which the monitor reports too.
                Err(_) => return false,
            }
        }
        true
    }
}
