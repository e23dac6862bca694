//! `role: proxy`: what holds when little is said, what has no meaning there, and what leads nowhere.

use super::*;

const SEEDS: (&str, &str) = ("balancer.backends", "192.0.2.11:6443");

fn read(flags: &[(&str, &str)]) -> Result<ProxyConfig, Vec<String>> {
    let mut all = vec![("role", "proxy")];
    all.extend_from_slice(flags);
    match Configuration::read(&sources(&all)) {
        Ok(Configuration::Proxy(config)) => Ok(*config),
        Ok(Configuration::ControlPlane(config)) => panic!("another role: {config:?}"),
        Err(mistakes) => Err(mistakes.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn the_defaults_of_a_worker() {
    let ms = Duration::from_millis;
    let expected = ProxyConfig {
        node: "cp-1".to_owned(),
        listen: "127.0.0.1:6443".parse().unwrap(),
        algorithm: Algorithm::LeastConnections,
        max_connections: 8000,
        shed_rate: 10,
        shed_floor: 20,
        backends: vec!["192.0.2.11:6443".parse().unwrap()],
        server_name: "kubernetes".to_owned(),
        kubeconfigs: vec!["/etc/kubernetes/kubelet.conf".into()],
        probe: Probe {
            path: "/readyz".to_owned(),
            period: ms(500),
            timeout: ms(700),
            failure_threshold: 3,
            success_threshold: 2,
        },
        telemetry: Telemetry {
            address: "127.0.0.1:9810".parse().unwrap(),
            metrics_address: None,
            log: LogLevel::Info,
            format: LogFormat::Text,
        },
    };
    assert_eq!(read(&[SEEDS]).unwrap(), expected);
}

#[test]
fn it_listens_on_the_loopback() {
    for (given, expected) in
        [("7443", "127.0.0.1:7443"), ("[::1]:6443", "[::1]:6443"), ("127.0.0.2:1", "127.0.0.2:1")]
    {
        let config = read(&[SEEDS, ("balancer.listen", given)]).unwrap();
        assert_eq!(config.listen, expected.parse().unwrap());
    }
}

#[test]
fn every_key_of_the_control_plane_alone_is_refused_with_its_reason() {
    let values = [
        ("vips", "192.0.2.10", "a worker's proxy has no VIP"),
        ("interface", "eth0", "a worker's proxy has no VIP"),
        ("election.namespace", "x", "a worker's proxy takes part in no election"),
        ("election.lease", "x", "a worker's proxy takes part in no election"),
        ("election.leaseDuration", "3s", "a worker's proxy takes part in no election"),
        ("election.renewDeadline", "2s", "a worker's proxy takes part in no election"),
        ("election.retryPeriod", "1s", "a worker's proxy takes part in no election"),
        ("election.onApiLoss", "hold", "a worker's proxy takes part in no election"),
        // Its value is wrong besides: not worth a second message.
        ("election.priority", "9", "a worker's proxy takes part in no election"),
        ("apiserver.address", "127.0.0.1:6443", "a worker has no API server of its own"),
        (
            "apiserver.probe.failureThreshold",
            "3",
            "it moves the VIP, and a worker's proxy has none",
        ),
        ("announce.burst", "0ms", "a worker's proxy has no VIP"),
        ("announce.refresh", "60s", "a worker's proxy has no VIP"),
        ("balancer.enabled", "true", "a worker's proxy is a balancer and nothing else"),
        ("balancer.port", "6443", "clients of a worker's proxy use balancer.listen"),
    ];
    let refused: Vec<&str> = KEYS
        .iter()
        .map(|key| key.path)
        .filter(|path| matches!(on_worker(path), OnWorker::Refused(_)))
        .collect();
    assert_eq!(values.map(|(path, ..)| path).to_vec(), refused);
    let flags: Vec<(&str, &str)> = values.iter().map(|(path, value, _)| (*path, *value)).collect();
    let mut expected: Vec<String> = values
        .iter()
        .map(|(path, _, why)| format!("flag --set {path}: {path}: {why} (role: proxy); remove it"))
        .collect();
    // All of them, and in the same breath that there is no API server.
    expected.push(
        "command line: balancer.backends: is missing; write backends: [192.0.2.11:6443], or give --set balancer.backends=192.0.2.11:6443"
            .to_owned(),
    );
    let mut told = read(&flags).unwrap_err();
    told.sort();
    expected.sort();
    assert_eq!(told, expected);
}

#[test]
fn what_leads_nowhere_is_told_with_what_to_write() {
    type Flags = &'static [(&'static str, &'static str)];
    let cases: &[(Flags, &[&str])] = &[
        (
            &[("balancer.backends", "")],
            &[
                "balancer.backends: want at least one API server, the others are asked of the cluster; write it as [192.0.2.11:6443]",
            ],
        ),
        (
            &[("balancer.backends", "192.0.2.11:6443,127.0.0.1:6443")],
            &[
                "balancer.backends: 127.0.0.1:6443 is where this proxy listens: a loop; give the API servers' own addresses",
            ],
        ),
        (
            &[("balancer.backends", "192.0.2.11:6443,192.0.2.12:6443,192.0.2.11:6443")],
            &["balancer.backends: \"192.0.2.11:6443\" is given twice; remove one of them"],
        ),
        (
            &[("balancer.backends", "cp-1.example:6443")],
            &[
                "balancer.backends: \"cp-1.example:6443\" is not ADDRESS:PORT; write it as 127.0.0.1:6443 or [::1]:6443, names are not looked up",
            ],
        ),
        (
            &[("balancer.backends", "[::ffff:192.0.2.11]:6443,[fe80::1]:6443,0.0.0.0:6443")],
            &[
                "balancer.backends: 0.0.0.0:6443 is no address that one API server has for all nodes; give the API server's own address",
                "balancer.backends: [::ffff:192.0.2.11]:6443 is an IPv4 address in IPv6 form; write 192.0.2.11:6443",
                "balancer.backends: [fe80::1]:6443 is no address that one API server has for all nodes; give the API server's own address",
            ],
        ),
        (
            &[SEEDS, ("balancer.listen", "0.0.0.0:6443")],
            &[
                "balancer.listen: 0.0.0.0:6443 is not on the loopback, and a worker's proxy serves its node; write 127.0.0.1:6443",
            ],
        ),
        (
            &[SEEDS, ("balancer.listen", "9810")],
            &[
                "balancer.listen: 127.0.0.1:9810 and telemetry.address 127.0.0.1:9810 are the same port; give another port to one of them",
            ],
        ),
    ];
    for (flags, expected) in cases {
        let told = read(flags).unwrap_err();
        let place = |line: &String| line.split_once(": ").unwrap().1.to_owned();
        assert_eq!(told.iter().map(place).collect::<Vec<_>>(), *expected);
    }
    // On another port the same address leads elsewhere.
    let elsewhere = [("balancer.backends", "127.0.0.1:6443"), ("balancer.listen", "7443")];
    assert!(read(&elsewhere).is_ok());
}

#[test]
fn a_mistyped_role_is_the_only_mistake() {
    let told = Configuration::read(&sources(&[("role", "proxi")])).unwrap_err();
    let expected =
        "flag --set role: role: \"proxi\" is not one of control-plane, proxy; did you mean proxy?";
    assert_eq!(told.to_string(), expected);
}

#[test]
fn where_a_control_plane_is_wanted_a_proxy_is_refused() {
    let told = told(&[("role", "proxy")]);
    assert_eq!(
        told,
        ["flag --set role: role: a proxy has no place here, want control-plane; remove it"]
    );
    let either = Configuration::read(&sources(&[("vips", "192.0.2.10")])).unwrap();
    let alone = Config::read(&sources(&[("vips", "192.0.2.10")])).unwrap();
    assert_eq!(either, Configuration::ControlPlane(Box::new(alone)));
}
