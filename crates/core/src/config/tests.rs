//! The reader without a file format: variables, flags and trees made by hand.
//! Line and column of each kind of mistake are tested with real YAML in the command line's tests.

use std::time::Duration;

use super::*;

mod trees;
mod values;
mod worker;

/// A file that says nothing is wrong with it and nothing else.
fn header() -> Vec<(&'static str, Node)> {
    vec![("apiVersion", plain(API_VERSION)), ("kind", plain(KIND))]
}

fn at(line: usize, value: Value) -> Node {
    Node { mark: Mark { line, column: 1 }, value }
}

fn plain(text: &str) -> Node {
    at(9, Value::Scalar(Scalar { text: text.to_owned(), style: Style::Plain }))
}

fn map(entries: Vec<(&str, Node)>) -> Node {
    let entry = |(key, value)| Entry { key: plain(key), value };
    at(1, Value::Map(entries.into_iter().map(entry).collect()))
}

fn sources(flags: &[(&str, &str)]) -> Sources {
    let argument = |(key, value): &(&str, &str)| Argument {
        flag: format!("--set {key}"),
        key: (*key).to_owned(),
        values: vec![(*value).to_owned()],
    };
    Sources {
        arguments: flags.iter().map(argument).collect(),
        host_name: "Cp-1\n".to_owned(),
        ..Sources::default()
    }
}

/// What is told when `flags` are given beside a VIP.
fn told(flags: &[(&str, &str)]) -> Vec<String> {
    let mut all = flags.to_vec();
    if !flags.iter().any(|(key, _)| *key == "vips") {
        all.push(("vips", "192.0.2.10"));
    }
    told_by(&sources(&all))
}

fn told_by(sources: &Sources) -> Vec<String> {
    Config::read(sources)
        .map_or_else(|mistakes| mistakes.iter().map(ToString::to_string).collect(), |_| Vec::new())
}

#[test]
fn the_defaults_are_the_design_s() {
    let config = Config::read(&sources(&[("vips", "192.0.2.10,2001:db8::10")])).unwrap();
    let ms = Duration::from_millis;
    let expected = Config {
        node: "cp-1".to_owned(),
        vips: vec![Vip("192.0.2.10".parse().unwrap()), Vip("2001:db8::10".parse().unwrap())],
        interface: None,
        election: Election {
            namespace: "kube-system".to_owned(),
            lease: "pintle".to_owned(),
            lease_duration: ms(2500),
            renew_deadline: ms(2300),
            retry_period: ms(500),
            on_api_loss: ApiLoss::Hold,
            priority: 0,
        },
        apiserver: ApiServer {
            address: "127.0.0.1:6443".parse().unwrap(),
            server_name: "kubernetes".to_owned(),
            kubeconfigs: vec![
                "/etc/kubernetes/admin.conf".into(),
                "/etc/kubernetes/super-admin.conf".into(),
            ],
            probe: Probe {
                path: "/readyz".to_owned(),
                period: ms(500),
                timeout: ms(700),
                failure_threshold: 3,
                success_threshold: 2,
            },
        },
        announce: Announce {
            burst: [0, 50, 200, 1100, 2200, 3300].map(ms).into(),
            refresh: ms(60_000),
        },
        balancer: None,
        telemetry: Telemetry {
            address: "127.0.0.1:9810".parse().unwrap(),
            metrics_address: None,
            log: LogLevel::Info,
            format: LogFormat::Text,
        },
    };
    assert_eq!(config, expected);
}

