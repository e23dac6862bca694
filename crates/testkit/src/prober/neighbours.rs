//! Who has the VIP? Asked on the wire, because the kernel's neighbour cache would answer only once.
//!
//! The questions come from a machine that does not exist: a MAC and addresses of the prober's own. If
//! they came from the client's, its kernel would take each answer into its neighbour cache, and a move
//! that was never announced would look healed to the TCP connects after 5 ms. The frames are built
//! here and read by [`crate::capture`]'s parser; neither shares code with the product.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::sync::watch;

use super::holders::{Announcement, AnnouncementForm, Sighting};
use super::timeline::Timeline;
use crate::capture::frame::checksum;
use crate::capture::{Ethernet, Frame, Mac, SNAP_LEN, filter};
use crate::netns::{INTERFACE, Namespace};
use crate::sys::{ETH_P_ARP, ETH_P_IPV6, PacketSocket};

/// Who asks: locally administered, "probe". The switch learns it on the client's port, and the
/// client's kernel drops what is sent to it (`PACKET_OTHERHOST`) after packet sockets have seen it.
const ASKER_MAC: Mac = Mac([0x02, b'p', b'r', b'o', b'b', b'e']);
/// Between the hosts and the client.
const ASKER_V4: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 99);
/// The same for IPv6.
const ASKER_V6: Ipv6Addr = Ipv6Addr::new(0xfd30, 0, 0, 0, 0, 0, 0, 0x99);

/// As fine as the TCP connects.
const ARP_INTERVAL: Duration = Duration::from_millis(5);
/// Solicitations go to a multicast group and cost every member more than a broadcast ARP.
const SOLICIT_INTERVAL: Duration = Duration::from_millis(10);
/// Answers come within a millisecond; a busy machine gets ten.
const LAST_ANSWERS: Duration = Duration::from_millis(10);

/// Sends the questions.
#[derive(Debug)]
pub(super) struct Ask {
    socket: PacketSocket,
    question: Vec<u8>,
    interval: Duration,
}

/// Hears the answers, and what is announced without a question.
#[derive(Debug)]
pub(super) struct Hear {
    socket: PacketSocket,
    vip: IpAddr,
}

/// What a frame says about the VIP.
#[derive(Debug, PartialEq, Eq)]
enum Claim {
    Answer(Mac),
    Announcement(Mac, AnnouncementForm),
}

/// Opens both sockets in `client`, before the first question is sent.
pub(super) fn open(client: &Namespace, vip: IpAddr) -> Result<(Ask, Hear)> {
    let (protocol, question, interval) = match vip {
        IpAddr::V4(vip) => (ETH_P_ARP, arp_request(vip), ARP_INTERVAL),
        IpAddr::V6(vip) => (ETH_P_IPV6, solicitation(vip), SOLICIT_INTERVAL),
    };
    let (socket, ears) = client
        .run_in(|| {
            let ears = PacketSocket::open(INTERFACE, protocol, &filter::addresses_and_tcp(None))?;
            std::io::Result::Ok((PacketSocket::open(INTERFACE, 0, &[])?, ears))
        })?
        .with_context(|| format!("open packet sockets in {client}"))?;
    Ok((Ask { socket, question, interval }, Hear { socket: ears, vip }))
}

// === impl Ask ===

