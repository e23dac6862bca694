//! The table as messages; as `nft` would show it, see the test.

use std::net::IpAddr;

use netlink_packet_core::DefaultNla;
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, Cmp, DataAttribute, ExpressionAttribute, Expressions, Hook,
    HookNumber, Immediate, InetHookNumber, ListAttribute, Meta, MetaKey, NfTablesMessage, Operator,
    Payload, Register, RuleAttribute, RuleMessage, TableAttribute, TableFlags, TableMessage,
};
use pintle_core::Vip;

const FROM_OUTSIDE: &str = "from-outside";
const FROM_HERE: &str = "from-here";

/// NF_IP_PRI_MANGLE: behind conntrack, before any DNAT (linux/netfilter_ipv4.h).
const MANGLE: i32 = -150;
/// NF_IP_PRI_NAT_DST.
const DESTINATION_NAT: i32 = -100;

/// NF_ACCEPT.
const ACCEPT: u32 = 1;
/// IPPROTO_TCP.
const TCP: u8 = 6;
/// An address of the host itself (linux/rtnetlink.h).
const RTN_LOCAL: u32 = 2;
/// The loopback link's index in every network namespace (LOOPBACK_IFINDEX).
const LOOPBACK_INDEX: u32 = 1;

/// Payload bases (NFT_PAYLOAD_NETWORK_HEADER, NFT_PAYLOAD_TRANSPORT_HEADER).
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
/// Where TCP has its destination port (RFC 9293 §3.1).
const DESTINATION_PORT: (u32, u32) = (2, 2);

type Expression = ListAttribute<ExpressionAttribute>;

/// The whole table anew.
pub(super) fn install(
    name: &str,
    vips: &[Vip],
    port: u16,
    to: u16,
    flags: TableFlags,
) -> Vec<NfTablesMessage> {
    let mut messages = Vec::new();
    if !flags.contains(TableFlags::Owner) {
        // What a killed predecessor left; a table has to be there to be deleted.
        messages.push(NfTablesMessage::NewTable(table(name, flags)));
        messages.extend(remove(name));
    }
    messages.push(NfTablesMessage::NewTable(table(name, flags)));
    messages.push(chain(name, FROM_OUTSIDE, "filter", InetHookNumber::PreRouting, MANGLE));
    messages.push(chain(name, FROM_HERE, "nat", InetHookNumber::LocalOut, DESTINATION_NAT));
    for vip in vips {
        let mut outside = is_to(vip.0, port);
        outside.extend(is_local());
        outside.extend(target(vip.0, to));
        outside.push(tproxy(vip.0));
        messages.push(rule(name, FROM_OUTSIDE, outside));
        let mut here = vec![load(MetaKey::Oif), equals(LOOPBACK_INDEX.to_ne_bytes().to_vec())];
        here.extend(is_to(vip.0, port));
        here.extend(target(vip.0, to));
        here.push(dnat(vip.0));
        messages.push(rule(name, FROM_HERE, here));
    }
    messages
}

/// The table's end.
pub(super) fn remove(name: &str) -> Vec<NfTablesMessage> {
    let attributes = vec![TableAttribute::Name(name.to_owned())];
    vec![NfTablesMessage::DeleteTable(TableMessage { attributes })]
}

fn table(name: &str, flags: TableFlags) -> TableMessage {
    let name = TableAttribute::Name(name.to_owned());
    TableMessage { attributes: vec![name, TableAttribute::Flags(flags)] }
}

fn chain(
    table: &str,
    name: &str,
    kind: &str,
    hook: InetHookNumber,
    priority: i32,
) -> NfTablesMessage {
    let hook = vec![
        Hook::Number(HookNumber::Inet(hook)),
        Hook::Priority(u32::from_ne_bytes(priority.to_ne_bytes())),
    ];
    NfTablesMessage::NewChain(ChainMessage {
        attributes: vec![
            ChainAttribute::Table(table.to_owned()),
            ChainAttribute::Name(name.to_owned()),
            ChainAttribute::Hook(hook),
            ChainAttribute::Type(kind.to_owned()),
            ChainAttribute::Policy(ACCEPT),
        ],
    })
}

