//! kube-vip's variables, from its 0.4 line to 1.2.3 (its `pkg/kubevip/config_envvar.go`), in their order,
//! and what each means here.

/// What a variable means to pintle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The value of this key, as it is.
    Setting(&'static str),
    /// The value of this key, in seconds.
    Seconds(&'static str),
    /// A number.
    LogLevel,
    /// The VIP's prefix length, one for each family.
    PrefixLength,
    /// Looked at together with others: what it is.
    Whole(&'static str),
    /// True or false, looked at together with others.
    Switch,
    /// No effect: what to do instead.
    Instead(&'static str),
    /// No effect when it is true; nothing is lost when it is not.
    InsteadIfOn(&'static str),
    /// Pintle does not do this, and must not run as if it did.
    RefusedIfOn(&'static str),
}

/// A variable.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) name: &'static str,
    pub(super) meaning: Meaning,
    /// The name that kube-vip uses since, which counts when both are set.
    pub(super) newer: Option<&'static str>,
}

const OF_SERVICES: Meaning =
    Meaning::Instead("it is about Services, which pintle does not do: leave it out");
const OF_BGP: Meaning = Meaning::Instead("it is about BGP, which pintle does not do: leave it out");
const OF_ROUTES: Meaning =
    Meaning::Instead("it is about routing tables, which pintle does not do: leave it out");
const OF_RAFT: Meaning = Meaning::Instead("pintle elects by the Lease: leave it out");
const OF_BALANCER: Meaning =
    Meaning::Instead("pintle finds and probes the API servers by itself: leave it out");

const fn of(name: &'static str, meaning: Meaning) -> Variable {
    Variable { name, meaning, newer: None }
}

const fn old(name: &'static str, newer: &'static str, meaning: Meaning) -> Variable {
    Variable { name, meaning, newer: Some(newer) }
}

pub(super) fn meaning(name: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|variable| variable.name == name)
}

pub(super) static VARIABLES: &[Variable] = &[
    of("vip_arp", Meaning::Switch),
    of(
        "vip_arpRate",
        Meaning::Instead(
            "pintle announces in a burst and then each announce.refresh (60s): leave it out",
        ),
    ),
    of("vip_leaderelection", Meaning::Switch),
    of("vip_leasename", Meaning::Setting("election.lease")),
    of("vip_leaseduration", Meaning::Seconds("election.leaseDuration")),
    of("vip_renewdeadline", Meaning::Seconds("election.renewDeadline")),
    of("vip_retryperiod", Meaning::Seconds("election.retryPeriod")),
    of(
        "vip_leaseannotations",
        Meaning::Instead("the annotations of the Lease are pintle's: leave it out"),
    ),
    of("vip_loglevel", Meaning::LogLevel),
    of("vip_interface", Meaning::Setting("interface")),
    of(
        "vip_interfaceloglobal",
        Meaning::InsteadIfOn("pintle announces on a link: set vip_interface to one"),
    ),
    of("vip_servicesinterface", OF_SERVICES),
    of(
        "vip_allow_interface_not_up",
        Meaning::InsteadIfOn("pintle starts without carrier and waits for it: leave it out"),
    ),
    of("vip_subnet", Meaning::PrefixLength),
    old("vip_cidr", "vip_subnet", Meaning::PrefixLength),
    of(
        "vip_skipdad",
        Meaning::InsteadIfOn("pintle asks the segment itself before it binds: leave it out"),
    ),
    of(
        "vip_preserve_on_leadership_loss",
        Meaning::InsteadIfOn("election.onApiLoss (hold) says when the VIP is kept: leave it out"),
    ),
    of(
        "vip_loseleadership",
        Meaning::InsteadIfOn(
            "pintle always gives the VIP up when its link loses carrier: leave it out",
        ),
    ),
    of(
        "vip_loseleadership_timeout_seconds",
        Meaning::Instead(
            "pintle gives the VIP up at once when its link loses carrier: leave it out",
        ),
    ),
    old("vip_address", "address", Meaning::Setting("vips")),
    of("address", Meaning::Setting("vips")),
    of("port", Meaning::Whole("the port of `apiserver.address` (127.0.0.1), and so of the VIP")),
    of("annotation", OF_BGP),
    of("vip_ddns", Meaning::RefusedIfOn("pintle has no DHCP: set address to a fixed address")),
    of("vip_nodename", Meaning::Setting("node")),
    of("vip_singlenode", OF_RAFT),
    of("vip_startleader", OF_RAFT),
    of("vip_peers", OF_RAFT),
    of("vip_localpeer", OF_RAFT),
    of("vip_remotepeers", OF_RAFT),
    of("vip_addpeerstolb", OF_RAFT),
    of("vip_packet", Meaning::RefusedIfOn("pintle does not do Equinix Metal's API; keep kube-vip")),
    of(
        "vip_packetproject",
        Meaning::Instead("pintle does not do Equinix Metal's API: leave it out"),
    ),
    of(
        "vip_packetprojectid",
        Meaning::Instead("pintle does not do Equinix Metal's API: leave it out"),
    ),
    of("provider_config", Meaning::Instead("pintle does not do Equinix Metal's API: leave it out")),
    of(
        "vip_configmap",
        Meaning::Instead("kube-vip does not read it any more either: leave it out"),
    ),
    of("bgp_enable", Meaning::RefusedIfOn("pintle does not do BGP; keep kube-vip")),
    of("bgp_routerid", OF_BGP),
    of("bgp_routerinterface", OF_BGP),
    of("bgp_as", OF_BGP),
    of("bgp_peeraddress", OF_BGP),
    of("bgp_peers", OF_BGP),
    of("bgp_peeras", OF_BGP),
    of("bgp_peerpass", OF_BGP),
    of("bgp_multihop", OF_BGP),
    of("bgp_sourceif", OF_BGP),
    of("bgp_source_if", OF_BGP),
    of("bgp_source_ip", OF_BGP),
    of("bgp_sourceip", OF_BGP),
    of("bgp_hold_time", OF_BGP),
    of("bgp_keepalive_interval", OF_BGP),
    of("bgp_attach_ip_to_interface", OF_BGP),
    of("zebra_enable", Meaning::RefusedIfOn("pintle does not do BGP; keep kube-vip")),
    of("zebra_url", OF_BGP),
    of("zebra_version", OF_BGP),
    of("zebra_software_name", OF_BGP),
    of("mpbgp_nexthop", OF_BGP),
    of("mpbgp_ipv4", OF_BGP),
    of("mpbgp_ipv6", OF_BGP),
    of("vip_wireguard", Meaning::RefusedIfOn("pintle does not do WireGuard; keep kube-vip")),
    of("vip_routingtable", Meaning::RefusedIfOn("pintle does not write routes; keep kube-vip")),
    of("vip_routingtableid", OF_ROUTES),
    of("vip_routingtabletype", OF_ROUTES),
    of("vip_routingprotocol", OF_ROUTES),
    of("vip_cleanroutingtable", OF_ROUTES),
    of("cp_namespace", Meaning::Setting("election.namespace")),
    of("cp_enable", Meaning::Switch),
    of(
        "cp_detect",
        Meaning::InsteadIfOn(
            "set kubernetes_addr where the API server does not listen on 127.0.0.1:6443",
        ),
    ),
    of(
        "kubernetes_addr",
        Meaning::Whole(
            "`apiserver.address`, where it is a loopback address or a name of 127.0.0.1",
        ),
    ),
    of(
        "control_plane_health_check_address",
        Meaning::Instead(
            "pintle probes the local API server by itself (apiserver.probe): leave it out",
        ),
    ),
    of(
        "control_plane_health_check_period_seconds",
        Meaning::Instead("apiserver.probe.period is pintle's: leave it out"),
    ),
    of(
        "control_plane_health_check_timeout_seconds",
        Meaning::Instead("apiserver.probe.timeout is pintle's: leave it out"),
    ),
    of(
        "control_plane_health_check_failure_threshold",
        Meaning::Instead("apiserver.probe.failureThreshold is pintle's: leave it out"),
    ),
    of(
        "control_plane_health_check_ca_path",
        Meaning::Instead("pintle takes the CA from its kubeconfig: leave it out"),
    ),
    of(
        "svc_enable",
        Meaning::RefusedIfOn(
            "pintle does not do Services of type LoadBalancer; keep a kube-vip with cp_enable=false for them, and set svc_enable=false here",
        ),
    ),
    of("svc_namespace", OF_SERVICES),
    of("svc_election", OF_SERVICES),
    of("svc_leasename", OF_SERVICES),
    of("per_service_election_on_demand", OF_SERVICES),
    of("lb_class_only", OF_SERVICES),
    of("lb_class_name", OF_SERVICES),
    of("lb_class_legacy_handling", OF_SERVICES),
    of("lb_enable", Meaning::Whole("`balancer.enabled`: connections go to every API server")),
    of("lb_port", Meaning::Whole("`balancer.port`, where lb_enable is true")),
    of(
        "lb_fwdmethod",
        Meaning::Instead("pintle's balancer moves bytes, it forwards no packets: leave it out"),
    ),
    of("lb_backendport", OF_BALANCER),
    of("lb_name", OF_BALANCER),
    of("lb_type", OF_BALANCER),
    of("lb_bindtovip", OF_BALANCER),
    of("lb_backends", OF_BALANCER),
    of("backend_health_check_interval", OF_BALANCER),
    of("iptables_backend", OF_BALANCER),
    of("enable_service_security", OF_SERVICES),
    of(
        "enable_node_labeling",
        Meaning::InsteadIfOn("`kubectl get lease` says who holds the VIP; pintle labels no node"),
    ),
    of(
        "prometheus_server",
        Meaning::Whole("`telemetry.metricsAddress`; `:2112` is every address of the VIP's family"),
    ),
    of("k8s_config_file", Meaning::Whole("`apiserver.kubeconfigs`, before pintle's own defaults")),
    of("dns_mode", Meaning::Instead("pintle resolves no names: set address to addresses")),
    of("dhcp_mode", Meaning::Instead("pintle has no DHCP: leave it out")),
    of("dhcp_backoff_attempts", Meaning::Instead("pintle has no DHCP: leave it out")),
    of("disable_service_updates", OF_SERVICES),
    of("enable_endpoints", Meaning::InsteadIfOn("pintle reads EndpointSlices: leave it out")),
    of("enable_endpointslices", Meaning::Switch),
    of("mirror_dest_interface", OF_SERVICES),
    of(
        "health_check_port",
        Meaning::Instead("probe /livez at telemetry.address (127.0.0.1:9810) instead"),
    ),
    of("enable_upnp", OF_SERVICES),
    of("egress_podcidr", OF_SERVICES),
    of("egress_servicecidr", OF_SERVICES),
    of("egress_withnftables", OF_SERVICES),
    of("egress_enableinternalsnat", OF_SERVICES),
    of("egress_clean", OF_SERVICES),
    of(
        "config_file",
        Meaning::Instead(
            "pintle reads no file of kube-vip's: set the variables, or use `pintle run --config`",
        ),
    ),
    of("instance_name", Meaning::Instead("pintle is told apart by its Lease: leave it out")),
    of("debounce_time", OF_SERVICES),
];
