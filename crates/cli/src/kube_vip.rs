//! `pintle manager`: kube-vip's environment variables as settings of pintle's, so that one of its
//! control-plane manifests runs with another image. A pure translation: texts in, arguments and words
//! out; the core judges the values under the names that the operator wrote.
//!
//! Nothing that is set is passed over in silence: it is a setting, or in one warning, or a refusal.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use pintle_core::config::Argument;

mod flags;
mod table;

pub(crate) use flags::{Flags, flags};
use table::{Meaning, Variable, meaning};

/// The Lease that kube-vip's control plane uses when nothing else is said.
const DEFAULT_LEASE: &str = "plndr-cp-lock";

/// Where kubeadm's API servers listen.
const API_SERVER_PORT: u16 = 6443;

/// pintle's own defaults.
pub(crate) const ADMIN: &str = "/etc/kubernetes/admin.conf";
const SUPER_ADMIN: &str = "/etc/kubernetes/super-admin.conf";

/// What came of the variables.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Translation {
    /// Settings, each under the variable's name.
    pub(crate) arguments: Vec<Argument>,
    /// What is set and has no effect, with what to do instead: one line each.
    pub(crate) warnings: Vec<String>,
    /// What pintle would have to pretend: one line each. Then nothing must start.
    pub(crate) refusals: Vec<String>,
}

/// Translates the variables of a container, whichever of them are kube-vip's.
pub(crate) fn translate(environment: &BTreeMap<String, String>) -> Translation {
    let mut translation = Translation::default();
    let set = environment.iter().filter(|(_, value)| !value.is_empty());
    let is_set = |name: &str| environment.get(name).is_some_and(|value| !value.is_empty());
    for (name, value) in set {
        let newer = meaning(name).and_then(|variable| variable.newer).filter(|newer| is_set(newer));
        if let Some(newer) = newer {
            if environment[newer] != *value {
                translation.warn(name, &format!("{newer} is set, too, and counts"));
            }
            continue;
        }
        match meaning(name) {
            Some(Variable { meaning, .. }) => translation.take(name, value, *meaning),
            None if is_kube_vips(name) => translation.warnings.push(format!(
                "{name} is not a variable that pintle knows, and has no effect: correct it, or leave it out"
            )),
            None => {}
        }
    }
    translation.look_at_the_whole(environment);
    if !is_set("vip_leasename") {
        translation.set("vip_leasename", "election.lease", DEFAULT_LEASE.to_owned());
    }
    translation
}

/// Variables in small letters are an application's own; those that every container may have are not.
fn is_kube_vips(name: &str) -> bool {
    let is_common =
        matches!(name, "http_proxy" | "https_proxy" | "no_proxy" | "all_proxy" | "container");
    !is_common && name.starts_with(|first: char| first.is_ascii_lowercase())
}

