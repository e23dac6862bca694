//! Every kind of mistake in a file, with its exact line and column, through the whole reader.

use proptest::prelude::*;

use super::*;
use pintle_core::config::{Argument, Config, Sources, defaults_yaml};

/// What is told about a file that begins with a right header and has a VIP unless it says `vips`.
fn told(body: &str) -> Vec<String> {
    let vips = if body.contains("vip") { "" } else { "vips: [192.0.2.10]\n" };
    // The header and the VIP are three lines: the body begins in line 4.
    let vips = if vips.is_empty() { "\n" } else { vips };
    told_as_is(&format!("apiVersion: pintle.dev/v1alpha1\nkind: Config\n{vips}{body}"))
}

fn told_as_is(text: &str) -> Vec<String> {
    match read(text) {
        Ok(_) => Vec::new(),
        Err(lines) => lines,
    }
}

fn read(text: &str) -> Result<Config, Vec<String>> {
    let sources = Sources {
        document: Some(parse("f.yaml", text)),
        host_name: "cp-1".to_owned(),
        ..Sources::default()
    };
    Config::read(&sources).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

#[test]
fn each_kind_of_mistake_has_its_place_and_its_advice() {
    for (body, expected) in CASES {
        assert_eq!(told(body), [*expected], "{body}");
    }
}

/// What follows the header, and what is told about it.
const CASES: &[(&str, &str)] = &[
    // Unknown keys: mistyped, written in another way, in the wrong place, unlike anything.
    ("elektion: {}\n", "f.yaml:4:1: elektion: unknown key; did you mean election?"),
    (
        "election:\n  leaseDuratoin: 3s\n",
        "f.yaml:5:3: election.leaseDuratoin: unknown key; did you mean election.leaseDuration?",
    ),
    (
        "election: {lease_duration: 3s}\n",
        "f.yaml:4:12: election.lease_duration: unknown key; did you mean election.leaseDuration?",
    ),
    (
        "leaseDuration: 3s\n",
        "f.yaml:4:1: leaseDuration: unknown key; did you mean election.leaseDuration?",
    ),
    (
        "address: 127.0.0.1:1\n",
        "f.yaml:4:1: address: unknown key; did you mean apiserver.address or telemetry.address?",
    ),
    (
        "announce: {colour: red}\n",
        "f.yaml:4:12: announce.colour: unknown key; the keys here are burst, refresh",
    ),
    (
        "xyzzy: 1\n",
        "f.yaml:4:1: xyzzy: unknown key; the keys here are apiVersion, kind, role, node, vips, interface, election, apiserver, announce, balancer, telemetry",
    ),
    (
        "\"\\e[2J\\n\": 1\n",
        "f.yaml:4:1: \"\\u{1b}[2J\\n\": unknown key; the keys here are apiVersion, kind, role, node, vips, interface, election, apiserver, announce, balancer, telemetry",
    ),
    // The same key twice.
    ("node: a\nnode: b\n", "f.yaml:5:1: node: is given twice, first in line 4; remove one of them"),
    (
        "election:\n  priority: 1\nelection:\n  priority: 2\n",
        "f.yaml:6:1: election: is given twice, first in line 4; remove one of them",
    ),
    // Wrong types.
    (
        "node: true\n",
        "f.yaml:4:7: node: true is a truth value, want a text; if the word is meant, write \"true\" in quotes",
    ),
    ("node: [a]\n", "f.yaml:4:7: node: is a list, want one value"),
    ("node:\n  a: b\n", "f.yaml:5:3: node: is a group of keys, want one value"),
    (
        "announce: {burst: 0ms}\n",
        "f.yaml:4:19: announce.burst: is one value, want a list; put it in brackets, [ and ]",
    ),
    ("announce: {burst: {a: b}}\n", "f.yaml:4:19: announce.burst: is a group of keys, want a list"),
    (
        "announce:\n  burst: [0ms, [1s]]\n",
        "f.yaml:5:16: announce.burst: an item is more than one value",
    ),
    (
        "announce:\n  burst:\n  - 0ms\n  -\n",
        "f.yaml:7:4: announce.burst: an item is empty; remove it",
    ),
    (
        "announce: 3\n",
        "f.yaml:4:11: announce: want keys and values; the keys here are burst, refresh",
    ),
    (
        "election: {priority: \"1\"}\n",
        "f.yaml:4:22: election.priority: \"1\" is a text, want a whole number; remove the quotes",
    ),
    (
        "election: {priority: high}\n",
        "f.yaml:4:22: election.priority: \"high\" is no whole number, want -4 to 4",
    ),
    (
        "balancer: {enabled: \"true\"}\n",
        "f.yaml:4:21: balancer.enabled: \"true\" is a text, want true or false; remove the quotes",
    ),
    ("? [a, b]\n: 1\n", "f.yaml:4:3: a key must be a single word"),
    // Wrong values.
    (
        "election:\n  leaseDuration: 2500\n",
        "f.yaml:5:18: election.leaseDuration: \"2500\" has no unit; write 2500ms or 2500s",
    ),
    (
        "interface: 'eth 0'\n",
        "f.yaml:4:12: interface: \"eth 0\" is no name of a link; `ip link` lists the links",
    ),
    (
        "vips:\n- 192.0.2.10\n- fe80::1\n",
        "f.yaml:6:3: vips: \"fe80::1\" is link-local: clients would have to name their own link with it; pick a global or unique local address",
    ),
    // Contradictions.
    (
        "election:\n  leaseDuration: 2s\n",
        "f.yaml:5:18: election.leaseDuration: leaseDuration 2s must be at least 100ms longer than renewDeadline 2300ms (the default); set election.leaseDuration to 2400ms or more, or election.renewDeadline to 1900ms or less",
    ),
    (
        "vips: [192.0.2.10, 192.0.2.11]\n",
        "f.yaml:4:20: vips: 192.0.2.11 is of the same family as 192.0.2.10: want at most one IPv4 and one IPv6 address; remove one of them",
    ),
    // Values that contradict each other.
    (
        "balancer:\n  listen: 6443\n",
        "f.yaml:5:11: balancer.listen: 6443 is the API server's own port; give another one, clients do not see it",
    ),
    // YAML that has no use here.
    (
        "interface: &a eth0\nnode: *a\n",
        "f.yaml:5:7: node: an alias is not read here; write the value out",
    ),
    ("node: *nobody\n", "f.yaml:4:7: node: an alias is not read here; write the value out"),
    ("node: !!str a\n", "f.yaml:4:13: node: a tag is not read here; write the value out"),
    (
        "announce: {<<: {refresh: 2s}}\n",
        "f.yaml:4:12: \"announce.<<\": unknown key; the keys here are burst, refresh",
    ),
    // Missing.
    ("vip: [192.0.2.10]\n", "f.yaml:4:1: vip: unknown key; did you mean vips?"),
    ("vips:\n", "f.yaml:1:1: vips: is missing; write vips: [192.0.2.10], or give --vip 192.0.2.10"),
];

#[test]
fn the_header_must_be_there_and_right() {
    let cases: &[(&str, &[&str])] = &[
        (
            "vips: [192.0.2.10]\n",
            &[
                "f.yaml:1:1: apiVersion: is missing; write apiVersion: pintle.dev/v1alpha1",
                "f.yaml:1:1: kind: is missing; write kind: Config",
            ],
        ),
        (
            "apiVersion: v1\nkind: Pod\nvips: [192.0.2.10]\n",
            &[
                "f.yaml:1:13: apiVersion: \"v1\" is not what this pintle reads; write apiVersion: pintle.dev/v1alpha1",
                "f.yaml:2:7: kind: \"Pod\" is not what this pintle reads; write kind: Config",
            ],
        ),
        (
            "apiversion: pintle.dev/v1alpha1\nkind: [Config]\nvips: [192.0.2.10]\n",
            &[
                "f.yaml:1:1: apiversion: unknown key; did you mean apiVersion?",
                "f.yaml:2:7: kind: want a text; write kind: Config",
            ],
        ),
        ("", &["f.yaml: the file is empty; begin with apiVersion: pintle.dev/v1alpha1"]),
        ("# nothing\n", &["f.yaml: the file is empty; begin with apiVersion: pintle.dev/v1alpha1"]),
        (
            "- a\n",
            &["f.yaml:1:1: want keys and values; begin with apiVersion: pintle.dev/v1alpha1"],
        ),
        (
            "hello\n",
            &["f.yaml:1:1: want keys and values; begin with apiVersion: pintle.dev/v1alpha1"],
        ),
    ];
    for (text, expected) in cases {
        let told = told_as_is(text);
        // Without a single key the VIP is missing too, which is told last.
        let told: Vec<_> = told.iter().filter(|line| !line.contains("vips: is missing")).collect();
        assert_eq!(told, *expected, "{text}");
    }
}

#[test]
fn eight_different_mistakes_are_told_at_once() {
    let text = "\
apiVersion: pintle.dev/v1beta1
kind: Config
vips: [127.0.0.1]
interface: much-too-long-name
elektion: {}
election:
  leaseDuration: 2500
  priority: 1
  priority: 2
apiserver:
  kubeconfigs: /etc/kubernetes/admin.conf
balancer: {port: 0}
telemetry: {metricsAddress: '0.0.0.0:9810'}
";
    let places: Vec<String> = told_as_is(text)
        .iter()
        .map(|line| line.splitn(4, ':').take(3).collect::<Vec<_>>().join(":"))
        .collect();
    assert_eq!(
        places,
        [
            "f.yaml:1:13",
            "f.yaml:3:8",
            "f.yaml:4:12",
            "f.yaml:5:1",
            "f.yaml:7:18",
            "f.yaml:9:3",
            "f.yaml:11:16",
            "f.yaml:12:18",
            "f.yaml:13:29",
        ]
    );
}

#[test]
fn a_mistake_of_syntax_has_its_place() {
    for (text, place) in [
        ("a: b: c\n", "f.yaml:1:5: is not YAML: "),
        ("a:\n\t- b\n", "f.yaml:2:"),
        ("vips: [192.0.2.10\n", "f.yaml:1:7: is not YAML: unclosed bracket"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document begins here, want one"),
        (&"[".repeat(300), "f.yaml:1:17: is not YAML: "),
        (
            &format!("a: [{}]\n", "1,".repeat(20_000)),
            "f.yaml:1:20003: holds more than 10000 values",
        ),
    ] {
        let told = told_as_is(text);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with(place), "{told:?} {place}");
    }
}

#[test]
fn nothing_in_a_file_multiplies() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..40 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let document = parse("f.yaml", &text).unwrap();
    assert!(format!("{document:?}").len() < 200_000);
}

