//! What is found of a host's firewall, beside what a client's connection finds.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use pintle_core::Vip;
use pintle_net::{Redirect, RedirectError, gates};
use pintle_testkit::netns::{Topology, host_v4};

use crate::bed::{V4, V6};

const PORT: u16 = 6443;

/// A packet that is dropped is not answered; one that is let in is, within a millisecond.
const TIMEOUT: Duration = Duration::from_millis(500);

/// What every firewall of a host lets in.
const USUAL: &str =
    "ct state established,related accept; iif lo accept; icmp type echo-request accept;";

fn in_host(topology: &Topology, program: &[&str], input: &str) {
    #[expect(clippy::disallowed_methods, reason = "the host's own firewall")]
    let mut child = Command::new("ip")
        .args(["netns", "exec", topology.host_ns(0).name()])
        .args(program)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{program:?} {input}");
}

fn nft(topology: &Topology, ruleset: &str) {
    in_host(topology, &["nft", "-f", "-"], ruleset);
}

/// Whether a client of the segment reaches the port; and what was found of it: `None` for nothing in its way.
fn seen(topology: &Topology) -> (bool, Option<bool>) {
    let address = SocketAddr::from((host_v4(0), PORT));
    let listen = || TcpListener::bind(("0.0.0.0", PORT)).unwrap();
    let _listener = topology.host_ns(0).run_in(listen).unwrap();
    let connect = || TcpStream::connect_timeout(&address, TIMEOUT).is_ok();
    let is_reached = topology.client_ns().run_in(connect).unwrap();
    let gates = topology.host_ns(0).run_in(|| gates(PORT)).unwrap().unwrap();
    let is_named = (!gates.is_empty()).then(|| gates.iter().all(|gate| gate.names_port));
    (is_reached, is_named)
}

#[test]
fn a_port_that_is_not_named_is_not_reached() {
    let rules = [
        ("", false),
        ("tcp dport 22 accept;", false),
        ("tcp dport 6443 accept;", true),
        ("tcp dport { 22, 6443 } accept;", true),
        ("tcp dport { 22, 8443 } accept;", false),
        ("tcp dport { 22, 6000-7000 } accept;", true),
        ("tcp dport { 22, 7000-8000 } accept;", false),
        ("tcp dport 6000-7000 accept;", true),
        ("tcp dport 7000-8000 accept;", false),
        ("tcp dport vmap { 22 : accept, 6443 : accept };", true),
        ("meta l4proto tcp jump ours;", true),
    ];
    let topology = Topology::start(1).unwrap();
    for (rule, is_named) in rules {
        // Closed by its policy, and by its last rule, as firewalld's.
        for (policy, last) in
            [("drop", ""), ("accept", "counter reject with icmpx admin-prohibited;")]
        {
            let named_there = if rule.contains("ours") { PORT } else { 22 };
            let ruleset = format!(
                "flush ruleset\ntable inet filter {{\n\
                 chain ours {{ tcp dport {named_there} accept; }}\n\
                 chain input {{ type filter hook input priority 0; policy {policy}; {USUAL} {rule} {last} }}\n}}\n"
            );
            nft(&topology, &ruleset);
            assert_eq!(seen(&topology), (is_named, Some(is_named)), "{policy}: {rule}");
        }
    }
}

#[test]
fn rules_of_iptables_are_read_as_well() {
    let topology = Topology::start(1).unwrap();
    for (rule, is_named) in [
        ("-p tcp --dport 22", false),
        ("-p tcp --dport 6443", true),
        ("-p tcp --dport 6000:7000", true),
        ("-p tcp -m multiport --dports 22,6443", true),
        ("-p tcp -m multiport --dports 22,80", false),
    ] {
        let table = format!(
            "*filter\n:INPUT DROP [0:0]\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
             -A INPUT -i lo -j ACCEPT\n-A INPUT {rule} -j ACCEPT\nCOMMIT\n"
        );
        in_host(&topology, &["iptables-restore"], &table);
        assert_eq!(seen(&topology), (is_named, Some(is_named)), "{rule}");
    }
}

#[test]
fn an_open_host_has_no_gate() {
    let topology = Topology::start(1).unwrap();
    assert_eq!(seen(&topology), (true, None));
    // What drops somebody else, or forwarded packets only, is none.
    nft(
        &topology,
        "table inet filter {\n\
         chain input { type filter hook input priority 0; policy accept; tcp dport 22 drop; \
         ct state invalid drop; }\n\
         chain forward { type filter hook forward priority 0; policy drop; }\n}\n",
    );
    assert_eq!(seen(&topology), (true, None));
}

#[test]
fn a_rehearsal_leaves_nothing_and_needs_the_privilege() {
    let topology = Topology::start(1).unwrap();
    let host = topology.host_ns(0);
    let rehearse = || Redirect::rehearse(&[V4], PORT, 6444);
    host.run_in(rehearse).unwrap().unwrap();
    let _playing = host.run_in(|| Redirect::install(&[V4], PORT, 6444)).unwrap().unwrap();
    // Also beside one that runs.
    host.run_in(rehearse).unwrap().unwrap();
    assert_eq!(host.run_in(|| gates(PORT)).unwrap().unwrap(), []);
    let without = || {
        rustix::thread::set_capabilities(None, no_capabilities()).unwrap();
        Redirect::rehearse(&[Vip([192, 0, 2, 1].into())], PORT, 6444)
    };
    let error = host.run_in(without).unwrap().unwrap_err();
    assert!(matches!(error, RedirectError::Privilege), "{error}");
}

/// The lock is per set of VIPs, and so are the rules.
#[test]
fn two_pintles_of_one_host_have_rules_of_their_own() {
    let topology = Topology::start(1).unwrap();
    let host = topology.host_ns(0);
    let another = Vip([192, 0, 2, 1].into());
    let install = |vips: &[Vip]| host.run_in(|| Redirect::install(vips, PORT, 6444)).unwrap();
    let both = (install(&[V4]).unwrap(), install(&[another, V6]).unwrap());
    let error = install(&[V4]).unwrap_err();
    drop(both.0);
    let again = install(&[V4]);
    assert!(again.is_ok(), "{error}, {again:?}");
    // As nft reads names.
    let v6 = V6.to_string().replace(':', "_");
    for vips in [V4.to_string(), format!("192.0.2.1-{v6}")] {
        nft(&topology, &format!("list table inet pintle-{vips}\n"));
    }
}

fn no_capabilities() -> rustix::thread::CapabilitySets {
    let none = rustix::thread::CapabilitySet::empty();
    rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none }
}