/// As Go's `strconv.ParseBool` reads it.
fn boolean(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn is_true(value: &str) -> bool {
    boolean(value) == Some(true)
}

// === impl Translation ===

impl Translation {
    fn take(&mut self, name: &str, value: &str, meaning: Meaning) {
        match meaning {
            Meaning::Setting(key) => self.set(name, key, value.to_owned()),
            Meaning::Seconds(key) => self.set(name, key, format!("{value}s")),
            Meaning::LogLevel if value.parse::<i32>().is_err() => {
                self.refusals.push(format!("{name}: {value:?} is no number"));
            }
            Meaning::LogLevel => self.set(name, "telemetry.log", log_level(value).to_owned()),
            Meaning::PrefixLength => {
                let is_host = |length: &str| {
                    matches!(length.trim().trim_start_matches('/'), "32" | "128" | "auto")
                };
                if !value.split(',').all(is_host) {
                    self.warn(
                        name,
                        "pintle binds a VIP as a single host (/32, /128): leave it out",
                    );
                }
            }
            Meaning::Switch | Meaning::InsteadIfOn(_) | Meaning::RefusedIfOn(_)
                if boolean(value).is_none() =>
            {
                self.refusals.push(format!("{name}: {value:?} is neither true nor false"));
            }
            Meaning::Whole(_) | Meaning::Switch => {}
            Meaning::Instead(advice) => self.warn(name, advice),
            Meaning::InsteadIfOn(advice) => {
                if is_true(value) {
                    self.warn(name, advice);
                }
            }
            Meaning::RefusedIfOn(advice) => {
                if is_true(value) {
                    self.refusals.push(format!("{name}={value}: {advice}"));
                }
            }
        }
    }

    /// What needs more than one variable, and what kube-vip does only when it is told to and pintle always.
    fn look_at_the_whole(&mut self, environment: &BTreeMap<String, String>) {
        let value = |name: &str| {
            environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
        };
        let is_on = |name: &str| value(name).is_some_and(is_true);
        if value("vip_leaderelection").is_some_and(|value| !is_true(value)) {
            self.warn("vip_leaderelection", "pintle always elects one holder: leave it out");
        }
        if !is_on("cp_enable") {
            self.refusals.push(
                "cp_enable is not true: pintle is the control plane's VIP and nothing else; for Services keep kube-vip"
                    .to_owned(),
            );
        }
        if !is_on("vip_arp") {
            self.refusals.push(
                "vip_arp is not true: pintle announces by ARP and neighbour discovery; for BGP and routing tables keep kube-vip"
                    .to_owned(),
            );
        }
        if let Some(word) = value("lb_enable").filter(|word| boolean(word).is_none()) {
            self.refusals.push(format!("lb_enable: {word:?} is neither true nor false"));
        }
        if is_on("lb_enable") {
            self.set("lb_enable", "balancer.enabled", "true".to_owned());
            if let Some(port) = value("lb_port") {
                self.set("lb_port", "balancer.port", port.to_owned());
            }
        } else if value("lb_port").is_some() {
            self.warn("lb_port", "lb_enable is not true: leave it out");
        }
        self.look_at_the_api_server(value("kubernetes_addr"), value("port"));
        if let Some(address) = value("prometheus_server") {
            let has_ipv6 = value("address").is_some_and(|address| address.contains(':'));
            let everywhere = if has_ipv6 { "[::]" } else { "0.0.0.0" };
            let host = if address.starts_with(':') { everywhere } else { "" };
            self.set("prometheus_server", "telemetry.metricsAddress", format!("{host}{address}"));
        }
        if let Some(file) = value("k8s_config_file").filter(|file| *file != ADMIN) {
            // kube-vip, too, goes on to admin.conf when the file is not there.
            let chain = format!("{file},{ADMIN},{SUPER_ADMIN}");
            self.set("k8s_config_file", "apiserver.kubeconfigs", chain);
        }
    }

    fn look_at_the_api_server(&mut self, address: Option<&str>, port: Option<&str>) {
        let given =
            address.map(|address| address.trim_start_matches("https://").trim_end_matches('/'));
        if let Some(local) = given.and_then(local_address) {
            if port.is_some_and(|port| !local.ends_with(&format!(":{port}"))) {
                self.warn("port", "kubernetes_addr is set, too, and counts");
            }
            return self.set("kubernetes_addr", "apiserver.address", local);
        }
        if given.is_some() {
            self.warn(
                "kubernetes_addr",
                "pintle asks the API server of its own host, at 127.0.0.1",
            );
        }
        if let Some(port) = port {
            self.set("port", "apiserver.address", format!("127.0.0.1:{port}"));
        }
    }

    fn set(&mut self, name: &str, key: &str, value: String) {
        self.arguments.push(Argument {
            flag: name.to_owned(),
            key: key.to_owned(),
            values: vec![value],
        });
    }

    /// Without the value: some of them are secrets (`bgp_peerpass`).
    fn warn(&mut self, name: &str, advice: &str) {
        self.warnings.push(format!("{name} has no effect: {advice}"));
    }
}

/// The local API server's address: a loopback one, or behind the names that kube-vip's manifests give to
/// 127.0.0.1 by `hostAliases`. `None` for any other, which is not this host's or would have to be looked up.
fn local_address(address: &str) -> Option<String> {
    let socket = address.parse::<SocketAddr>().ok();
    let plain = || address.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, API_SERVER_PORT));
    if let Some(socket) = socket.or_else(plain) {
        return socket.ip().is_loopback().then(|| socket.to_string());
    }
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "6443"));
    matches!(host, "kubernetes" | "localhost").then(|| format!("127.0.0.1:{port}"))
}

/// logrus' numbers up to 0.9 (4 info, 5 debug, 6 trace), slog's since (-4 debug, 0 info). Warnings and
/// errors are in every level; less than `info` would hide who has the VIP.
fn log_level(value: &str) -> &'static str {
    match value {
        "-4" | "5" | "6" => "debug",
        _ => "info",
    }
}

#[cfg(test)]
mod tests;