#[test]
fn every_key_can_be_set_by_its_variable_and_by_set() {
    // One value per key that is right and not the default.
    let values = [
        ("role", "control-plane"),
        ("node", "other"),
        ("vips", "198.51.100.7"),
        ("interface", "br0"),
        ("election.namespace", "doors"),
        ("election.lease", "front.door"),
        ("election.leaseDuration", "3s"),
        ("election.renewDeadline", "2s"),
        ("election.retryPeriod", "250ms"),
        ("election.onApiLoss", "release"),
        ("election.priority", "-4"),
        ("apiserver.address", "[::1]:6444"),
        ("apiserver.serverName", "10.0.0.1"),
        ("apiserver.kubeconfigs", "/etc/a.conf"),
        ("apiserver.probe.path", "/livez?verbose"),
        ("apiserver.probe.period", "1s"),
        ("apiserver.probe.timeout", "2s"),
        ("apiserver.probe.failureThreshold", "5"),
        ("apiserver.probe.successThreshold", "1"),
        ("announce.burst", "0ms, 1s"),
        ("announce.refresh", "1m"),
        ("balancer.enabled", "false"),
        ("balancer.port", "443"),
        ("balancer.listen", "7000"),
        ("balancer.algorithm", "source-hash"),
        ("balancer.maxConnections", "100"),
        ("balancer.backends", "192.0.2.1:6443,192.0.2.2:6443"),
        ("balancer.shedRate", "0"),
        ("balancer.shedFloor", "7"),
        ("telemetry.address", "127.0.0.1:0"),
        ("telemetry.metricsAddress", "0.0.0.0:9811"),
        ("telemetry.log", "debug"),
        ("telemetry.format", "json"),
    ];
    assert_eq!(
        values.map(|(path, _)| path).to_vec(),
        KEYS.iter().map(|k| k.path).collect::<Vec<_>>()
    );
    let by_flag = Config::read(&sources(&values)).unwrap();
    let environment = values.map(|(path, value)| (key(path).unwrap().variable(), value.to_owned()));
    let by_variable =
        Config::read(&Sources { environment: environment.into(), ..Sources::default() }).unwrap();
    assert_eq!(by_flag, by_variable);
    let default = Config::read(&sources(&[("vips", "192.0.2.10")])).unwrap();
    assert_ne!(by_flag.node, default.node);
    assert_ne!(by_flag.interface, default.interface);
    assert_ne!(by_flag.election, default.election);
    assert_eq!(by_flag.election.priority, -4);
    assert_eq!(by_flag.election.lease_duration, Duration::from_secs(3));
    assert_eq!(by_flag.apiserver.probe.failure_threshold, 5);
    assert_eq!(by_flag.announce.burst, [Duration::ZERO, Duration::from_secs(1)]);
    assert_eq!(by_flag.announce.refresh, Duration::from_secs(60));
    assert_eq!(by_flag.telemetry.log, LogLevel::Debug);
}

#[test]
fn flags_win_over_variables_over_the_file() {
    let priority = map(vec![("priority", plain("1"))]);
    let mut entries = header();
    entries.push(("election", priority));
    let mut sources = sources(&[("vips", "192.0.2.10")]);
    sources.document = Some(Ok(Document { name: "f".to_owned(), root: map(entries) }));
    assert_eq!(Config::read(&sources).unwrap().election.priority, 1);
    sources.environment = vec![("PINTLE_ELECTION_PRIORITY".to_owned(), "2".to_owned())];
    assert_eq!(Config::read(&sources).unwrap().election.priority, 2);
    sources.arguments.push(Argument {
        flag: "--priority".to_owned(),
        key: "election.priority".to_owned(),
        values: vec!["3".to_owned()],
    });
    assert_eq!(Config::read(&sources).unwrap().election.priority, 3);
    // What is overridden must be right all the same.
    sources.environment[0].1 = "7".to_owned();
    assert_eq!(
        told_by(&sources),
        [
            "environment variable PINTLE_ELECTION_PRIORITY: election.priority: \"7\" is out of range, want -4 to 4"
        ]
    );
}

#[test]
fn the_node_s_name_is_looked_for_in_order() {
    let mut sources = sources(&[("vips", "192.0.2.10")]);
    let name = |sources: &Sources| Config::read(sources).unwrap().node;
    assert_eq!(name(&sources), "cp-1");
    sources.environment = vec![("NODE_NAME".to_owned(), "by-node-name".to_owned())];
    assert_eq!(name(&sources), "by-node-name");
    let mut entries = header();
    entries.push(("node", plain("by-file")));
    sources.document = Some(Ok(Document { name: "f".to_owned(), root: map(entries) }));
    assert_eq!(name(&sources), "by-file");
    sources.environment.push(("PINTLE_NODE".to_owned(), "by-variable".to_owned()));
    assert_eq!(name(&sources), "by-variable");
    // A host name that Kubernetes does not take matters only when it is used.
    sources.host_name = "no_name".to_owned();
    assert_eq!(name(&sources), "by-variable");
    sources.document = None;
    sources.environment.clear();
    let told = told_by(&sources);
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("the host name: node: \"no_name\" is no name"), "{told:?}");
}

