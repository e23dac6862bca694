//! `pintle check`: is this node fit to run pintle. One finding a line, with what to do.
//!
//! Looks and asks, changes nothing. Each part goes on when another one fails.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use pintle_core::config::{Config, Configuration};
use pintle_core::{MacAddr, Vip};
use pintle_net::{Singleton, Survey, Taken};
use pintle_probe::certificate_covers;

use crate::board::list;
use crate::clock::now;
use crate::run::runtime;

mod balancer;
mod finding;
mod listeners;
mod proxy;
mod trust;

use balancer::balancer;
use finding::{fail, ok, warn};
use listeners::listeners;
use trust::{certificate, kubeconfigs};

pub(crate) use trust::coverage;

pub use finding::{Finding, Level};

/// A handshake with a local server takes 10 ms; a busy one is given a hundred times that.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// Where kubeadm keeps the kubelet's flags, as this process sees the host.
const KUBELET_FLAGS: &str = "/var/lib/kubelet/kubeadm-flags.env";

/// Looks at this node.
///
/// # Errors
///
/// When there is no runtime to ask with.
pub fn check(config: &Configuration) -> std::io::Result<Vec<Finding>> {
    let runtime = runtime()?;
    Ok(match config {
        Configuration::ControlPlane(config) => runtime.block_on(look(config)),
        Configuration::Proxy(config) => runtime.block_on(proxy::look(config)),
    })
}

async fn look(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (trust, kubeconfigs) = kubeconfigs(&config.apiserver.kubeconfigs);
    let survey = pintle_net::survey(&config.vips, config.interface.as_deref(), now).await;
    match survey {
        Ok(survey) => {
            findings.push(ok("the capabilities NET_ADMIN and NET_RAW are there"));
            host(&survey, &mut findings);
            for vip in &config.vips {
                findings.push(segment(config, &survey, *vip, &trust).await);
            }
        }
        Err(error) => findings.push(fail(format!("{:#}", anyhow::Error::from(error)), "")),
    }
    findings.extend(kubeconfigs);
    findings.extend(certificate(config, &trust).await);
    let is_running = Singleton::acquire(&config.vips).is_err();
    findings.push(singleton(&config.vips));
    findings.extend(balancer(config, is_running));
    findings.extend(listeners(&config.telemetry));
    findings.extend(node_ip(Path::new(KUBELET_FLAGS)));
    findings
}

fn host(survey: &Survey, findings: &mut Vec<Finding>) {
    let link = &survey.link;
    findings.push(if survey.carrier {
        ok(format!("the link {link} ({}) is up", survey.mac))
    } else {
        fail(format!("the link {link} has no carrier"), "plug it in, or `ip link set` it up")
    });
    if !survey.off_subnet.is_empty() {
        findings.push(warn(
            format!("no subnet of {link} holds {}", list(&survey.off_subnet)),
            "give the node an address there, or the clients a route",
        ));
    }
    for address in &survey.single_host_addresses {
        findings.push(warn(
            format!(
                "{address}/32 on {link} looks like a VIP: the kernel may choose either as source"
            ),
            "give the node's address the prefix length of its subnet",
        ));
    }
    if !survey.tags_addresses {
        findings.push(warn(
            format!(
                "kernel {} does not mark addresses with their origin (5.18 does)",
                survey.kernel
            ),
            "nothing: only `ip addr` shows less",
        ));
    }
}

/// Whether the VIP may be taken. One that a server of this very cluster answers on is in good hands.
async fn segment(config: &Config, survey: &Survey, vip: Vip, trust: &[Vec<u8>]) -> Finding {
    if survey.bound.contains(&vip) {
        return ok(format!("{vip} is bound on this host"));
    }
    let stranger = survey.occupied.iter().find(|(occupied, _)| *occupied == vip);
    let Some((_, mac)) = stranger else {
        return ok(format!("{vip} is free on the segment"));
    };
    if is_ours(config, vip, trust).await {
        return ok(format!("{vip} is held by another node of this cluster ({mac})"));
    }
    occupied(vip, *mac)
}

fn occupied(vip: Vip, mac: MacAddr) -> Finding {
    fail(
        format!("{vip} is in use on the segment: {mac} answers for it"),
        "choose a free address, or find that machine and take the address from it",
    )
}

async fn is_ours(config: &Config, vip: Vip, trust: &[Vec<u8>]) -> bool {
    let address = SocketAddr::new(vip.0, config.apiserver.address.port());
    let name = &config.apiserver.server_name;
    certificate_covers(address, name, &[], trust, HANDSHAKE_TIMEOUT).await.is_ok()
}

fn singleton(vips: &[Vip]) -> Finding {
    match Singleton::acquire(vips) {
        Ok(_lock) => ok("no other pintle runs on this host"),
        Err(Taken::By { pid: Some(pid) }) => ok(format!("pintle runs on this host, as pid {pid}")),
        Err(Taken::By { pid: None }) => ok("pintle runs on this host, in another pod"),
        Err(error @ Taken::Io(_)) => fail(format!("{:#}", anyhow::Error::from(error)), ""),
    }
}

/// Without `--node-ip` the kubelet takes the first address of a link, which may come to be the VIP.
fn node_ip(flags: &Path) -> Option<Finding> {
    let text = std::fs::read_to_string(flags).ok()?;
    Some(if text.contains("--node-ip") {
        ok("the kubelet has its --node-ip")
    } else {
        warn(
            "the kubelet has no --node-ip and chooses the node's address itself",
            "set --node-ip to the node's own address where nodes have more than one",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubelet_without_node_ip_is_warned_of() {
        let dir = tempfile::tempdir().unwrap();
        let flags = dir.path().join("kubeadm-flags.env");
        assert_eq!(node_ip(&flags), None);
        std::fs::write(&flags, "KUBELET_KUBEADM_ARGS=\"--x=y\"").unwrap();
        assert_eq!(node_ip(&flags).unwrap().level, Level::Warn);
        std::fs::write(&flags, "KUBELET_KUBEADM_ARGS=\"--node-ip=10.0.0.1\"").unwrap();
        assert_eq!(node_ip(&flags).unwrap().level, Level::Ok);
    }
}
