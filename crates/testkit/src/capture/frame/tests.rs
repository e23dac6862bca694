//! Hand-made frames: what a host accepts, and what it drops.

use super::*;

const HOST: Mac = Mac([2, 0, 0, 0, 0, 1]);

fn ethernet(destination: Mac, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = destination.0.to_vec();
    frame.extend(HOST.0);
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// An unsolicited advertisement of fd30::10 with option 2, as RFC 4861 section 7.2.6 has it.
fn advert(hop_limit: u8, flags: u8, wrong_by: u8) -> Vec<u8> {
    let src: Ipv6Addr = "fd30::11".parse().unwrap();
    let dst: Ipv6Addr = "ff02::1".parse().unwrap();
    let target: Ipv6Addr = "fd30::10".parse().unwrap();
    let mut message = vec![ADVERT, 0, 0, 0, flags, 0, 0, 0];
    message.extend(target.octets());
    message.extend([2, 1]);
    message.extend(HOST.0);
    let sum = checksum(src, dst, &message).to_be_bytes();
    message[2] = sum[0];
    message[3] = sum[1].wrapping_add(wrong_by);
    let mut packet = vec![0x60, 0, 0, 0, 0, 32, 58, hop_limit];
    packet.extend(src.octets());
    packet.extend(dst.octets());
    packet.extend(message);
    ethernet(Mac([0x33, 0x33, 0, 0, 0, 1]), 0x86dd, &packet)
}

#[test]
fn reads_a_gratuitous_arp() {
    let mut payload = vec![0, 1, 8, 0, 6, 4, 0, 1];
    payload.extend(HOST.0);
    payload.extend([172, 30, 0, 10, 0, 0, 0, 0, 0, 0, 172, 30, 0, 10]);
    let parsed = Ethernet::parse(&ethernet(Mac::BROADCAST, 0x0806, &payload)).unwrap();
    let vip = Ipv4Addr::new(172, 30, 0, 10);
    let frame = Frame::Arp {
        op: 1,
        sha: HOST,
        spa: vip,
        tha: Mac([0; 6]),
        tpa: vip,
        dst_mac: Mac::BROADCAST,
    };
    assert_eq!(parsed, Ethernet { destination: Mac::BROADCAST, source: HOST, frame });
}

#[test]
fn reads_an_unsolicited_advertisement() {
    let parsed = Ethernet::parse(&advert(255, 0x20, 0)).unwrap();
    let frame = Frame::NeighborAdvert {
        target: "fd30::10".parse().unwrap(),
        override_flag: true,
        solicited: false,
        lladdr: Some(HOST),
        src: "fd30::11".parse().unwrap(),
        dst: "ff02::1".parse().unwrap(),
    };
    assert_eq!(parsed.frame, frame);
}

/// Against a sum done by hand, so that encoder and check cannot be wrong alike.
#[test]
fn sums_as_by_hand() {
    let src: Ipv6Addr = "fe80::1".parse().unwrap();
    let dst: Ipv6Addr = "ff02::1".parse().unwrap();
    // RFC 1071: pseudo-header fe80+0001+ff02+0001+0008+003a = 1fdc6, message 8800 -> 285c6,
    // folded 85c8, inverted 7a37.
    assert_eq!(checksum(src, dst, &[0x88, 0, 0, 0, 0, 0, 0, 0]), 0x7a37);
}

#[test]
fn calls_invalid_what_a_host_drops() {
    for (frame, why) in [
        (advert(64, 0x20, 0), "hop limit"),
        (advert(255, 0x20, 1), "checksum"),
        (advert(255, 0x60, 0), "solicited"),
    ] {
        let parsed = Ethernet::parse(&frame).unwrap().frame;
        assert!(matches!(parsed, Frame::Invalid(text) if text.contains(why)), "{parsed:?}");
    }
}

#[test]
fn survives_every_cut_and_every_flipped_byte() {
    let whole = advert(255, 0x20, 0);
    for len in 0..whole.len() {
        let parsed = Ethernet::parse(&whole[..len]);
        assert!(!matches!(parsed, Some(Ethernet { frame: Frame::NeighborAdvert { .. }, .. })));
    }
    for at in 0..whole.len() {
        for value in 0..=255 {
            let mut frame = whole.clone();
            frame[at] = value;
            let _ = Ethernet::parse(&frame);
        }
    }
}

#[test]
fn writes_and_reads_an_address() {
    let text = "02:00:00:00:00:01";
    assert_eq!(text.parse::<Mac>().unwrap(), HOST);
    assert_eq!(HOST.to_string(), text);
    assert!("02:00".parse::<Mac>().is_err());
}