impl Ask {
    pub(super) fn run(&self, stop: &watch::Receiver<bool>) -> Result<()> {
        let mut next = Instant::now();
        while !*stop.borrow() {
            // A link that is down refuses the frame: the silence is recorded by itself.
            let _refused = self.socket.send(&self.question);
            next = (next + self.interval).max(Instant::now());
            sleep(next.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }
}

// === impl Hear ===

impl Hear {
    pub(super) fn run(&self, timeline: &Timeline, stop: &watch::Receiver<bool>) -> Result<()> {
        let mut buffer = [0; SNAP_LEN];
        let mut end = None;
        loop {
            if *stop.borrow() {
                end.get_or_insert_with(|| Instant::now() + LAST_ANSWERS);
            }
            match self.socket.receive(&mut buffer) {
                Ok(Some(received)) if end.is_some_and(|end| received.at > end) => break,
                Ok(Some(received)) => {
                    let frame = Ethernet::parse(&buffer[..received.len]);
                    self.record(timeline, received.at, frame.as_ref());
                }
                Ok(None) if end.is_some() => break,
                Ok(None) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => {}
                Err(error) => return Err(error).context("hear who has the VIP"),
            }
        }
        let dropped = self.socket.take_dropped().context("ask for lost frames")?;
        ensure!(dropped == 0, "{dropped} frames were lost: the machine is too busy for the prober");
        Ok(())
    }

    fn record(&self, timeline: &Timeline, at: Instant, frame: Option<&Ethernet>) {
        match frame.and_then(|frame| claim(frame, self.vip)) {
            Some(Claim::Answer(mac)) => timeline.answer(Sighting { at, mac }),
            Some(Claim::Announcement(mac, form)) => {
                timeline.announcement(Announcement { at, mac, form });
            }
            None => {}
        }
    }
}

/// What a frame says about who has `vip`.
fn claim(ethernet: &Ethernet, vip: IpAddr) -> Option<Claim> {
    match &ethernet.frame {
        Frame::Arp { op, sha, spa, tpa, .. } if IpAddr::V4(*spa) == vip => {
            let is_to_all = ethernet.destination == Mac::BROADCAST;
            match op {
                2 if !is_to_all && tpa != spa => Some(Claim::Answer(*sha)),
                2 => Some(Claim::Announcement(*sha, AnnouncementForm::ArpReply)),
                1 if tpa == spa => Some(Claim::Announcement(*sha, AnnouncementForm::ArpRequest)),
                _ => None,
            }
        }
        Frame::NeighborAdvert { target, solicited, lladdr, .. } if IpAddr::V6(*target) == vip => {
            let mac = lladdr.unwrap_or(ethernet.source);
            Some(if *solicited {
                Claim::Answer(mac)
            } else {
                Claim::Announcement(mac, AnnouncementForm::NeighborAdvert)
            })
        }
        _ => None,
    }
}

/// RFC 826.
fn arp_request(vip: Ipv4Addr) -> Vec<u8> {
    let mut frame = ethernet_header(Mac::BROADCAST, ETH_P_ARP);
    frame.extend([0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame.extend(ASKER_MAC.0);
    frame.extend(ASKER_V4.octets());
    frame.extend([0; 6]);
    frame.extend(vip.octets());
    frame
}

/// RFC 4861 section 4.3, to the solicited-node group (RFC 4291 section 2.7.1).
fn solicitation(vip: Ipv6Addr) -> Vec<u8> {
    let [.., a, b, c] = vip.octets();
    let mut group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0).octets();
    group[13..].copy_from_slice(&[a, b, c]);
    let group = Ipv6Addr::from(group);
    let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
    message.extend(vip.octets());
    message.extend([1, 1]);
    message.extend(ASKER_MAC.0);
    let sum = checksum(ASKER_V6, group, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut frame = ethernet_header(Mac([0x33, 0x33, 0xff, a, b, c]), ETH_P_IPV6);
    frame.extend([0x60, 0, 0, 0, 0, 32, 58, 255]);
    frame.extend(ASKER_V6.octets());
    frame.extend(group.octets());
    frame.extend(message);
    frame
}

fn ethernet_header(destination: Mac, ethertype: u16) -> Vec<u8> {
    let mut frame = destination.0.to_vec();
    frame.extend(ASKER_MAC.0);
    frame.extend(ethertype.to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDER: Mac = Mac([2, 0, 0, 0, 0, 2]);
    const VIP: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 10);
    const CLIENT: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 100);

    fn arp(op: u16, destination: Mac, spa: Ipv4Addr, tpa: Ipv4Addr) -> Ethernet {
        let frame = Frame::Arp { op, sha: HOLDER, spa, tha: ASKER_MAC, tpa, dst_mac: destination };
        Ethernet { destination, source: HOLDER, frame }
    }

    #[test]
    fn tells_answers_from_announcements() {
        let announced = |form| Some(Claim::Announcement(HOLDER, form));
        for (frame, expected) in [
            (arp(2, ASKER_MAC, VIP, CLIENT), Some(Claim::Answer(HOLDER))),
            (arp(2, Mac::BROADCAST, VIP, VIP), announced(AnnouncementForm::ArpReply)),
            (arp(1, Mac::BROADCAST, VIP, VIP), announced(AnnouncementForm::ArpRequest)),
            // The VIP's owner asking for somebody else, a probe, and another's answer.
            (arp(1, Mac::BROADCAST, VIP, CLIENT), None),
            (arp(1, Mac::BROADCAST, Ipv4Addr::UNSPECIFIED, VIP), None),
            (arp(2, ASKER_MAC, CLIENT, VIP), None),
        ] {
            assert_eq!(claim(&frame, VIP.into()), expected, "{frame:?}");
        }
    }

    #[test]
    fn the_questions_are_what_the_parser_reads() {
        let request = Ethernet::parse(&arp_request(VIP)).unwrap();
        assert!(matches!(request.frame, Frame::Arp { op: 1, tpa: VIP, spa: ASKER_V4, .. }));
        let target = "fd30::10".parse().unwrap();
        let question = Ethernet::parse(&solicitation(target)).unwrap();
        assert_eq!(question.frame, Frame::NeighborSolicit { target, src: ASKER_V6 });
    }
}
