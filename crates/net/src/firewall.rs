//! Which chains of the host's firewall let nobody in whom they do not name. Reads nftables and changes nothing;
//! it does not judge a rule, only whether one is about a port.

use std::io;

use netlink_packet_core::{DefaultNla, Nla as _, NlasIterator};
use netlink_packet_netfilter::NetfilterProtoFamily;
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, Cmp, DataAttribute, ExpressionAttribute, Expressions, Hook,
    HookNumber, Immediate, InetHookNumber, ListAttribute, Lookup, NfTablesMessage, Operator,
    RuleAttribute, RuleMessage, SetElementAttribute, SetElementFlags, SetElementList,
    SetElementMessage, Verdict, VerdictAttribute,
};

use crate::nft::Nft;

/// NF_DROP (linux/netfilter.h).
const DROP: u32 = 0;

/// A chain that drops or rejects what no rule before its end lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Family, table and chain, as `nft` names them.
    pub chain: String,
    /// A rule of its table is about the port.
    pub names_port: bool,
}

/// A rule as far as it is looked at.
struct Rule {
    chain: String,
    expressions: Vec<Expressions>,
}

/// Where a table is.
#[derive(Clone, PartialEq, Eq)]
struct Place {
    family: NetfilterProtoFamily,
    table: String,
}

/// The chains at the hook input that are closed by default, and whether they know a TCP port.
///
/// # Errors
/// When nftables cannot be read.
pub fn gates(port: u16) -> io::Result<Vec<Gate>> {
    let mut nft = Nft::open()?;
    let question = NfTablesMessage::GetChain(ChainMessage { attributes: Vec::new() });
    let chains = nft.list(NetfilterProtoFamily::Unspec, question)?;
    let mut gates = Vec::new();
    for (family, message) in chains {
        let NfTablesMessage::NewChain(ChainMessage { attributes }) = message else { continue };
        let Some((table, name, policy)) = input_chain(&attributes) else { continue };
        let Some(word) = family_word(family) else { continue };
        let place = Place { family, table };
        let rules = rules_of(&mut nft, &place)?;
        let own = rules.iter().rfind(|rule| rule.chain == name);
        if policy == DROP || own.is_some_and(|last| closes(&last.expressions)) {
            let mut names_port = false;
            for rule in &rules {
                names_port = names_port || names(&mut nft, &place, &rule.expressions, port)?;
            }
            gates.push(Gate { chain: format!("{word} {} {name}", place.table), names_port });
        }
    }
    Ok(gates)
}

/// Table, name and policy of a base chain at the hook input.
fn input_chain(attributes: &[ChainAttribute]) -> Option<(String, String, u32)> {
    let is_input = |hook: &Hook| *hook == Hook::Number(HookNumber::Inet(InetHookNumber::LocalIn));
    let (mut table, mut name, mut policy, mut is_here) = (None, None, u32::MAX, false);
    for attribute in attributes {
        match attribute {
            ChainAttribute::Table(text) => table = Some(text.clone()),
            ChainAttribute::Name(text) => name = Some(text.clone()),
            ChainAttribute::Policy(number) => policy = *number,
            ChainAttribute::Hook(hooks) => is_here = hooks.iter().any(is_input),
            _ => {}
        }
    }
    is_here.then_some((table?, name?, policy))
}

/// Those that see packets to the host.
const fn family_word(family: NetfilterProtoFamily) -> Option<&'static str> {
    match family {
        NetfilterProtoFamily::Inet => Some("inet"),
        NetfilterProtoFamily::IPv4 => Some("ip"),
        NetfilterProtoFamily::IPv6 => Some("ip6"),
        _ => None,
    }
}

fn rules_of(nft: &mut Nft, place: &Place) -> io::Result<Vec<Rule>> {
    let attributes = vec![RuleAttribute::Table(place.table.clone())];
    let listed = nft.list(place.family, NfTablesMessage::GetRule(RuleMessage { attributes }))?;
    let rules = listed.into_iter().filter_map(|(_, message)| {
        let NfTablesMessage::NewRule(RuleMessage { attributes }) = message else { return None };
        let mut rule = Rule { chain: String::new(), expressions: Vec::new() };
        for attribute in attributes {
            match attribute {
                RuleAttribute::Chain(name) => rule.chain = name,
                RuleAttribute::Expressions(list) => rule.expressions = expressions(list),
                _ => {}
            }
        }
        Some(rule)
    });
    Ok(rules.collect())
}

fn expressions(list: Vec<ListAttribute<ExpressionAttribute>>) -> Vec<Expressions> {
    let elements = list.into_iter().filter_map(|item| match item {
        ListAttribute::Element(attributes) => Some(attributes),
        _ => None,
    });
    let data = elements.flatten().filter_map(|attribute| match attribute {
        ExpressionAttribute::Data(expression) => Some(expression),
        _ => None,
    });
    data.collect()
}

/// Whether a rule drops or rejects everybody.
fn closes(expressions: &[Expressions]) -> bool {
    let Some((last, before)) = expressions.split_last() else { return false };
    let is_inert = |expression: &Expressions| {
        matches!(expression, Expressions::Other { expression_type, .. }
            if matches!(expression_type.as_str(), "counter" | "log" | "limit"))
    };
    let is_end = match last {
        Expressions::Immediate(attributes) => attributes.iter().any(is_drop),
        Expressions::Other { expression_type, attributes } => {
            expression_type == "reject"
                || (expression_type == "target"
                    && attributes.iter().any(|one| text(one).starts_with("REJECT")))
        }
        _ => false,
    };
    is_end && before.iter().all(is_inert)
}

