//! `pintle manager`: kube-vip's environment variables as settings of pintle's, so that one of its
//! control-plane manifests runs with another image. A pure translation: texts in, arguments and words
//! out; the core judges the values under the names that the operator wrote.
//!
//! Nothing that is set is passed over in silence: it is a setting, or in one warning, or a refusal.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use pintle_core::config::Argument;

mod flags;
mod table;

pub(crate) use flags::flags;
use table::{Meaning, Variable, meaning};

/// The Lease that kube-vip's control plane uses when nothing else is said.
const DEFAULT_LEASE: &str = "plndr-cp-lock";

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
            // An address ends with its port.
            if !environment[newer].trim_end_matches('/').ends_with(value.as_str()) {
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
    translation.require_what_pintle_does(environment);
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
fn is_true(value: &str) -> bool {
    matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

// === impl Translation ===

impl Translation {
    fn take(&mut self, name: &str, value: &str, meaning: Meaning) {
        match meaning {
            Meaning::Setting(key) => self.set(name, key, value.to_owned()),
            Meaning::Seconds(key) => self.set(name, key, format!("{value}s")),
            Meaning::ApiServerPort => {
                self.set(name, "apiserver.address", format!("127.0.0.1:{value}"));
            }
            Meaning::ApiServerAddress => {
                let address = value.trim_start_matches("https://").trim_end_matches('/');
                match local_address(address) {
                    Some(address) => self.set(name, "apiserver.address", address),
                    None => self
                        .warn(name, "pintle asks the API server of its own host, 127.0.0.1:6443"),
                }
            }
            Meaning::MetricsAddress => {
                let address =
                    if value.starts_with(':') { format!("[::]{value}") } else { value.to_owned() };
                self.set(name, "telemetry.metricsAddress", address);
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
            Meaning::Switch => {}
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

    /// What kube-vip does only when it is told to, and pintle always.
    fn require_what_pintle_does(&mut self, environment: &BTreeMap<String, String>) {
        let is_on = |name: &str| environment.get(name).is_some_and(|value| is_true(value));
        if environment.get("vip_leaderelection").is_some_and(|value| !is_true(value)) {
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

/// The local API server's address: as it is, or behind the names that kube-vip's manifests give to
/// 127.0.0.1 by `hostAliases`. `None` for a name that would have to be looked up.
fn local_address(address: &str) -> Option<String> {
    if address.parse::<SocketAddr>().is_ok() {
        return Some(address.to_owned());
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
