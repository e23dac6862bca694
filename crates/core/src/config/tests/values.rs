//! Wrong values of every key, and what is told about each: what is wrong and what to write.

use super::told;

#[test]
fn wrong_values_are_told_with_what_to_write() {
    for (key, value, expected) in CASES {
        let expected = format!("flag --set {key}: {key}: {expected}");
        assert_eq!(told(&[(key, value)]), [expected], "{value}");
    }
}

/// Key, value, message.
const CASES: &[(&str, &str, &str)] = &[
    ("vips", "", "want at least one address; write it as [192.0.2.10]"),
    ("vips", "192.0.2.10,192.0.2.10", "\"192.0.2.10\" is given twice; remove one of them"),
    ("vips", "192.0.2.10,2001:db8::1,192.0.2.11", "has 3 items, want at most 2"),
    (
        "vips",
        "192.0.2.10/32",
        "\"192.0.2.10/32\" has a prefix length, which a VIP does not need; write 192.0.2.10",
    ),
    (
        "vips",
        "192.0.2.10:6443",
        "\"192.0.2.10:6443\" is an address with a port, want an address; write 192.0.2.10",
    ),
    (
        "vips",
        "api.example.com",
        "\"api.example.com\" is no address; write it as 192.0.2.10 or 2001:db8::10",
    ),
    (
        "vips",
        "127.0.0.5",
        "\"127.0.0.5\" is a loopback address, which no client reaches; pick a free address of the nodes' subnet",
    ),
    (
        "vips",
        "0.0.0.0",
        "\"0.0.0.0\" is no address of anyone; pick a free address of the nodes' subnet",
    ),
    ("vips", "::", "\"::\" is no address of anyone; pick a free address of the nodes' subnet"),
    (
        "vips",
        "224.0.0.1",
        "\"224.0.0.1\" is a multicast address, which no node can own; pick a free address of the nodes' subnet",
    ),
    (
        "vips",
        "255.255.255.255",
        "\"255.255.255.255\" is no address that one node can own; pick a free address of the nodes' subnet",
    ),
    (
        "vips",
        "fe80::1",
        "\"fe80::1\" is link-local: clients would have to name their own link with it; pick a global or unique local address",
    ),
    (
        "vips",
        "::ffff:192.0.2.10",
        "\"::ffff:192.0.2.10\" is an IPv4 address in IPv6 form; write 192.0.2.10",
    ),
    (
        "interface",
        "eeeeeeeeeeeeeeee",
        "\"eeeeeeeeeeeeeeee\" is longer than 15 bytes; `ip link` lists the links",
    ),
    ("interface", "eth 0", "\"eth 0\" is no name of a link; `ip link` lists the links"),
    ("interface", "a/b", "\"a/b\" is no name of a link; `ip link` lists the links"),
    (
        "node",
        "Node_1",
        "\"Node_1\" is no name that Kubernetes takes; want at most 253 lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part",
    ),
    ("node", "Node-1", "\"Node-1\" is no name that Kubernetes takes; did you mean node-1?"),
    ("node", "", "is empty; give a value or leave it out"),
    ("role", "worker", "\"worker\" is not one of control-plane, proxy"),
    (
        "election.namespace",
        "kube.system",
        "\"kube.system\" is no name of a namespace; want at most 63 lower-case letters, digits and '-', with a letter or digit at both ends",
    ),
    ("election.leaseDuration", "2500", "\"2500\" has no unit; write 2500ms or 2500s"),
    ("election.leaseDuration", "1m30s", "\"1m30s\" is no duration; write it as 2500ms, 2.5s or 1m"),
    ("election.leaseDuration", "-1s", "\"-1s\" is no duration; write it as 2500ms, 2.5s or 1m"),
    ("election.leaseDuration", "61s", "\"61s\" is out of range, want 1s to 60s"),
    (
        "election.leaseDuration",
        "2.0005s",
        "\"2.0005s\" is finer than a millisecond; round it to whole milliseconds",
    ),
    (
        "election.leaseDuration",
        "99999999999999999999h",
        "\"99999999999999999999h\" is no duration; write it as 2500ms, 2.5s or 1m",
    ),
    (
        "election.leaseDuration",
        "9999999999999999999h",
        "\"9999999999999999999h\" is no duration; write it as 2500ms, 2.5s or 1m",
    ),
    ("election.retryPeriod", "49ms", "\"49ms\" is out of range, want 50ms to 30s"),
    ("election.onApiLoss", "Hold", "\"Hold\" is not one of hold, release; did you mean hold?"),
    ("election.priority", "5", "\"5\" is out of range, want -4 to 4"),
    ("election.priority", "1.5", "\"1.5\" is no whole number, want -4 to 4"),
    (
        "election.priority",
        "99999999999999999999",
        "\"99999999999999999999\" is out of range, want -4 to 4",
    ),
    ("apiserver.address", "127.0.0.1", "\"127.0.0.1\" has no port; write it as 127.0.0.1:PORT"),
    ("apiserver.address", "::1", "\"::1\" has no port; write it as [::1]:PORT"),
    ("apiserver.address", "6443", "\"6443\" has no address; write it as 127.0.0.1:6443"),
    (
        "apiserver.address",
        "localhost:6443",
        "\"localhost:6443\" is not ADDRESS:PORT; write it as 127.0.0.1:6443 or [::1]:6443, names are not looked up",
    ),
    ("apiserver.address", "127.0.0.1:0", "\"127.0.0.1:0\" has port 0; give the port that is used"),
    (
        "apiserver.address",
        "0.0.0.0:6443",
        "0.0.0.0:6443 is no address that can be asked; write 127.0.0.1:6443",
    ),
    (
        "apiserver.serverName",
        "https://x",
        "\"https://x\" is neither a DNS name nor an address; write a name from the certificate, without scheme and port",
    ),
    ("apiserver.kubeconfigs", "admin.conf", "\"admin.conf\" is no absolute path; begin it with /"),
    (
        "apiserver.kubeconfigs",
        "/etc/kubernetes/",
        "\"/etc/kubernetes/\" is a directory; name the file in it",
    ),
    ("apiserver.probe.path", "readyz", "\"readyz\" does not begin with /; write it as /readyz"),
    (
        "apiserver.probe.path",
        "https://h/readyz",
        "\"https://h/readyz\" is an URL, want its path; write it as /readyz",
    ),
    ("apiserver.probe.path", "/a b", "\"/a b\" is no path of an HTTP request"),
    ("apiserver.probe.period", "99ms", "\"99ms\" is out of range, want 100ms to 10s"),
    ("apiserver.probe.timeout", "11s", "\"11s\" is out of range, want 50ms to 10s"),
    ("apiserver.probe.failureThreshold", "0", "\"0\" is out of range, want 1 to 10"),
    ("announce.burst", "", "want at least one announcement; write it as [0ms, 200ms]"),
    ("announce.burst", "10001ms", "\"10001ms\" is out of range, want 0ms to 10s"),
    ("announce.refresh", "999ms", "\"999ms\" is out of range, want 1s to 3600s"),
    (
        "balancer.listen",
        "6443",
        "6443 is the API server's own port; give another one, clients do not see it",
    ),
    (
        "balancer.listen",
        "127.0.0.1:7000",
        "127.0.0.1:7000 has an address, and the control plane's balancer listens on the VIP; write 7000",
    ),
    ("balancer.enabled", "yes", "\"yes\" is no truth value; write true"),
    ("balancer.port", "0", "\"0\" is out of range, want 1 to 65535"),
    (
        "balancer.listen",
        "x",
        "\"x\" is neither PORT nor ADDRESS:PORT; write it as 6444 or 127.0.0.1:6444",
    ),
    (
        "balancer.algorithm",
        "round-robbin",
        "\"round-robbin\" is not one of least-connections, round-robin, source-hash; did you mean round-robin?",
    ),
    (
        "telemetry.log",
        "warning",
        "\"warning\" is not one of error, warn, info, debug, trace; did you mean warn?",
    ),
    (
        "telemetry.log",
        "true\u{1b}[2J",
        "\"true\\u{1b}[2J\" is not one of error, warn, info, debug, trace",
    ),
];
