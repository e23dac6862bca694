//! Classic BPF programs that let only frames about a VIP through, so that a busy segment does not
//! wake the control loop. Pure: instructions out.
//!
//! Both refuse what was meant for another host or another VLAN: the kernel takes a tag off before a
//! packet socket sees the frame (`__netif_receive_skb_core`), and the frame then looks like an
//! untagged one.

use std::net::{Ipv4Addr, Ipv6Addr};

use socket2::SockFilter;

use crate::frame::{ADVERT, ICMPV6, SOLICIT};

/// `BPF_LD|BPF_W|BPF_ABS`, `…|BPF_H|…`, `…|BPF_B|…`: load from the frame, big-endian.
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
/// `BPF_JMP|BPF_JEQ|BPF_K` and `BPF_JMP|BPF_JGE|BPF_K`.
const JUMP_EQUAL: u16 = 0x15;
const JUMP_AT_LEAST: u16 = 0x35;
/// `BPF_RET|BPF_K`.
const RETURN: u16 = 0x06;

/// `SKF_AD_OFF + SKF_AD_PKTTYPE`: to us, broadcast, multicast, or (3 and above) not for us.
const PACKET_TYPE: u32 = 0xffff_f000 + 4;
const PACKET_OTHERHOST: u32 = 3;
/// `SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT`.
const VLAN_TAG_PRESENT: u32 = 0xffff_f000 + 48;

/// No frame about an address is longer; what follows is not copied.
pub(crate) const SNAP_LENGTH: u32 = 256;

/// One step of a program: load, and go on if the condition holds, else drop.
enum Check {
    /// Load `(code, offset)` and require equality.
    Equal(u16, u32, u32),
    /// Load and require less.
    Less(u16, u32, u32),
    /// Load and require one of two.
    Either(u16, u32, u32, u32),
}

/// ARP in which somebody claims `vip`, or probes for it.
pub(crate) fn arp(vip: Ipv4Addr) -> Vec<SockFilter> {
    let vip = u32::from(vip);
    let mut program = checks(&[
        Check::Less(LOAD_WORD, PACKET_TYPE, PACKET_OTHERHOST),
        Check::Equal(LOAD_WORD, VLAN_TAG_PRESENT, 0),
        Check::Equal(LOAD_HALF, 12, 0x0806),
        Check::Equal(LOAD_WORD, 14, 0x0001_0800),
        Check::Equal(LOAD_HALF, 18, 0x0604),
    ]);
    program.extend([
        SockFilter::new(LOAD_WORD, 0, 0, 28),
        SockFilter::new(JUMP_EQUAL, 3, 0, vip),
        SockFilter::new(JUMP_EQUAL, 0, 3, 0),
        SockFilter::new(LOAD_WORD, 0, 0, 38),
        SockFilter::new(JUMP_EQUAL, 0, 1, vip),
        SockFilter::new(RETURN, 0, 0, SNAP_LENGTH),
        SockFilter::new(RETURN, 0, 0, 0),
    ]);
    program
}

/// Neighbour advertisements and solicitations about `vip`.
pub(crate) fn ndp(vip: Ipv6Addr) -> Vec<SockFilter> {
    let bits = vip.to_bits();
    let word = |shift: u32| u32::try_from((bits >> shift) & 0xffff_ffff).unwrap_or_default();
    let mut program = checks(&[
        Check::Less(LOAD_WORD, PACKET_TYPE, PACKET_OTHERHOST),
        Check::Equal(LOAD_WORD, VLAN_TAG_PRESENT, 0),
        Check::Equal(LOAD_HALF, 12, 0x86dd),
        Check::Equal(LOAD_BYTE, 20, u32::from(ICMPV6)),
        Check::Either(LOAD_BYTE, 54, u32::from(SOLICIT), u32::from(ADVERT)),
        Check::Equal(LOAD_WORD, 62, word(96)),
        Check::Equal(LOAD_WORD, 66, word(64)),
        Check::Equal(LOAD_WORD, 70, word(32)),
        Check::Equal(LOAD_WORD, 74, word(0)),
    ]);
    program.push(SockFilter::new(RETURN, 0, 0, SNAP_LENGTH));
    program
}

