//! The files of the guides that people followed.

use super::*;

const KEEPALIVED: &str = r#"! /etc/keepalived/keepalived.conf
global_defs {
    router_id LVS_DEVEL
}
vrrp_script check_apiserver {
  script "/etc/keepalived/check_apiserver.sh"
  interval 3
}
vrrp_instance VI_1 {
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 101
    authentication {
        auth_type PASS
        auth_pass hunter2
    }
    virtual_ipaddress {
        192.0.2.10/24 dev eth0 label eth0:vip
    }
    track_script {
        check_apiserver
    }
}
"#;

const HAPROXY: &str = "global
    daemon
frontend apiserver
    bind *:8443
    default_backend apiserverbackend
backend apiserverbackend
    balance roundrobin
    server cp-1 192.0.2.11:6443 check verify none
    server cp-2 192.0.2.12:6443 check verify none
";

const KUBE_VIP: &str = r#"apiVersion: v1
kind: Pod
metadata: {name: kube-vip}
spec:
  containers:
  - name: kube-vip
    image: ghcr.io/kube-vip/kube-vip:v1.0.0
    args: [manager]
    env:
    - {name: vip_arp, value: "true"}
    - {name: cp_enable, value: "true"}
    - {name: address, value: 192.0.2.10}
    - {name: vip_interface, value: eth0}
    - {name: vip_leaseduration, value: "5"}
    - {name: vip_renewdeadline, value: "3"}
    - {name: vip_retryperiod, value: "1"}
    - {name: dns_mode, value: first}
    - name: vip_nodename
      valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
"#;

fn migrated(files: &[(&str, &str)]) -> Result<Migration, Vec<String>> {
    let foreign = |(name, text): &(&str, &str)| Foreign {
        name: (*name).to_owned(),
        text: (*text).to_owned(),
    };
    translate(&files.iter().map(foreign).collect::<Vec<_>>())
}

fn settings(migration: &Migration) -> Vec<(&str, String)> {
    let settings = migration.arguments.iter();
    settings.map(|argument| (argument.key.as_str(), argument.values.join(","))).collect()
}

#[test]
fn the_pair_of_the_kubeadm_guide() {
    let migration = migrated(&[("keepalived.conf", KEEPALIVED), ("haproxy.cfg", HAPROXY)]).unwrap();
    assert_eq!(
        settings(&migration),
        [
            ("interface", "eth0".to_owned()),
            ("vips", "192.0.2.10".to_owned()),
            ("balancer.algorithm", "round-robin".to_owned()),
            ("balancer.port", "8443".to_owned())
        ]
    );
    let [warning] = &migration.warnings[..] else { panic!("{:?}", migration.warnings) };
    assert!(warning.starts_with("haproxy.cfg:4: stop HAProxy on a node before"), "{warning}");
    let notes = migration.notes.join("\n");
    assert!(!notes.contains("hunter2"), "{notes}");
    for line in [
        "keepalived.conf:10: state MASTER -> no fixed master",
        "keepalived.conf:13: priority 101 -> every node alike",
    ] {
        assert!(notes.contains(line), "{line}: {notes}");
    }
}

#[test]
fn the_balancer_has_one_port() {
    let two = HAPROXY.replace("    bind *:8443\n", "    bind *:8443\n    bind *:9443\n");
    let migration = migrated(&[("k", KEEPALIVED), ("h", &two)]).unwrap();
    assert!(settings(&migration).contains(&("balancer.port", "8443".to_owned())));
    assert!(
        migration.warnings[1].starts_with("h:5: clients of VIP:9443 have to ask VIP:8443"),
        "{:?}",
        migration.warnings
    );
    let own = HAPROXY.replace(":8443", ":6443");
    let migration = migrated(&[("k", KEEPALIVED), ("h", &own)]).unwrap();
    assert!(settings(&migration).iter().all(|(key, _)| *key != "balancer.port"));
}

#[test]
fn api_servers_on_another_port_are_asked_there() {
    let haproxy = HAPROXY.replace(":6443", ":7443");
    let migration = migrated(&[("k", KEEPALIVED), ("h", &haproxy)]).unwrap();
    assert!(settings(&migration).contains(&("apiserver.address", "127.0.0.1:7443".to_owned())));
    let haproxy = HAPROXY.replacen("192.0.2.11:6443", "192.0.2.11:7443", 1);
    let mistakes = migrated(&[("h", &haproxy)]).unwrap_err();
    assert!(mistakes[0].contains("several ports (7443, 6443)"), "{mistakes:?}");
}