fn rule(table: &str, chain: &str, expressions: Vec<Expression>) -> NfTablesMessage {
    NfTablesMessage::NewRule(RuleMessage {
        attributes: vec![
            RuleAttribute::Table(table.to_owned()),
            RuleAttribute::Chain(chain.to_owned()),
            RuleAttribute::Expressions(expressions),
        ],
    })
}

/// TCP to this address and port.
fn is_to(address: IpAddr, port: u16) -> Vec<Expression> {
    // Where the destination is in the header (RFC 791 §3.1, RFC 8200 §3).
    let (bytes, place) = match address {
        IpAddr::V4(address) => (address.octets().to_vec(), (16, 4)),
        IpAddr::V6(address) => (address.octets().to_vec(), (24, 16)),
    };
    vec![
        load(MetaKey::Nfproto),
        equals(vec![u8::try_from(family(address)).unwrap_or_default()]),
        load(MetaKey::L4Proto),
        equals(vec![TCP]),
        payload(NETWORK_HEADER, place),
        equals(bytes),
        payload(TRANSPORT_HEADER, DESTINATION_PORT),
        equals(port.to_be_bytes().to_vec()),
    ]
}

/// The destination is this host's at the moment. What has to be forwarded must not be caught: the kernel
/// drops what it would forward and has a socket (net/ipv4/ip_forward.c).
fn is_local() -> [Expression; 2] {
    // NFTA_FIB_DREG, NFTA_FIB_RESULT (NFT_FIB_RESULT_ADDRTYPE), NFTA_FIB_FLAGS (NFTA_FIB_F_DADDR).
    let look = other("fib", &[(1, Register::Reg1.into()), (2, 3), (3, 2)]);
    [look, equals(RTN_LOCAL.to_ne_bytes().to_vec())]
}

/// The new destination: the address in the first register, the port in the second.
fn target(address: IpAddr, port: u16) -> [Expression; 2] {
    let bytes = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let immediate = |register, value| {
        let data = Immediate::Data(DataAttribute::Value(value));
        Expressions::Immediate(vec![Immediate::DestinationRegister(register), data]).into()
    };
    [immediate(Register::Reg1, bytes), immediate(Register::Reg2, port.to_be_bytes().to_vec())]
}

/// NFTA_TPROXY_FAMILY, NFTA_TPROXY_REG_ADDR, NFTA_TPROXY_REG_PORT.
fn tproxy(address: IpAddr) -> Expression {
    let registers = [(1, family(address)), (2, Register::Reg1.into()), (3, Register::Reg2.into())];
    other("tproxy", &registers)
}

/// NFTA_NAT_TYPE (NFT_NAT_DNAT), NFTA_NAT_FAMILY, NFTA_NAT_REG_ADDR_MIN, NFTA_NAT_REG_PROTO_MIN.
fn dnat(address: IpAddr) -> Expression {
    let registers =
        [(1, 1), (2, family(address)), (3, Register::Reg1.into()), (5, Register::Reg2.into())];
    other("nat", &registers)
}

/// NFPROTO_IPV4, NFPROTO_IPV6.
const fn family(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 2,
        IpAddr::V6(_) => 10,
    }
}

fn load(key: MetaKey) -> Expression {
    Expressions::Meta(vec![Meta::Key(key), Meta::DestinationRegister(Register::Reg1)]).into()
}

fn payload(base: u32, (offset, length): (u32, u32)) -> Expression {
    Expressions::Payload(vec![
        Payload::DestinationRegister(Register::Reg1),
        Payload::Base(base),
        Payload::Offset(offset),
        Payload::Len(length),
    ])
    .into()
}

fn equals(value: Vec<u8>) -> Expression {
    Expressions::Cmp(vec![
        Cmp::SourceRegister(Register::Reg1),
        Cmp::Op(Operator::Equal),
        Cmp::Data(DataAttribute::Value(value)),
    ])
    .into()
}

/// An expression that the library has no words for: numbers in network order.
fn other(expression_type: &str, numbers: &[(u16, u32)]) -> Expression {
    let attributes = numbers
        .iter()
        .map(|(kind, number)| DefaultNla::new(*kind, number.to_be_bytes().to_vec()))
        .collect();
    Expressions::Other { expression_type: expression_type.to_owned(), attributes }.into()
}
