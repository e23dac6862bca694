//! Whether a balancer could run here, and clients reach it: its port, its descriptors, its rules, the host's own.

use pintle_core::config::Config;
use pintle_net::{Redirect, gates};

use super::finding::{Finding, fail, ok, warn};
use crate::front::{Place, place};

/// The tables of iptables that are not nftables' (`iptables-legacy`, `ip6tables-legacy`).
const LEGACY_TABLES: [&str; 2] = ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"];

/// A finding for each.
pub(super) fn balancer(config: &Config, is_running: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut port = config.apiserver.address.port();
    if let Some(place) = place(config) {
        port = place.port;
        if !is_running {
            findings.push(listener(&place));
        }
        if let Some(to) = place.redirect_to {
            findings.push(match Redirect::rehearse(&config.vips, port, to) {
                Ok(()) => {
                    ok(format!("nftables takes the rules that lead VIP:{port} to the balancer"))
                }
                Err(error) => fail(error.to_string(), "or set balancer.enabled to false"),
            });
        }
    }
    findings.push(firewall(port));
    findings.extend(legacy(port));
    findings
}

fn listener(place: &Place) -> Finding {
    match pintle_balancer::check(&place.config) {
        Ok(()) => ok(format!(
            "the balancer's port is free, and {} connections fit into the limit of open files",
            place.config.max_connections
        )),
        Err(error) => fail(error.to_string(), ""),
    }
}

/// The firewall sees the port that clients use, also where another one is behind it (ADR 0013).
fn firewall(port: u16) -> Finding {
    let gates = match gates(port) {
        Ok(gates) => gates,
        Err(error) => {
            return warn(
                format!("the host's firewall cannot be read: {error}"),
                &format!("see that it admits tcp {port}"),
            );
        }
    };
    let silent: Vec<&str> =
        gates.iter().filter(|gate| !gate.names_port).map(|gate| gate.chain.as_str()).collect();
    if !silent.is_empty() {
        return warn(
            format!(
                "the host's firewall lets in only whom it names, and no rule names tcp {port}: {}",
                silent.join(", ")
            ),
            &format!("admit tcp {port} there, or the clients of other hosts reach nobody here"),
        );
    }
    ok(if gates.is_empty() {
        "nftables lets new connections in".to_owned()
    } else {
        format!("the host's firewall has rules for tcp {port}")
    })
}

fn legacy(port: u16) -> Option<Finding> {
    let filters = |path: &&str| {
        std::fs::read_to_string(path).is_ok_and(|tables| tables.lines().any(|it| it == "filter"))
    };
    LEGACY_TABLES.iter().any(filters).then(|| {
        warn(
            "iptables-legacy has rules, too, which are not looked at",
            &format!("see that its INPUT admits tcp {port}: iptables-legacy -S INPUT, ip6tables-legacy -S INPUT"),
        )
    })
}
