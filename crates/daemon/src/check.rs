//! `pintle check`: is this node fit to run pintle. One finding a line, with what to do.
//!
//! Looks and asks, changes nothing. Each part goes on when another one fails.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use pintle_cluster::{KubeconfigError, check_kubeconfig};
use pintle_core::config::Config;
use pintle_core::{MacAddr, Vip};
use pintle_net::{Singleton, Survey, Taken};
use pintle_probe::{CertificateError, certificate_covers};

use crate::board::list;
use crate::clock::now;
use crate::run::runtime;

/// A handshake with a local server takes 10 ms; a busy one is given a hundred times that.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// Where kubeadm keeps the kubelet's flags, as this process sees the host.
const KUBELET_FLAGS: &str = "/var/lib/kubelet/kubeadm-flags.env";

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// pintle runs, and something is worth a look.
    Warn,
    /// pintle would not run, or not hold the VIP.
    Fail,
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How grave it is.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// What to do about it; empty when there is nothing to do.
    pub then: String,
}

/// Looks at this node.
///
/// # Errors
///
/// When there is no runtime to ask with.
pub fn check(config: &Config) -> std::io::Result<Vec<Finding>> {
    Ok(runtime()?.block_on(look(config)))
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
    findings.push(singleton(&config.vips));
    findings.push(listener(config.telemetry.address));
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

/// The CAs of the kubeconfigs that can be used, and a finding for each file.
fn kubeconfigs(paths: &[std::path::PathBuf]) -> (Vec<Vec<u8>>, Vec<Finding>) {
    let mut trust = Vec::new();
    let mut findings = Vec::new();
    let mut missing = Vec::new();
    for path in paths {
        let name = path.display();
        match check_kubeconfig(path) {
            Ok(report) if report.expired => findings.push(fail(
                format!("{name}: its client certificate has expired"),
                "renew it: `kubeadm certs renew all`",
            )),
            Ok(report) => {
                trust.extend(report.authorities.certificates);
                findings.push(ok(format!("{name} can be used")));
            }
            Err(KubeconfigError::Missing) => {
                missing.push(warn(
                    format!("{name} is not there"),
                    "nothing before `kubeadm init` or `join` has written it",
                ));
            }
            Err(error) => findings.push(fail(
                format!("{name}: {:#}", anyhow::Error::from(error)),
                "replace it: `kubeadm init phase kubeconfig admin`",
            )),
        }
    }
    // super-admin.conf is on the first node alone: that it is missing matters only without the others.
    if trust.is_empty() {
        findings.extend(missing);
    }
    (trust, findings)
}

/// Whether clients of the VIP will accept the API server's certificate.
async fn certificate(config: &Config, trust: &[Vec<u8>]) -> Option<Finding> {
    if trust.is_empty() {
        return None;
    }
    let names: Vec<String> = config.vips.iter().map(ToString::to_string).collect();
    let (address, name) = (config.apiserver.address, &config.apiserver.server_name);
    let covers = certificate_covers(address, name, &names, trust, HANDSHAKE_TIMEOUT).await;
    Some(match covers {
        Ok(coverage) if coverage.missing.is_empty() => {
            ok(format!("the API server's certificate covers {}", list(&config.vips)))
        }
        Ok(coverage) => fail(
            format!("the API server's certificate does not cover {}", coverage.missing.join(", ")),
            &format!(
                "move /etc/kubernetes/pki/apiserver.* away, run `kubeadm init phase certs apiserver \
                 --control-plane-endpoint {}`, restart kube-apiserver",
                coverage.missing.join(",")
            ),
        ),
        Err(error @ CertificateError::Connect { .. }) => warn(
            format!("{:#}", anyhow::Error::from(error)),
            "nothing before `kubeadm init` or `join`; after it, look at kube-apiserver's log",
        ),
        Err(error) => fail(
            format!("{:#}", anyhow::Error::from(error)),
            "see that the kubeconfigs are those of this cluster",
        ),
    })
}

fn singleton(vips: &[Vip]) -> Finding {
    match Singleton::acquire(vips) {
        Ok(_lock) => ok("no other pintle runs on this host"),
        Err(Taken::By { pid: Some(pid) }) => ok(format!("pintle runs on this host, as pid {pid}")),
        Err(Taken::By { pid: None }) => ok("pintle runs on this host, in another pod"),
        Err(error @ Taken::Io(_)) => fail(format!("{:#}", anyhow::Error::from(error)), ""),
    }
}

fn listener(address: SocketAddr) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => ok(format!("{address} is free for /livez, /readyz, /metrics and /status")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => warn(
            format!("{address} is taken"),
            "nothing if that is the pintle of this host; else set telemetry.address",
        ),
        Err(error) => fail(format!("cannot listen on {address}: {error}"), "set telemetry.address"),
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

fn ok(what: impl Into<String>) -> Finding {
    Finding { level: Level::Ok, what: what.into(), then: String::new() }
}

fn warn(what: impl Into<String>, then: &str) -> Finding {
    Finding { level: Level::Warn, what: what.into(), then: then.to_owned() }
}

fn fail(what: impl Into<String>, then: &str) -> Finding {
    Finding { level: Level::Fail, what: what.into(), then: then.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_kubeconfigs_are_a_warning_and_garbage_is_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let (absent, garbage) = (dir.path().join("admin.conf"), dir.path().join("garbage.conf"));
        std::fs::write(&garbage, "{").unwrap();
        let (trust, findings) = kubeconfigs(std::slice::from_ref(&absent));
        assert!(trust.is_empty());
        assert_eq!(findings[0].level, Level::Warn, "{findings:?}");
        let (_, findings) = kubeconfigs(&[absent, garbage]);
        assert!(findings.iter().any(|finding| finding.level == Level::Fail), "{findings:?}");
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let finding = listener(taken.local_addr().unwrap());
        assert_eq!(finding.level, Level::Warn);
        assert!(finding.what.contains("is taken"));
    }

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