#[test]
fn a_value_left_out_is_the_default() {
    let config = read("apiVersion: pintle.dev/v1alpha1\nkind: Config\nvips: [192.0.2.10]\ninterface:\nelection:\nannounce: {refresh: null}\n").unwrap();
    let flags = Sources {
        arguments: vec![Argument {
            flag: "--vip".to_owned(),
            key: "vips".to_owned(),
            values: vec!["192.0.2.10".to_owned()],
        }],
        host_name: "cp-1".to_owned(),
        ..Sources::default()
    };
    assert_eq!(config, Config::read(&flags).unwrap());
}

#[test]
fn the_defaults_file_says_what_holds_without_a_file() {
    let vip = "vips: [192.0.2.10]\n";
    let defaults = read(&format!("{}{vip}", defaults_yaml())).unwrap();
    let nothing = read(&format!("apiVersion: pintle.dev/v1alpha1\nkind: Config\n{vip}")).unwrap();
    assert_eq!(defaults, nothing);
}

#[test]
fn the_design_s_file_is_read_but_for_what_a_node_has_of_its_own() {
    let text = "\
apiVersion: pintle.dev/v1alpha1
kind: Config
role: control-plane
node: cp-1
vips: [192.0.2.10]
interface: eth0
election:
  namespace: kube-system
  lease: pintle
  leaseDuration: 2500ms
  renewDeadline: 2300ms
  retryPeriod: 500ms
  onApiLoss: hold
  priority: 0
apiserver:
  address: 127.0.0.1:6443
  serverName: kubernetes
  kubeconfigs: [/etc/kubernetes/admin.conf, /etc/kubernetes/super-admin.conf]
  probe: {path: /readyz, period: 500ms, timeout: 700ms, failureThreshold: 3, successThreshold: 2}
announce: {burst: [0ms, 50ms, 200ms, 1100ms, 2200ms, 3300ms], refresh: 60s}
balancer:
  enabled: false
  port: 6443
  listen: 6444
  algorithm: least-connections
  maxConnections: 8000
  backends: []
telemetry: {address: 127.0.0.1:9810, metricsAddress: \"\", log: info, format: text}
";
    let design = read(text).unwrap();
    assert_eq!(design.interface.as_deref(), Some("eth0"));
    let short =
        "apiVersion: pintle.dev/v1alpha1\nkind: Config\nvips: [192.0.2.10]\ninterface: eth0\n";
    assert_eq!(design, read(short).unwrap());
    // Line ends of another system and a byte-order mark change nothing.
    assert_eq!(design, read(&format!("\u{feff}{}", text.replace('\n', "\r\n"))).unwrap());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any_text()) {
        if let Err(lines) = read(&text) {
            prop_assert!(!lines.is_empty());
            prop_assert!(lines.iter().all(|line| !line.contains('\n')), "{lines:?}");
        }
    }
}

/// Half of it noise, half of it pieces of real files.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "(?s).{0,12}",
        "[a-z: \\[\\]{},&*!|>'\"\n\t#-]{0,20}",
        Just("apiVersion: pintle.dev/v1alpha1\nkind: Config\n".to_owned()),
        Just("vips: [192.0.2.10]\n".to_owned()),
        Just("election:\n  leaseDuration: ".to_owned()),
        Just("announce: {burst: [".to_owned()),
        Just("---\n".to_owned()),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}