#[test]
fn unknown_variables_are_mistakes_and_service_links_are_not() {
    let mut sources = sources(&[("vips", "192.0.2.10")]);
    let set = |names: &[(&str, &str)]| {
        names.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>()
    };
    sources.environment = set(&[
        ("PINTLE_SERVICE_HOST", "10.96.0.7"),
        ("PINTLE_SERVICE_PORT_METRICS", "9810"),
        ("PINTLE_PORT", "tcp://10.96.0.7:9810"),
        ("PINTLE_PORT_9810_TCP", "tcp://10.96.0.7:9810"),
        ("PINTLE_METRICS_PORT_9810_TCP_ADDR", "10.96.0.7"),
        ("PINTLE_BALANCER_PORT", "tcp://10.96.0.7:9810"),
        ("PINTLE_CONFIG", "/etc/pintle.yaml"),
        ("PATH", "/bin"),
    ]);
    assert_eq!(told_by(&sources), Vec::<String>::new());
    sources.environment = set(&[("PINTLE_ELECTION_LEASE_DURATON", "3s"), ("PINTLE_XYZ", "1")]);
    assert_eq!(
        told_by(&sources),
        [
            "environment variable PINTLE_ELECTION_LEASE_DURATON: unknown variable; did you mean PINTLE_ELECTION_LEASE_DURATION?",
        ]
    );
    sources.environment = set(&[("PINTLE_INTERFACE", "eth\u{fffd}")]);
    assert_eq!(
        told_by(&sources),
        ["environment variable PINTLE_INTERFACE: interface: is not valid UTF-8"]
    );
}

#[test]
fn a_name_without_end_is_cut() {
    let mut sources = sources(&[("vips", "192.0.2.10")]);
    let name = format!("PINTLE_{}", "X".repeat(100_000));
    sources.environment = vec![(name.clone(), "1".to_owned())];
    sources.arguments.push(Argument {
        flag: format!("--set {name}"),
        key: name,
        values: vec!["1".to_owned()],
    });
    let told = told_by(&sources);
    assert_eq!(told.len(), 1);
    assert!(told.iter().all(|line| line.len() < 300), "{told:?}");
}

#[test]
fn contradictions_name_both_values_and_a_way_out() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (
            &[("election.leaseDuration", "2s")],
            "flag --set election.leaseDuration: election.leaseDuration: leaseDuration 2s must be at least 100ms longer than renewDeadline 2300ms (the default); set election.leaseDuration to 2400ms or more, or election.renewDeadline to 1900ms or less",
        ),
        (
            &[("election.renewDeadline", "2.45s")],
            "flag --set election.renewDeadline: election.renewDeadline: leaseDuration 2500ms (the default) must be at least 100ms longer than renewDeadline 2450ms; set election.leaseDuration to 2550ms or more, or election.renewDeadline to 2400ms or less",
        ),
        (
            &[("election.retryPeriod", "1151ms")],
            "flag --set election.retryPeriod: election.retryPeriod: retryPeriod 1151ms must be at most half of renewDeadline 2300ms (the default); set election.retryPeriod to 1150ms or less, or election.renewDeadline to 2302ms or more",
        ),
        (
            &[("apiserver.address", "192.0.2.10:6443")],
            "flag --set apiserver.address: apiserver.address: 192.0.2.10:6443 is on the VIP 192.0.2.10; give the node's own address or 127.0.0.1: the VIP may be on another node",
        ),
        (
            &[("telemetry.metricsAddress", "0.0.0.0:9810")],
            "flag --set telemetry.metricsAddress: telemetry.metricsAddress: 0.0.0.0:9810 and telemetry.address 127.0.0.1:9810 (the default) are the same port; give another port: telemetry.address serves /metrics as well",
        ),
        (
            &[("telemetry.address", "192.0.2.10:9810")],
            "flag --set telemetry.address: telemetry.address: 192.0.2.10:9810 is on the VIP 192.0.2.10; give the node's own address: the VIP may be on another node",
        ),
        (
            &[("balancer.backends", "192.0.2.10:6443")],
            "flag --set balancer.backends: balancer.backends: 192.0.2.10:6443 is on the VIP 192.0.2.10; give the API server's own address: the VIP leads back to the balancer",
        ),
        (
            &[("balancer.backends", "127.0.0.1:6444")],
            "flag --set balancer.backends: balancer.backends: 127.0.0.1:6444 is this host's own, and another API server on each node; leave it out: each node has its own API server without being told",
        ),
        (
            &[("balancer.backends", "0.0.0.0:6443")],
            "flag --set balancer.backends: balancer.backends: 0.0.0.0:6443 is no address that one API server has for all nodes; give the API server's own address",
        ),
        (
            &[("vips", "192.0.2.10,192.0.2.11")],
            "flag --set vips: vips: 192.0.2.11 is of the same family as 192.0.2.10: want at most one IPv4 and one IPv6 address; remove one of them",
        ),
        (
            &[("announce.burst", "0ms,200ms,50ms")],
            "flag --set announce.burst: announce.burst: 50ms comes after 200ms, want them ascending; sort them",
        ),
    ];
    for (flags, expected) in cases {
        assert_eq!(told(flags), [*expected]);
    }
    // The bounds themselves are allowed.
    assert_eq!(told(&[("election.leaseDuration", "2.4s")]), Vec::<String>::new());
    assert_eq!(told(&[("election.retryPeriod", "1150ms")]), Vec::<String>::new());
}