/// Each check drops by itself, so that no jump is longer than one instruction.
fn checks(checks: &[Check]) -> Vec<SockFilter> {
    let mut program = Vec::new();
    for check in checks {
        match *check {
            Check::Equal(load, offset, value) => program.extend([
                SockFilter::new(load, 0, 0, offset),
                SockFilter::new(JUMP_EQUAL, 1, 0, value),
            ]),
            Check::Less(load, offset, value) => program.extend([
                SockFilter::new(load, 0, 0, offset),
                SockFilter::new(JUMP_AT_LEAST, 0, 1, value),
            ]),
            Check::Either(load, offset, one, other) => program.extend([
                SockFilter::new(load, 0, 0, offset),
                SockFilter::new(JUMP_EQUAL, 2, 0, one),
                SockFilter::new(JUMP_EQUAL, 1, 0, other),
            ]),
        }
        program.push(SockFilter::new(RETURN, 0, 0, 0));
    }
    program
}

#[cfg(test)]
mod tests {
    use pintle_core::{MacAddr, Vip};
    use rustix::net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
    };

    use super::*;
    use crate::frame;

    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
    const V6: Ipv6Addr = Ipv6Addr::new(0xfd30, 1, 2, 3, 4, 5, 6, 0x10);

    /// Lets the kernel itself run the program: filters also apply to datagrams between two processes.
    fn passes(program: &[SockFilter], frame: &[u8]) -> bool {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::NONBLOCK, None)
                .unwrap();
        let theirs = socket2::Socket::from(theirs);
        theirs.attach_filter(program).unwrap();
        // A frame that the filter drops is refused to its sender.
        let _ = send(&ours, frame, SendFlags::empty());
        recv(&theirs, &mut [0; 256][..], RecvFlags::empty()).is_ok()
    }

    fn changed(frame: &[u8], at: usize, value: u8) -> Vec<u8> {
        let mut frame = frame.to_vec();
        frame[at] = value;
        frame
    }

    #[test]
    fn arp_about_the_vip_only() {
        let vip = Vip(V4.into());
        let other = Vip(Ipv4Addr::new(192, 0, 2, 11).into());
        let (program, probe) = (arp(V4), frame::probe(vip, MAC));
        for (_, frame) in frame::announcements(vip, MAC) {
            assert!(passes(&program, &frame));
            assert!(passes(&program, &changed(&frame, 41, 99)), "a claim, whomever it is told to");
            assert!(!passes(&program, &changed(&frame, 12, 0x81)), "tagged");
            assert!(!passes(&program, &changed(&frame, 18, 8)), "not Ethernet");
            assert!(!passes(&program, &frame[..30]), "cut short");
        }
        assert!(passes(&program, &probe));
        assert!(!passes(&program, &changed(&probe, 31, 7)), "a client that looks for the VIP");
        assert!(!passes(&program, &frame::probe(other, MAC)));
        assert!(!passes(&program, &frame::announcements(other, MAC)[0].1));
        assert!(!passes(&program, &frame::probe(Vip(V6.into()), MAC)));
        assert!(!passes(&program, &[]));
    }

    #[test]
    fn neighbour_discovery_about_the_vip_only() {
        let vip = Vip(V6.into());
        let program = ndp(V6);
        for frame in [frame::announcements(vip, MAC)[0].1.clone(), frame::probe(vip, MAC)] {
            assert!(passes(&program, &frame));
            for at in 62..78 {
                assert!(
                    !passes(&program, &changed(&frame, at, 0xee)),
                    "another address, byte {at}"
                );
            }
            assert!(!passes(&program, &changed(&frame, 20, 6)), "TCP");
            assert!(!passes(&program, &changed(&frame, 54, 128)), "echo");
            assert!(!passes(&program, &frame[..77]), "cut short");
        }
        assert!(!passes(&program, &frame::probe(Vip(V4.into()), MAC)));
    }
}
