//! What `pintle check` says of a host that is to balance.

use std::net::{Ipv4Addr, TcpListener};

use super::bed::{Bed, PORT, Setup};

/// The findings of a host with this below `balancer`, in a file that is there.
fn findings(bed: &Bed, balancer: &'static str) -> String {
    let config = bed.write_config("check", 0, &Setup { balancer, ..bed.setup() });
    let arguments = ["check", "--config", config.to_str().unwrap()];
    let output = bed.command(0, &[], &arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn firewall(bed: &Bed, rule: &str) {
    let ruleset = format!(
        "flush ruleset; table inet filter {{ chain input {{ type filter hook input priority 0; policy drop; \
         iif lo accept; ct state established,related accept; {rule} }}; }}"
    );
    #[expect(clippy::disallowed_methods, reason = "the host's own firewall")]
    let output = std::process::Command::new("ip")
        .args(["netns", "exec", bed.topology.host_ns(0).name(), "nft", &ruleset])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn what_a_balancer_needs_of_its_host_is_looked_at() {
    let bed = Bed::new(1);
    let said = findings(&bed, "enabled: true");
    for part in [
        "ok    the balancer's port is free, and 8000 connections fit",
        "ok    nftables takes the rules that lead VIP:6443 to the balancer",
        "ok    nftables lets new connections in",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = findings(&bed, "enabled: true, maxConnections: 1000000");
    assert!(said.contains("FAIL  balancer.maxConnections 1000000 needs"), "{said}");
    let taken = || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8443)).unwrap();
    let _taken = bed.topology.host_ns(0).run_in(taken).unwrap();
    let said = findings(&bed, "enabled: true, port: 8443");
    assert!(said.contains("FAIL  cannot listen on 172.30.0.10:8443: "), "{said}");
    assert!(!said.contains("nftables takes the rules"), "its own port needs none: {said}");
}

#[test]
fn a_firewall_that_knows_another_port_only_is_named() {
    let bed = Bed::new(1);
    firewall(&bed, "tcp dport 22 accept;");
    for balancer in ["", "enabled: true"] {
        let said = findings(&bed, balancer);
        let expected = format!(
            "warn  the host's firewall lets in only whom it names, and no rule names tcp {PORT}: inet filter input; admit"
        );
        assert!(said.contains(&expected), "{balancer}: {said}");
    }
    // With a port of its own, that one counts.
    firewall(&bed, "tcp dport { 22, 6443 } accept;");
    assert!(findings(&bed, "enabled: true").contains("the host's firewall has rules for tcp 6443"));
    let said = findings(&bed, "enabled: true, port: 8443");
    assert!(said.contains("no rule names tcp 8443"), "{said}");
}