#[test]
fn a_wrong_value_is_not_told_again_as_a_contradiction() {
    let told = told(&[("election.leaseDuration", "2"), ("election.renewDeadline", "59s")]);
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn unknown_keys_on_the_command_line_are_told() {
    let cases = [
        ("priority", "did you mean election.priority?"),
        ("election.prio", "`pintle run --help` lists the keys"),
        ("election.Lease_Duration", "did you mean election.leaseDuration?"),
        ("address", "did you mean apiserver.address or telemetry.address?"),
        ("apiVersion", "`pintle run --help` lists the keys"),
    ];
    for (key, advice) in cases {
        assert_eq!(
            told(&[(key, "1")]),
            [format!("flag --set {key}: {key}: unknown key; {advice}")]
        );
    }
}

#[test]
fn a_flag_given_twice_is_told() {
    assert_eq!(
        told(&[("election.priority", "1"), ("election.priority", "2")]),
        [
            "flag --set election.priority: election.priority: is given twice, first by flag --set election.priority; remove one of them"
        ]
    );
}

#[test]
fn nothing_at_all_is_told_as_a_missing_vip() {
    assert_eq!(
        told_by(&sources(&[])),
        ["command line: vips: is missing; write vips: [192.0.2.10], or give --vip 192.0.2.10"]
    );
}

#[test]
fn a_file_that_cannot_be_read_hides_no_other_source() {
    let place = Place::File { name: "f".to_owned(), mark: None };
    let unread = Mistake {
        place,
        key: String::new(),
        message: "does not exist".to_owned(),
        suggestion: None,
    };
    // The deadline alone would contradict the default, but the file may say something else.
    let mut sources = sources(&[("election.renewDeadline", "9s"), ("election.priority", "9")]);
    sources.document = Some(Err(unread));
    assert_eq!(
        told_by(&sources),
        [
            "f: does not exist",
            "flag --set election.priority: election.priority: \"9\" is out of range, want -4 to 4",
        ]
    );
}

#[test]
fn countless_mistakes_are_counted() {
    let unknown: Vec<String> = (0..5000).map(|number| format!("unknown{number}")).collect();
    let entries = unknown.iter().map(|key| (&**key, plain("x"))).chain(header()).collect();
    let mut sources = sources(&[("vips", "192.0.2.10")]);
    sources.document = Some(Ok(Document { name: "f".to_owned(), root: map(entries) }));
    let mistakes = Config::read(&sources).unwrap_err();
    assert_eq!(mistakes.count(), 5000);
    assert_eq!(mistakes.iter().count(), 100);
    assert!(mistakes.to_string().ends_with("\nand 4900 more"));
}

#[test]
fn every_key_has_its_own_name_variable_and_flag() {
    let mut flags: Vec<&str> = KEYS.iter().filter_map(|key| key.flag).collect();
    let mut variables: Vec<String> = KEYS.iter().map(Key::variable).collect();
    let counts = (flags.len(), variables.len());
    flags.sort_unstable();
    flags.dedup();
    variables.sort_unstable();
    variables.dedup();
    assert_eq!((flags.len(), variables.len()), counts);
    assert_eq!(key("election.onApiLoss").unwrap().variable(), "PINTLE_ELECTION_ON_API_LOSS");
    assert_eq!(key("vips").unwrap().variable(), "PINTLE_VIPS");
    assert!(KEYS.iter().all(|key| !key.meaning.contains('|') && !key.reason.is_empty()));
}