#[test]
fn a_manifest_of_kube_vip_s() {
    let migration = migrated(&[("kube-vip.yaml", KUBE_VIP)]).unwrap();
    let settings = settings(&migration);
    for expected in [
        ("vips", "192.0.2.10"),
        ("interface", "eth0"),
        ("election.lease", "plndr-cp-lock"),
        ("election.leaseDuration", "5s"),
    ] {
        assert!(settings.contains(&(expected.0, expected.1.to_owned())), "{settings:?}");
    }
    assert!(settings.iter().all(|(key, _)| *key != "node"), "the same file for every node");
    let [warning] = &migration.warnings[..] else { panic!("{:?}", migration.warnings) };
    assert!(warning.starts_with("dns_mode has no effect"), "{warning}");
    let bgp = KUBE_VIP.replace("dns_mode, value: first", "bgp_enable, value: \"true\"");
    let mistakes = migrated(&[("kube-vip.yaml", &bgp)]).unwrap_err();
    assert!(mistakes[0].starts_with("--from: kube-vip.yaml: bgp_enable=true: "), "{mistakes:?}");
}

#[test]
fn braces_may_stand_anywhere() {
    let compact = KEEPALIVED.replace(" {\n", "\n{\n").replace(
        "virtual_ipaddress\n{\n        192.0.2.10/24 dev eth0 label eth0:vip\n    }",
        "virtual_ipaddress { 192.0.2.10 }",
    );
    assert!(compact.contains("{ 192.0.2.10 }"), "{compact}");
    let migration = migrated(&[("k", &compact)]).unwrap();
    assert_eq!(
        settings(&migration),
        [("interface", "eth0".to_owned()), ("vips", "192.0.2.10".to_owned())]
    );
}

#[test]
fn what_else_haproxy_serves_stays_its() {
    let more = "frontend web\n bind *:443\n default_backend ingress\nbackend ingress\n server a 192.0.2.21:30443\n";
    let stats = "listen stats\n bind *:9000\n";
    let text = format!("{HAPROXY}{more}{stats}");
    let migration = migrated(&[("k", KEEPALIVED), ("h", &text)]).unwrap();
    assert_eq!(migration.warnings.len(), 1, "only of 8443: {:?}", migration.warnings);
    let stays = migration.notes.iter().filter(|note| note.contains("HAProxy stays for it")).count();
    assert_eq!(stays, 2, "{:?}", migration.notes);
}

/// What it sets would be another Lease than the one that kube-vip has: a second holder.
#[test]
fn values_that_are_somewhere_else_are_refused() {
    let name = "    - name: vip_leasename\n      valueFrom: {configMapKeyRef: {name: a, key: b}}\n";
    let mistakes = migrated(&[("m", &format!("{KUBE_VIP}{name}"))]).unwrap_err();
    assert!(
        mistakes[0].contains("vip_leasename has its value from somewhere else"),
        "{mistakes:?}"
    );
    let all = KUBE_VIP.replace("    env:", "    envFrom: [{configMapRef: {name: a}}]\n    env:");
    assert!(migrated(&[("m", &all)]).unwrap_err()[0].contains("envFrom"));
}

#[test]
fn the_kubeconfig_is_the_host_s() {
    let mounts = "    volumeMounts: [{name: k, mountPath: /etc/kubernetes/admin.conf}]\n  volumes: [{name: k, hostPath: {path: PATH}}]\n";
    let of = |path: &str| {
        let text = format!("{KUBE_VIP}{}", mounts.replace("PATH", path));
        let migration = migrated(&[("m", &text)]).unwrap();
        let mut all = settings(&migration).into_iter();
        all.find(|(key, _)| *key == "apiserver.kubeconfigs").map(|(_, value)| value)
    };
    let k3s = "/etc/rancher/k3s/k3s.yaml";
    assert_eq!(of(k3s), Some(k3s.to_owned()));
    assert_eq!(of("/etc/kubernetes/super-admin.conf"), None, "the default has it");
}

#[test]
fn every_wrong_file_is_named() {
    let mistakes = migrated(&[
        ("notes.txt", "hello"),
        ("pod.yaml", "kind: Pod\nspec: {containers: [{name: nginx}]}\n"),
        ("broken.yaml", "kind: [\n"),
        ("open.conf", "vrrp_instance a {\n"),
        ("empty.conf", "vrrp_instance a {\n}\n"),
        ("empty.cfg", "frontend a\n"),
    ])
    .unwrap_err();
    let expected = [
        "--from: notes.txt: is no manifest of kube-vip's",
        "--from: pod.yaml: has no container of kube-vip's",
        "--from: broken.yaml: ",
        "--from: open.conf: the block vrrp_instance does not end",
        "--from: empty.conf: has no address",
        "--from: empty.cfg: has no server",
    ];
    assert_eq!(mistakes.len(), expected.len(), "{mistakes:?}");
    for (mistake, start) in mistakes.iter().zip(expected) {
        assert!(mistake.starts_with(start), "{mistake}");
    }
}

proptest::proptest! {
    #[test]
    fn nothing_panics(
        head in "vrrp_instance a \\{\n|frontend a\n|kind: Pod\n|",
        body in "(virtual_ipaddress \\{\n|\\}\n|bind |server |[ -~\n]{0,6}){0,20}",
    ) {
        let _ = migrated(&[("file", &format!("{head}{body}"))]);
    }
}
