//! kube-vip's flags, which its `manager` takes beside the variables (its `cmd/kube-vip.go`): each is a
//! variable by another name. A variable that is set wins, as it does there.

use std::collections::BTreeMap;

/// The flags that are variables by another name: those of a control plane by ARP, and those that switch something
/// else on.
const FLAGS: &[(&str, &str)] = &[
    ("address", "address"),
    ("allowInterfaceNotUp", "vip_allow_interface_not_up"),
    ("annotations", "annotation"),
    ("arp", "vip_arp"),
    ("autodetectcp", "cp_detect"),
    ("bgp", "bgp_enable"),
    ("cidr", "vip_cidr"),
    ("controlplane", "cp_enable"),
    ("ddns", "vip_ddns"),
    ("dnsMode", "dns_mode"),
    ("enableLoadBalancer", "lb_enable"),
    ("enableNodeLabeling", "enable_node_labeling"),
    ("healthCheckPort", "health_check_port"),
    ("interface", "vip_interface"),
    ("k8sConfigPath", "k8s_config_file"),
    ("lbForwardingMethod", "lb_fwdmethod"),
    ("lbPort", "lb_port"),
    ("leaderElection", "vip_leaderelection"),
    ("leaseDuration", "vip_leaseduration"),
    ("leaseName", "vip_leasename"),
    ("leaseRenewDuration", "vip_renewdeadline"),
    ("leaseRetry", "vip_retryperiod"),
    ("log", "vip_loglevel"),
    ("loseLeadership", "vip_loseleadership"),
    ("namespace", "cp_namespace"),
    ("nodeName", "vip_nodename"),
    ("peerPass", "bgp_peerpass"),
    ("port", "port"),
    ("preserveVipOnLeadershipLoss", "vip_preserve_on_leadership_loss"),
    ("prometheusHTTPServer", "prometheus_server"),
    ("serviceInterface", "vip_servicesinterface"),
    ("services", "svc_enable"),
    ("servicesElection", "svc_election"),
    ("table", "vip_routingtable"),
    ("vip", "vip_address"),
    ("vipSubnet", "vip_subnet"),
    ("wireguard", "vip_wireguard"),
    ("zebra", "zebra_enable"),
];

/// pintle finds out by itself what this one says.
const NEEDLESS: &[&str] = &["inCluster"];

/// The variables that these arguments stand for, and a warning for each that stands for none.
pub(crate) fn flags(arguments: &[String]) -> (BTreeMap<String, String>, Vec<String>) {
    let (mut variables, mut warnings) = (BTreeMap::new(), Vec::new());
    let mut rest = arguments.iter().peekable();
    while let Some(argument) = rest.next() {
        let Some(flag) = argument.strip_prefix("--").filter(|flag| !flag.is_empty()) else {
            warnings.push(format!("the argument {argument:?} has no effect: leave it out"));
            continue;
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => (
                flag,
                rest.next_if(|next| !next.starts_with("--"))
                    .cloned()
                    .unwrap_or_else(|| "true".to_owned()),
            ),
        };
        if let Some((_, variable)) = FLAGS.iter().find(|(known, _)| *known == name) {
            variables.insert((*variable).to_owned(), value);
        } else if !NEEDLESS.contains(&name) {
            warnings
                .push(format!("--{name} has no effect: set the variable instead, or leave it out"));
        }
    }
    (variables, warnings)
}