fn is_drop(attribute: &Immediate) -> bool {
    let Immediate::Data(DataAttribute::Verdict(verdict)) = attribute else { return false };
    verdict.contains(&VerdictAttribute::Code(Verdict::Other(DROP)))
}

/// Whether a rule is about the port: compares with it, or with a range or a set that has it.
fn names(nft: &mut Nft, place: &Place, expressions: &[Expressions], port: u16) -> io::Result<bool> {
    let (mut is_above, mut is_below) = (false, false);
    for expression in expressions {
        let is_named = match expression {
            Expressions::Cmp(attributes) => match comparison(attributes) {
                Some((Operator::Equal, value)) => value == port,
                Some((Operator::GreatherThanEqual, value)) => {
                    is_above = value <= port;
                    false
                }
                Some((Operator::LessThanEqual, value)) => {
                    is_below = value >= port;
                    false
                }
                _ => false,
            },
            Expressions::Lookup(attributes) => has(nft, place, attributes, port)?,
            Expressions::Other { expression_type, attributes } => match expression_type.as_str() {
                "range" => in_range(attributes, port),
                "match" => in_match(attributes, port),
                _ => false,
            },
            _ => false,
        };
        if is_named || (is_above && is_below) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A comparison of two bytes, in network order.
fn comparison(attributes: &[Cmp]) -> Option<(Operator, u16)> {
    let (mut operator, mut value) = (None, None);
    for attribute in attributes {
        match attribute {
            Cmp::Op(op) => operator = Some(*op),
            Cmp::Data(DataAttribute::Value(bytes)) => value = number(bytes),
            _ => {}
        }
    }
    Some((operator?, value?))
}

/// A set that has the port, or an interval around it.
fn has(nft: &mut Nft, place: &Place, lookup: &[Lookup], port: u16) -> io::Result<bool> {
    let set = lookup.iter().find_map(|attribute| match attribute {
        Lookup::Set(name) => Some(name.clone()),
        _ => None,
    });
    let Some(set) = set else { return Ok(false) };
    let attributes = vec![SetElementList::Table(place.table.clone()), SetElementList::Set(set)];
    let question = NfTablesMessage::GetSetElement(SetElementMessage { attributes });
    // Each key, and whether it begins an interval: an end sorts before a beginning at the same place.
    let mut keys: Vec<(u16, bool)> = Vec::new();
    for (_, message) in nft.list(place.family, question)? {
        let NfTablesMessage::NewSetElement(SetElementMessage { attributes }) = message else {
            continue;
        };
        for attribute in attributes {
            let SetElementList::Elements(elements) = attribute else { continue };
            for element in elements {
                let ListAttribute::Element(element) = element else { continue };
                keys.extend(key(&element));
            }
        }
    }
    keys.sort_unstable();
    let is_interval = keys.iter().any(|(_, is_start)| !is_start);
    let at_or_before = keys.iter().rfind(|(value, _)| *value <= port);
    Ok(at_or_before.is_some_and(|(value, is_start)| *is_start && (is_interval || *value == port)))
}

fn key(element: &[SetElementAttribute]) -> Option<(u16, bool)> {
    let (mut value, mut is_start) = (None, true);
    for attribute in element {
        match attribute {
            SetElementAttribute::Key(DataAttribute::Value(bytes)) => value = number(bytes),
            SetElementAttribute::Flags(flags) => {
                is_start = !flags.contains(SetElementFlags::IntervalEnd);
            }
            _ => {}
        }
    }
    Some((value?, is_start))
}

/// NFTA_RANGE_FROM_DATA, NFTA_RANGE_TO_DATA: each a value within.
fn in_range(attributes: &[DefaultNla], port: u16) -> bool {
    let bound = |kind| {
        let nla = attributes.iter().find(|nla| nla.kind() & 0x3fff == kind)?;
        let nested = value(nla);
        let inner = NlasIterator::new(&nested[..]).next()?.ok()?;
        number(inner.value())
    };
    bound(3).zip(bound(4)).is_some_and(|(from, to)| (from..=to).contains(&port))
}

/// iptables' own matches (linux/netfilter/xt_tcpudp.h, xt_multiport.h), numbers in the order of the machine.
fn in_match(attributes: &[DefaultNla], port: u16) -> bool {
    let name = attributes.iter().find(|nla| nla.kind() & 0x3fff == 1).map(text);
    let Some(info) = attributes.iter().find(|nla| nla.kind() & 0x3fff == 3).map(value) else {
        return false;
    };
    let short = |at: usize| {
        let bytes = info.get(at..at + 2)?;
        Some(u16::from_ne_bytes([bytes[0], bytes[1]]))
    };
    match name.as_deref() {
        Some("tcp") => match (short(4), short(6)) {
            (Some(0), Some(u16::MAX)) | (None, _) | (_, None) => false,
            (Some(from), Some(to)) => (from..=to).contains(&port),
        },
        Some("multiport") => {
            let count = usize::from(info.get(1).copied().unwrap_or(0)).min(15);
            (0..count).any(|index| short(2 + 2 * index) == Some(port))
        }
        _ => false,
    }
}

fn number(bytes: &[u8]) -> Option<u16> {
    let [high, low] = bytes else { return None };
    Some(u16::from_be_bytes([*high, *low]))
}

fn value(nla: &DefaultNla) -> Vec<u8> {
    let mut bytes = vec![0; nla.value_len()];
    nla.emit_value(&mut bytes);
    bytes
}

fn text(nla: &DefaultNla) -> String {
    let bytes = value(nla);
    String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}
