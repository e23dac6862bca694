//! What keeps a balancer from starting: a port that is taken, a list that cannot be right, too few descriptors.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use super::bed::{Bed, SOON, Setup, VIP};

/// Runs a pintle with this below `balancer`, which must end by itself: the exit code, and what it said.
fn refused(bed: &Bed, balancer: &'static str) -> (Option<i32>, String) {
    let mut pintle = bed.start(0, &Setup { balancer, ..bed.setup() });
    let status = pintle.process.wait(SOON).unwrap();
    let status = status.unwrap_or_else(|| panic!("it runs with {balancer}: {}", pintle.log()));
    assert_eq!(bed.owners(VIP), [0_usize; 0], "{}", pintle.log());
    assert!(bed.lease().is_null(), "nobody was told of a holder");
    (status.code(), pintle.log())
}

fn taken(bed: &Bed, address: IpAddr, port: u16) -> TcpListener {
    let bind = || TcpListener::bind(SocketAddr::new(address, port));
    bed.topology.host_ns(0).run_in(bind).unwrap().unwrap()
}

/// The sentence that is said last.
fn sentence(said: &str) -> &str {
    said.trim_end().lines().last().unwrap_or_default()
}

#[test]
fn a_port_that_is_taken_is_named_with_what_to_do() {
    let bed = Bed::new(1);
    let _taken = taken(&bed, Ipv4Addr::UNSPECIFIED.into(), 6444);
    let (code, said) = refused(&bed, "enabled: true");
    assert_eq!(code, Some(69), "{said}");
    let expected = "pintle: cannot listen on 172.30.0.10:6444: choose another balancer.port \
                    or balancer.listen: Address already in use (os error 98)";
    assert_eq!(sentence(&said), expected, "what is wrong is said once");
    // The client's port is another one, which it listens on itself.
    let _taken = taken(&bed, Ipv4Addr::UNSPECIFIED.into(), 8443);
    let (code, said) = refused(&bed, "enabled: true, port: 8443");
    assert_eq!(code, Some(69), "{said}");
    let expected = "pintle: cannot listen on 172.30.0.10:8443: choose another balancer.port ";
    assert!(sentence(&said).starts_with(expected), "{said}");
}

/// Each with its place and what to write instead, in one go, and nothing is begun.
#[test]
fn every_mistake_of_the_balancer_s_configuration_is_named() {
    let bed = Bed::new(1);
    let (code, said) = refused(
        &bed,
        "enabled: true, maxConnections: 0, port: 70000, shedRate: -1, \
         backends: ['cp-2:6443', '172.30.0.12:6443', '172.30.0.12:6443']",
    );
    assert_eq!(code, Some(64), "{said}");
    for mistake in [
        "balancer.maxConnections: \"0\" is out of range, want 1 to 1000000",
        "balancer.port: \"70000\" is out of range, want 1 to 65535",
        "balancer.shedRate: ",
        "balancer.backends: \"cp-2:6443\" is not ADDRESS:PORT",
        "balancer.backends: \"172.30.0.12:6443\" is given twice; remove one of them",
    ] {
        assert!(said.contains(mistake), "{mistake}: {said}");
    }
    assert!(!said.contains("Starting"), "nothing was begun: {said}");
    // One that leads back here, and one that nobody else asks for.
    let loops = "enabled: true, listen: 6443, backends: ['172.30.0.12:6443', '172.30.0.10:6443']";
    let (code, said) = refused(&bed, loops);
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("172.30.0.10:6443 is on the VIP 172.30.0.10; give the API"), "{said}");
    assert!(said.contains("6443 is the API server's own port"), "{said}");
}

#[test]
fn more_connections_than_descriptors_are_refused_with_what_would_do() {
    let bed = Bed::new(1);
    let (code, said) = refused(&bed, "enabled: true, maxConnections: 1000000");
    assert_eq!(code, Some(69), "{said}");
    let start = "pintle: balancer.maxConnections 1000000 needs 2000768 descriptors and the process may open ";
    assert!(sentence(&said).starts_with(start), "{said}");
    assert!(
        sentence(&said).contains(": raise its limit (LimitNOFILE, ulimit -n), or set "),
        "{said}"
    );
}

/// A port and the descriptors are looked at together: who mends one must not find the other next.
#[test]
fn every_mistake_that_only_shows_at_start_is_named() {
    let bed = Bed::new(1);
    let _taken = taken(&bed, Ipv4Addr::UNSPECIFIED.into(), 8443);
    let (code, said) = refused(&bed, "enabled: true, port: 8443, maxConnections: 1000000");
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("cannot listen on 172.30.0.10:8443"), "{said}");
    assert!(said.contains("balancer.maxConnections 1000000 needs"), "{said}");
}

/// A list with the VIP itself, a duplicate, an address of a family that no VIP has, and a host name.
#[test]
fn every_mistake_in_one_list_of_backends_is_named() {
    let bed = Bed::new(1);
    let (code, said) = refused(
        &bed,
        "enabled: true, backends: ['172.30.0.10:6443', '172.30.0.12:6443', '172.30.0.12:6443', \
         '[fd30::13]:6443', 'cp-4:6443']",
    );
    assert_eq!(code, Some(64), "{said}");
    let named = |part: &str| said.lines().any(|line| line.contains(part));
    assert!(named("\"cp-4:6443\" is not ADDRESS:PORT"), "a host name: {said}");
    assert!(named("\"172.30.0.12:6443\" is given twice"), "a duplicate: {said}");
    assert!(named("172.30.0.10:6443 is on the VIP"), "a loop: {said}");
    assert!(named("[fd30::13]:6443"), "a wrong family: {said}");
}
