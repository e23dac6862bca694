//! Every key of the configuration: its default with the reason, its meaning, its variable, its flag.
//!
//! The one table behind the reader, `--help`, the defaults file and the documentation.

/// What `apiVersion` must say.
pub const API_VERSION: &str = "pintle.dev/v1alpha1";
/// What `kind` must say.
pub const KIND: &str = "Config";

/// One key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its path in the file: `election.leaseDuration`.
    pub path: &'static str,
    /// Whether it takes one value or several.
    pub shape: Shape,
    /// What holds when it is not given.
    pub fallback: Fallback,
    /// Its own flag, without the dashes; any other key is given with `--set KEY=VALUE`.
    pub flag: Option<&'static str>,
    /// What the value is, in one word for usage texts.
    pub value_name: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Why the default is what it is.
    pub reason: &'static str,
}

/// Whether a key takes one value or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One value.
    One,
    /// A list; in variables and flags its items are separated by commas.
    List,
}

/// What holds when a key is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// This text, read like one that was given; a list's items are separated by commas.
    Text(&'static str),
    /// It must be given, for example like this.
    Required(&'static str),
    /// It is found on the node.
    Found {
        /// How.
        how: &'static str,
        /// What it may be.
        example: &'static str,
    },
}

/// Every key, in the order of the file.
pub const KEYS: &[Key] = &[
    Key {
        path: "role",
        shape: Shape::One,
        fallback: Fallback::Text("control-plane"),
        flag: None,
        value_name: "ROLE",
        meaning: "What this pintle is: `control-plane`, or `proxy`, the node-local balancer of a worker (docs/proxy.md)",
        reason: "the VIP is what most are here for",
    },
    Key {
        path: "node",
        shape: Shape::One,
        fallback: Fallback::Found { how: "`NODE_NAME`, else the host name", example: "cp-1" },
        flag: Some("node"),
        value_name: "NAME",
        meaning: "This node's name: its identity in the Lease, different on every node",
        reason: "the kubelet names nodes after the host, and a pod learns the name as NODE_NAME",
    },
    Key {
        path: "vips",
        shape: Shape::List,
        fallback: Fallback::Required("192.0.2.10"),
        flag: Some("vip"),
        value_name: "ADDRESS",
        meaning: "The virtual addresses: one IPv4, one IPv6, or one of each; they move together",
        reason: "only the operator knows",
    },
    Key {
        path: "interface",
        shape: Shape::One,
        fallback: Fallback::Found {
            how: "the link whose subnet holds the VIP, else the default route's",
            example: "eth0",
        },
        flag: Some("interface"),
        value_name: "LINK",
        meaning: "The link that carries the VIPs",
        reason: "neighbours only ask for an address on the link of its subnet",
    },
    Key {
        path: "election.namespace",
        shape: Shape::One,
        fallback: Fallback::Text("kube-system"),
        flag: Some("namespace"),
        value_name: "NAMESPACE",
        meaning: "The Lease's namespace",
        reason: "exists in every cluster from the first second and belongs to the control plane",
    },
    Key {
        path: "election.lease",
        shape: Shape::One,
        fallback: Fallback::Text("pintle"),
        flag: Some("lease"),
        value_name: "NAME",
        meaning: "The Lease's name; one per set of VIPs",
        reason: "one front door per cluster is the rule",
    },
    Key {
        path: "election.leaseDuration",
        shape: Shape::One,
        fallback: Fallback::Text("2500ms"),
        flag: Some("lease-duration"),
        value_name: "DURATION",
        meaning: "How long the others wait after the last renewal they saw: 1100ms to 60s, at least 100ms more than `renewDeadline`",
        reason: "about the shortest that outlives etcd's own leader election (1.0 to 1.9 s and one attempt)",
    },
    Key {
        path: "election.renewDeadline",
        shape: Shape::One,
        fallback: Fallback::Text("2300ms"),
        flag: Some("renew-deadline"),
        value_name: "DURATION",
        meaning: "How long the right to the VIPs lasts, from the moment the last good renewal was sent: at least 1s",
        reason: "leaves 200 ms of the lease for unbinding and for clocks that run at different rates",
    },
    Key {
        path: "election.retryPeriod",
        shape: Shape::One,
        fallback: Fallback::Text("500ms"),
        flag: Some("retry-period"),
        value_name: "DURATION",
        meaning: "From one renewal to the next: at least 50ms, at most half of `renewDeadline`",
        reason: "four renewals fit into the deadline, and two writes a second are nothing to etcd",
    },
    Key {
        path: "election.onApiLoss",
        shape: Shape::One,
        fallback: Fallback::Text("hold"),
        flag: Some("on-api-loss"),
        value_name: "REACTION",
        meaning: "What a holder does when no API server can be written: `hold` the VIPs until anything speaks against it, or `release` them at the deadline",
        reason: "when nobody can write nobody can take over, and an address without an owner helps no one",
    },
    Key {
        path: "election.priority",
        shape: Shape::One,
        fallback: Fallback::Text("0"),
        flag: Some("priority"),
        value_name: "NUMBER",
        meaning: "Who comes first when the Lease is vacant: -4 to 4, higher wins. A candidate waits (4 - priority) * 5 ms, and up to 5 ms more, once it is",
        reason: "all nodes are alike",
    },
    Key {
        path: "apiserver.address",
        shape: Shape::One,
        fallback: Fallback::Text("127.0.0.1:6443"),
        flag: Some("apiserver"),
        value_name: "ADDRESS:PORT",
        meaning: "Where this node's API server listens; never the VIP",
        reason: "kubeadm's port, by a way that needs no network",
    },
    Key {
        path: "apiserver.serverName",
        shape: Shape::One,
        fallback: Fallback::Text("kubernetes"),
        flag: None,
        value_name: "NAME",
        meaning: "The name that the API servers' certificates are verified under",
        reason: "kubeadm puts it into every API server's certificate",
    },
    Key {
        path: "apiserver.kubeconfigs",
        shape: Shape::List,
        fallback: Fallback::Text("/etc/kubernetes/admin.conf,/etc/kubernetes/super-admin.conf"),
        flag: Some("kubeconfig"),
        value_name: "FILE",
        meaning: "Credentials, best first: absolute paths, at most 8; after them come the pod's own (in-cluster)",
        reason: "before `kubeadm init` has finished only super-admin.conf is authorised, afterwards admin.conf is",
    },
    Key {
        path: "apiserver.probe.path",
        shape: Shape::One,
        fallback: Fallback::Text("/readyz"),
        flag: None,
        value_name: "PATH",
        meaning: "What a probe asks for",
        reason: "says no while the API server drains, before connections fail",
    },
    Key {
        path: "apiserver.probe.period",
        shape: Shape::One,
        fallback: Fallback::Text("500ms"),
        flag: None,
        value_name: "DURATION",
        meaning: "From one probe to the next: 100ms to 10s",
        reason: "a hang is noticed within two and a half seconds at next to no cost",
    },
    Key {
        path: "apiserver.probe.timeout",
        shape: Shape::One,
        fallback: Fallback::Text("700ms"),
        flag: None,
        value_name: "DURATION",
        meaning: "Bound of one probe: 50ms to 10s",
        reason: "longer than an API server's pauses under load, shorter than a client's patience",
    },
    Key {
        path: "apiserver.probe.failureThreshold",
        shape: Shape::One,
        fallback: Fallback::Text("3"),
        flag: None,
        value_name: "NUMBER",
        meaning: "So many failures in a row make the API server unfit: 1 to 10",
        reason: "moving the VIP costs more than one slow answer",
    },
    Key {
        path: "apiserver.probe.successThreshold",
        shape: Shape::One,
        fallback: Fallback::Text("2"),
        flag: None,
        value_name: "NUMBER",
        meaning: "So many successes in a row make it fit again: 1 to 10",
        reason: "an API server that has just started may fall over once more",
    },
    Key {
        path: "announce.burst",
        shape: Shape::List,
        fallback: Fallback::Text("0ms,50ms,200ms,1100ms,2200ms,3300ms"),
        flag: None,
        value_name: "DURATION",
        meaning: "When a bound VIP is announced, counted from the bind: ascending, 1 to 16 times, at most 10s",
        reason: "at once, again in case a frame was lost, and past switches that limit ARP to one a second",
    },
    Key {
        path: "announce.refresh",
        shape: Shape::One,
        fallback: Fallback::Text("60s"),
        flag: None,
        value_name: "DURATION",
        meaning: "How often it is announced after that: 1s to 1h",
        reason: "repairs a neighbour that missed the burst without filling the segment",
    },
    Key {
        path: "balancer.enabled",
        shape: Shape::One,
        fallback: Fallback::Text("false"),
        flag: None,
        value_name: "BOOLEAN",
        meaning: "Balance connections over every API server",
        reason: "a VIP on a fit node is enough for most clusters, and nftables rules are the host's",
    },
    Key {
        path: "balancer.port",
        shape: Shape::One,
        fallback: Fallback::Text("6443"),
        flag: None,
        value_name: "PORT",
        meaning: "The port that clients use on the VIP",
        reason: "the API server's own, so that clients need not know of the balancer",
    },
    Key {
        path: "balancer.listen",
        shape: Shape::One,
        fallback: Fallback::Text("6444"),
        flag: None,
        value_name: "PORT or ADDRESS:PORT",
        meaning: "Where on the VIP it listens when `balancer.port` is the API server's own: clients do not see it. With `role: proxy` where clients connect to, on the loopback",
        reason: "next to the API server's port, which is taken on every address",
    },
    Key {
        path: "balancer.algorithm",
        shape: Shape::One,
        fallback: Fallback::Text("least-connections"),
        flag: None,
        value_name: "ALGORITHM",
        meaning: "Which API server gets a connection: `least-connections`, `round-robin` or `source-hash`",
        reason: "connections to API servers live for hours, so counting them is what balances",
    },
    Key {
        path: "balancer.maxConnections",
        shape: Shape::One,
        fallback: Fallback::Text("8000"),
        flag: None,
        value_name: "NUMBER",
        meaning: "How many connections at once: 1 to 1000000, two descriptors each",
        reason: "16000 descriptors are within what container runtimes usually grant",
    },
    Key {
        path: "balancer.backends",
        shape: Shape::List,
        fallback: Fallback::Text(""),
        flag: None,
        value_name: "ADDRESS:PORT",
        meaning: "API servers beside those that are discovered, at most 15",
        reason: "the cluster knows its own API servers",
    },
    Key {
        path: "balancer.shedRate",
        shape: Shape::One,
        fallback: Fallback::Text("10"),
        flag: None,
        value_name: "NUMBER",
        meaning: "Connections a second that are ended so that their clients move to an API server that came back: 0 (never) to 1000",
        reason: "a hundred watches have moved in ten seconds, and nobody notices ten new ones a second",
    },
    Key {
        path: "balancer.shedFloor",
        shape: Shape::One,
        fallback: Fallback::Text("20"),
        flag: None,
        value_name: "NUMBER",
        meaning: "An API server with no more connections keeps them",
        reason: "so few are no burden",
    },
    Key {
        path: "telemetry.address",
        shape: Shape::One,
        fallback: Fallback::Text("127.0.0.1:9810"),
        flag: Some("telemetry-address"),
        value_name: "ADDRESS:PORT",
        meaning: "Where `/livez`, `/readyz`, `/metrics` and `/status` are served",
        reason: "reached by the kubelet and `pintle status`, and by nobody off the node",
    },
    Key {
        path: "telemetry.metricsAddress",
        shape: Shape::One,
        fallback: Fallback::Text(""),
        flag: Some("metrics-address"),
        value_name: "ADDRESS:PORT",
        meaning: "Where `/metrics` alone is served, for scrapers off the node; empty: nowhere",
        reason: "nothing listens on the network unless it was asked for",
    },
    Key {
        path: "telemetry.log",
        shape: Shape::One,
        fallback: Fallback::Text("info"),
        flag: Some("log"),
        value_name: "LEVEL",
        meaning: "How much is logged: `error`, `warn`, `info`, `debug` or `trace`",
        reason: "one line per change of ownership and nothing else to read",
    },
    Key {
        path: "telemetry.format",
        shape: Shape::One,
        fallback: Fallback::Text("text"),
        flag: Some("log-format"),
        value_name: "FORMAT",
        meaning: "How a log line is written: `text` or `json`",
        reason: "`kubectl logs` is read by people",
    },
];

/// The key at `path`.
#[must_use]
pub fn key(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

// === impl Key ===

impl Key {
    /// The environment variable that sets it: `PINTLE_ELECTION_LEASE_DURATION`.
    #[must_use]
    pub fn variable(&self) -> String {
        let mut name = String::from("PINTLE_");
        for letter in self.path.chars() {
            match letter {
                '.' => name.push('_'),
                letter if letter.is_ascii_uppercase() => {
                    name.push('_');
                    name.push(letter);
                }
                letter => name.push(letter.to_ascii_uppercase()),
            }
        }
        name
    }

    /// The last word of its path.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// What holds when it is not given, in the documentation's words.
    #[must_use]
    pub fn default_text(&self) -> String {
        super::reference::default_text(self.fallback, self.shape)
    }
}
