//! kube-vip's flags, which its `manager` takes beside the variables (its `cmd/kube-vip.go`): each is a
//! variable by another name. A variable that is set wins, as it does there.

use std::collections::BTreeMap;

use Takes::{AValue, Nothing};

/// As pflag has it: what is true or false takes a value only after `=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    AValue,
    Nothing,
}

/// The flags that are variables by another name: those of a control plane by ARP, and those that switch
/// something else on.
const FLAGS: &[(&str, &str, Takes)] = &[
    ("address", "address", AValue),
    ("allowInterfaceNotUp", "vip_allow_interface_not_up", Nothing),
    ("annotations", "annotation", AValue),
    ("arp", "vip_arp", Nothing),
    ("autodetectcp", "cp_detect", Nothing),
    ("bgp", "bgp_enable", Nothing),
    ("cidr", "vip_cidr", AValue),
    ("controlplane", "cp_enable", Nothing),
    ("ddns", "vip_ddns", Nothing),
    ("dnsMode", "dns_mode", AValue),
    ("enableLoadBalancer", "lb_enable", Nothing),
    ("enableNodeLabeling", "enable_node_labeling", Nothing),
    ("healthCheckPort", "health_check_port", AValue),
    ("interface", "vip_interface", AValue),
    ("lbForwardingMethod", "lb_fwdmethod", AValue),
    ("lbPort", "lb_port", AValue),
    ("leaderElection", "vip_leaderelection", Nothing),
    ("leaseDuration", "vip_leaseduration", AValue),
    ("leaseName", "vip_leasename", AValue),
    ("leaseRenewDuration", "vip_renewdeadline", AValue),
    ("leaseRetry", "vip_retryperiod", AValue),
    ("log", "vip_loglevel", AValue),
    ("loseLeadership", "vip_loseleadership", Nothing),
    ("namespace", "cp_namespace", AValue),
    ("nodeName", "vip_nodename", AValue),
    ("peerPass", "bgp_peerpass", AValue),
    ("port", "port", AValue),
    ("preserveVipOnLeadershipLoss", "vip_preserve_on_leadership_loss", Nothing),
    ("prometheusHTTPServer", "prometheus_server", AValue),
    ("serviceInterface", "vip_servicesinterface", AValue),
    ("services", "svc_enable", Nothing),
    ("servicesElection", "svc_election", Nothing),
    ("table", "vip_routingtable", Nothing),
    ("vip", "vip_address", AValue),
    ("vipSubnet", "vip_subnet", AValue),
    ("wireguard", "vip_wireguard", Nothing),
    ("zebra", "zebra_enable", Nothing),
];

/// Its short forms.
const SHORT: &[(&str, &str)] = &[("c", "configMap"), ("n", "namespace")];

/// What came of the arguments.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    /// The variables that they stand for.
    pub(crate) variables: BTreeMap<String, String>,
    /// What has no effect: one line each.
    pub(crate) warnings: Vec<String>,
    /// What pintle would have to pretend: one line each.
    pub(crate) refusals: Vec<String>,
}

/// Takes kube-vip's arguments apart.
pub(crate) fn flags(arguments: &[String]) -> Flags {
    let mut flags = Flags::default();
    let mut rest = arguments.iter().peekable();
    while let Some(argument) = rest.next() {
        let Some((name, mut value)) = split(argument) else {
            flags.warnings.push(format!("the argument {argument:?} has no effect: leave it out"));
            continue;
        };
        let known = FLAGS.iter().find(|(known, ..)| *known == name);
        let takes = known.map_or(AValue, |(_, _, takes)| *takes);
        if value.is_none() && takes == AValue {
            value = rest.next_if(|next| !next.starts_with('-')).cloned();
        }
        let value = value.unwrap_or_else(|| "true".to_owned());
        match (known, name) {
            (Some((_, variable, _)), _) => {
                flags.variables.insert((*variable).to_owned(), value);
            }
            // pintle finds that out by itself.
            (None, "inCluster") => {}
            (None, "leaderElectionType") if value == "kubernetes" => {}
            (None, "leaderElectionType") => flags.refusals.push(format!(
                "--leaderElectionType={value}: pintle elects by a Lease, and kube-vips that elect otherwise would hold the VIP beside it"
            )),
            (None, "config-file") => flags.refusals.push(
                "--config-file: pintle does not read it, and the Lease may be named in it: set the variables".to_owned(),
            ),
            (None, _) => flags.warnings.push(format!(
                "--{name} has no effect: set the variable instead, or leave it out"
            )),
        }
    }
    flags
}

/// The long name of a flag, and the value after its `=`.
fn split(argument: &str) -> Option<(&str, Option<String>)> {
    let (flag, value) = match argument.split_once('=') {
        Some((flag, value)) => (flag, Some(value.to_owned())),
        None => (argument, None),
    };
    if let Some(name) = flag.strip_prefix("--") {
        return (!name.is_empty()).then_some((name, value));
    }
    let short = flag.strip_prefix('-')?;
    SHORT.iter().find(|(known, _)| *known == short).map(|(_, name)| (*name, value))
}
