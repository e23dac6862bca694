//! `pintle manager`: kube-vip's variables, and a Lease that kube-vip writes.

use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use pintle_testkit::stand_in::Store;
use serde_json::json;

use super::bed::{Bed, Pintle, SOON, VIP, always, wait};

const LEASE: &str = "plndr-cp-lock";

/// What kube-vip publishes by default.
const DURATION: Duration = Duration::from_secs(5);

/// As `kube-vip manifest pod --controlplane --arp --leaderElection` sets them, and `k8s_config_file`.
fn start(bed: &Bed, host: usize, more: &[(&str, &str)]) -> Pintle {
    let kubeconfig = bed.path("admin.conf");
    let vip = VIP.to_string();
    let variables = [
        ("vip_arp", "true"),
        ("port", "6443"),
        ("vip_interface", "eth0"),
        ("vip_subnet", "32"),
        ("dns_mode", "first"),
        ("cp_enable", "true"),
        ("cp_namespace", "kube-system"),
        ("vip_leaderelection", "true"),
        ("vip_leasename", LEASE),
        ("vip_leaseduration", "5"),
        ("vip_renewdeadline", "3"),
        ("vip_retryperiod", "1"),
        ("address", &vip),
        ("prometheus_server", ":2112"),
        ("k8s_config_file", kubeconfig.to_str().unwrap()),
    ];
    bed.start_manager(host, &[&variables, more].concat())
}

/// The Lease as client-go's leader election writes it for kube-vip. It changes with each call.
fn write(store: &Store, holder: &str, renewal: u32) {
    let at = |second: u32| format!("2026-01-01T00:{:02}:{:02}.123456Z", second / 60, second % 60);
    let spec = json!({
        "holderIdentity": holder, "leaseDurationSeconds": 5, "leaseTransitions": 3,
        "acquireTime": at(0), "renewTime": at(renewal),
    });
    store.put_lease("kube-system", LEASE, json!({}), spec);
}

#[test]
fn its_manifest_takes_its_lease() {
    let bed = Bed::new(2);
    let pintles = [start(&bed, 0, &[]), start(&bed, 1, &[])];
    let holder = bed.wait_holder();
    let (lease, _took) = wait(SOON, "the Lease", || {
        bed.store.lease("kube-system", LEASE).filter(|it| !it.is_null())
    });
    assert_eq!(lease["spec"]["holderIdentity"], format!("cp-{}", holder + 1));
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 5, "for a kube-vip that reads it");
    for pintle in &pintles {
        let warnings = pintle.lines("WARN");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("dns_mode has no effect: "), "{warnings:?}");
    }
    let metrics = |host: usize| {
        let connect = || TcpStream::connect((pintle_testkit::netns::host_v4(1 - host), 2112));
        bed.topology.host_ns(host).run_in(connect).unwrap()
    };
    wait(SOON, "metrics where they were asked for", || metrics(holder).ok());
}

#[test]
fn a_kube_vip_that_lives_keeps_the_vip_and_one_that_died_loses_it() {
    let bed = Bed::new(1);
    write(&bed.store, "cp-9", 0);
    let pintle = start(&bed, 0, &[]);
    for renewal in 1..9 {
        sleep(Duration::from_secs(1));
        assert!(bed.owners(VIP).is_empty(), "{}", pintle.log());
        write(&bed.store, "cp-9", renewal);
    }
    let renewed = Instant::now();
    // What is seen of it is late by a network at most.
    let margin = Duration::from_millis(100);
    always(DURATION - margin, "nobody has the VIP", || bed.owners(VIP).is_empty());
    bed.wait_holder();
    let took = renewed.elapsed();
    assert!(took < DURATION + Duration::from_secs(3), "{took:?}");
}

/// client-go's `ReleaseOnCancel`: no holder, a duration of one second.
#[test]
fn a_kube_vip_that_stops_hands_over() {
    let bed = Bed::new(1);
    write(&bed.store, "cp-9", 0);
    let _pintle = start(&bed, 0, &[]);
    sleep(Duration::from_secs(2));
    assert!(bed.owners(VIP).is_empty());
    assert!(bed.store.edit_lease("kube-system", LEASE, |lease| {
        let now = "2026-01-01T00:00:02.654321Z";
        lease["spec"] = json!({
            "holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": 3,
            "acquireTime": now, "renewTime": now,
        });
    }));
    let released = Instant::now();
    // kube-vip takes its address off after it has written this.
    always(Duration::from_millis(900), "nobody has the VIP", || bed.owners(VIP).is_empty());
    bed.wait_holder();
    assert!(released.elapsed() < Duration::from_millis(2500), "{:?}", released.elapsed());
}

#[test]
fn what_pintle_would_have_to_pretend_is_refused_with_every_name() {
    let bed = Bed::new(1);
    let output = bed
        .command(0, &["env", "cp_enable=true", "svc_enable=true", "bgp_enable=true"], &["manager"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    for name in ["svc_enable=true", "bgp_enable=true", "vip_arp is not true"] {
        assert!(said.contains(name), "{said}");
    }
    assert!(!said.contains("Starting"), "{said}");
}

#[test]
fn a_wrong_value_is_named_by_its_variable() {
    let bed = Bed::new(1);
    let prefix =
        ["env", "cp_enable=true", "vip_arp=true", "address=10.0.0.300", "vip_leaseduration=x"];
    let output = bed.command(0, &prefix, &["manager"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("address") && said.contains("vip_leaseduration"), "{said}");
}
