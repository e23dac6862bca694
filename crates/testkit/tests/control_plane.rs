//! The real etcd and kube-apiserver of three hosts: needs root, and `hack/tools.sh` run once.
//!
//! One test per control plane would cost a start each, so one test walks through a whole life.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "clippy's leave for tests does not reach the functions that a test is made of"
)]

use std::fs;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use pintle_testkit::certs::{ClusterCa, Validity};
use pintle_testkit::control_plane::{ControlPlane, ControlPlaneSpec, HostSpec, RunDir};
use pintle_testkit::netns::{Topology, VIP_V4};
use serde_json::{Value, json};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/pintle";

/// etcd's election, an API server's reconnect, and a compiler on every core.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Every process in a host's namespace, by its command line.
fn processes(bed: &Topology) -> Vec<String> {
    let pids = (0..bed.host_count()).flat_map(|host| bed.host_ns(host).processes().unwrap());
    pids.map(command_line).collect()
}

fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

fn lease(holder: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "pintle", "namespace": "kube-system"},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 3},
    })
}

fn holder(cluster: &ControlPlane, host: usize) -> String {
    let lease = cluster.api(host).get(LEASE).unwrap().into_success().unwrap();
    lease["spec"]["holderIdentity"].as_str().unwrap().to_owned()
}

/// Writes the holder through a host until it succeeds; returns how long that took.
fn write_until_it_works(cluster: &ControlPlane, host: usize, holder: &str) -> Duration {
    let api = cluster.api(host).with_timeout(Duration::from_secs(1));
    let patch = json!({"spec": {"holderIdentity": holder}});
    let started = Instant::now();
    loop {
        let answer = api.patch(LEASE, &patch);
        if answer.as_ref().is_ok_and(|answer| answer.status == 200) {
            return started.elapsed();
        }
        assert!(started.elapsed() < RECOVERY_TIMEOUT, "no write succeeded: {answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn three_hosts_run_one_control_plane_that_survives_its_etcd_leader() {
    let bed = Topology::start(3).unwrap();
    let run_dir = RunDir::create().unwrap();
    let vip = IpAddr::from(VIP_V4);
    let spec = ControlPlaneSpec {
        hosts: HostSpec::all_of(&bed),
        vips: vec![vip],
        run_dir: run_dir.path().to_owned(),
        ..ControlPlaneSpec::default()
    };
    let started = Instant::now();
    let mut cluster = ControlPlane::start(&spec).unwrap();
    println!("start -> three API servers ready: {:?}", started.elapsed());
    assert_eq!(processes(&bed).len(), 6, "{:#?}", processes(&bed));

    one_lease_is_seen_through_every_server(&cluster);
    identity_leases_are_named_after_the_hosts(&cluster);
    kubeconfig_names_the_vip(&cluster, vip);
    only_the_right_certificate_has_rights(&cluster);
    the_etcd_leader_goes_where_it_is_sent(&cluster);
    a_write_succeeds_again_after_the_leader_is_killed(&mut cluster);
    an_api_server_comes_back(&mut cluster);

    let path = run_dir.path().to_owned();
    let started = Instant::now();
    drop(cluster);
    println!("teardown: {:?}", started.elapsed());
    assert_eq!(processes(&bed), Vec::<String>::new());
    drop(run_dir);
    assert!(!path.exists());
}

fn one_lease_is_seen_through_every_server(cluster: &ControlPlane) {
    let created = cluster.api(0).post(LEASES, &lease("cp-1")).unwrap();
    assert_eq!(created.status, 201, "{}", created.text());
    assert_eq!(holder(cluster, 2), "cp-1");
    let stale = created.json().unwrap();
    let mut newer = stale.clone();
    newer["spec"]["holderIdentity"] = json!("cp-2");
    assert_eq!(cluster.api(1).put(LEASE, &newer).unwrap().status, 200);
    // One etcd behind all three: the version that host 1 overwrote conflicts at host 2.
    assert_eq!(cluster.api(2).put(LEASE, &stale).unwrap().status, 409);
    assert_eq!(cluster.api(0).delete(LEASE).unwrap().status, 200);
    assert_eq!(cluster.api(2).get(LEASE).unwrap().status, 404);
    assert_eq!(cluster.api(2).post(LEASES, &lease("cp-3")).unwrap().status, 201);
}

fn identity_leases_are_named_after_the_hosts(cluster: &ControlPlane) {
    let path = format!("{LEASES}?labelSelector=apiserver.kubernetes.io/identity=kube-apiserver");
    let started = Instant::now();
    loop {
        let list = cluster.api(0).get(&path).unwrap().into_success().unwrap();
        let mut names: Vec<String> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["metadata"]["labels"]["kubernetes.io/hostname"].as_str().unwrap().into())
            .collect();
        names.sort();
        if names == ["cp-1", "cp-2", "cp-3"] {
            return;
        }
        assert!(started.elapsed() < RECOVERY_TIMEOUT, "{names:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn kubeconfig_names_the_vip(cluster: &ControlPlane, vip: IpAddr) {
    let text = fs::read_to_string(cluster.admin_kubeconfig_path(1)).unwrap();
    assert!(text.contains(&format!("server: https://{vip}:6443\n")), "{text}");
}

fn only_the_right_certificate_has_rights(cluster: &ControlPlane) {
    let stranger_ca = ClusterCa::generate("kubernetes").unwrap();
    let expired =
        cluster.ca().issue_client("late", Some("system:masters"), Validity::Expired).unwrap();
    let cases = [
        (cluster.ca().issue_admin().unwrap(), 200),
        (cluster.ca().issue_client("nobody", None, Validity::Current).unwrap(), 403),
        (expired, 401),
        (stranger_ca.issue_admin().unwrap(), 401),
    ];
    for (client, status) in cases {
        let answer = cluster.api_as(0, &client).unwrap().get(LEASE).unwrap();
        assert_eq!(answer.status, status, "{}: {}", client.user, answer.text());
    }
}

fn the_etcd_leader_goes_where_it_is_sent(cluster: &ControlPlane) {
    for to in 0..cluster.host_count() {
        cluster.move_etcd_leader(to).unwrap();
        assert_eq!(cluster.etcd_leader().unwrap(), to);
    }
}

fn a_write_succeeds_again_after_the_leader_is_killed(cluster: &mut ControlPlane) {
    let leader = cluster.etcd_leader().unwrap();
    let other = (leader + 1) % cluster.host_count();
    cluster.etcd(leader).kill().unwrap();
    let stall = write_until_it_works(cluster, other, "after-the-leader");
    println!("etcd leader killed -> a write through another host: {stall:?}");
    assert_ne!(cluster.etcd_leader().unwrap(), leader);
    cluster.restart_etcd(leader).unwrap();
    cluster.wait_ready(leader, RECOVERY_TIMEOUT).unwrap();
    assert_eq!(holder(cluster, leader), "after-the-leader");
}

fn an_api_server_comes_back(cluster: &mut ControlPlane) {
    cluster.api_server(1).kill().unwrap();
    assert!(cluster.api(1).get("/readyz").is_err());
    let error = cluster.wait_ready(1, RECOVERY_TIMEOUT).unwrap_err().to_string();
    assert!(error.contains("kube-apiserver of cp-2 ended before it was ready"), "{error}");
    let started = Instant::now();
    cluster.restart_api_server(1).unwrap();
    cluster.wait_ready(1, RECOVERY_TIMEOUT * 2).unwrap();
    println!("API server restarted -> ready: {:?}", started.elapsed());
}
