use proptest::prelude::*;

use super::*;

const OWN: MacAddr = MacAddr([2, 0, 0x5e, 0x10, 0, 1]);
const V4: Vip = Vip(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)));
const V6: Vip = Vip(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x12, 0x3456)));

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .filter_map(|c| c.to_digit(16))
        .map(|digit| u8::try_from(digit).unwrap())
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn heard(address: Vip, kind: Kind) -> Option<Heard> {
    Some(Heard { address: address.0, mac: OWN, source: OWN, kind })
}

#[test]
fn gratuitous_arp_in_both_forms() {
    let request = bytes(
        "ffffffffffff 02005e100001 0806 0001 0800 06 04 0001 \
         02005e100001 c000020a 000000000000 c000020a",
    );
    let reply = bytes(
        "ffffffffffff 02005e100001 0806 0001 0800 06 04 0002 \
         02005e100001 c000020a 02005e100001 c000020a",
    );
    let expected = [(Form::ArpRequest, request.clone()), (Form::ArpReply, reply.clone())];
    assert_eq!(announcements(V4, OWN), expected);
    assert_eq!(parse(&request), heard(V4, Kind::Claim));
    assert_eq!(parse(&reply), heard(V4, Kind::Claim));
}

#[test]
fn arp_probe() {
    let probe_frame = bytes(
        "ffffffffffff 02005e100001 0806 0001 0800 06 04 0001 \
         02005e100001 00000000 000000000000 c000020a",
    );
    assert_eq!(probe(V4, OWN), probe_frame);
    assert_eq!(parse(&probe_frame), heard(V4, Kind::Probe));
}

#[test]
fn unsolicited_neighbour_advertisement() {
    // The checksum, by hand: pseudo-header 20010db8+00123456 (source), ff02+0001, 0020, 003a; message
    // 8800+2000+20010db8+00123456+0201+02005e100001.
    let frame = bytes(
        "333300000001 02005e100001 86dd 60000000 0020 3a ff \
         20010db8000000000000000000123456 ff020000000000000000000000000001 \
         88 00 324c 20000000 20010db8000000000000000000123456 02 01 02005e100001",
    );
    assert_eq!(announcements(V6, OWN), [(Form::Na, frame.clone())]);
    assert_eq!(parse(&frame), heard(V6, Kind::Claim));
}

#[test]
fn neighbour_solicitation_as_a_probe() {
    let frame = bytes(
        "3333ff123456 02005e100001 86dd 60000000 0018 3a ff \
         00000000000000000000000000000000 ff0200000000000000000001ff123456 \
         87 00 e41e 00000000 20010db8000000000000000000123456",
    );
    assert_eq!(probe(V6, OWN), frame);
    assert_eq!(parse(&frame), heard(V6, Kind::Probe));
}

#[test]
fn what_claims_nothing_is_nothing() {
    let query = bytes(
        "ffffffffffff 02005e100001 0806 0001 0800 06 04 0001 \
         02005e100001 c0000201 000000000000 c000020a",
    );
    assert_eq!(
        parse(&query).map(|heard| heard.address),
        Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
        "a question for the VIP claims only the asker's own address"
    );
    let na = announcements(V6, OWN).remove(0).1;
    for (at, value, why) in [
        (21, 254, "came through a router"),
        (55, 1, "code"),
        (70, 9, "checksum"),
        (20, 17, "not ICMPv6"),
        (54, 128, "echo"),
        (12, 0x81, "VLAN tag"),
        (19, 0xff, "longer than the frame"),
    ] {
        let mut frame = na.clone();
        frame[at] = value;
        assert_eq!(parse(&frame), None, "{why}");
    }
    let mut arp = announcements(V4, OWN).remove(0).1;
    arp[18] = 8;
    assert_eq!(parse(&arp), None, "not Ethernet addresses");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(frame in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&frame);
    }

    #[test]
    fn arbitrary_changes_of_real_frames_never_panic(
        is_v6 in any::<bool>(), at in 0_usize..90, value in any::<u8>(), length in 0_usize..90,
    ) {
        let mut frame = announcements(if is_v6 { V6 } else { V4 }, OWN).remove(0).1;
        if let Some(byte) = frame.get_mut(at) { *byte = value; }
        frame.truncate(length);
        let _ = parse(&frame);
    }
}
