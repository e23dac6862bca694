//! What pintle and the clients of the VIP are to trust: kubeconfigs, and the API server's certificate.
//! Reads and connects, changes nothing.

use std::path::{Path, PathBuf};

use pintle_cluster::{KubeconfigError, check_kubeconfig};
use pintle_core::config::Config;
use pintle_probe::{CertificateError, Coverage, certificate_covers};

use super::HANDSHAKE_TIMEOUT;
use super::finding::{Finding, fail, ok, warn};
use crate::board::list;

/// The CAs of the kubeconfigs that can be used, and a finding for each file.
pub(super) fn kubeconfigs(paths: &[PathBuf]) -> (Vec<Vec<u8>>, Vec<Finding>) {
    let mut trust = Vec::new();
    let mut findings = Vec::new();
    let (mut missing, mut bad) = (Vec::new(), Vec::new());
    for path in paths {
        let name = path.display();
        match check_kubeconfig(path) {
            Ok(report) if report.expired => bad.push((
                format!("{name}: its client certificate has expired"),
                advice(path, "renew it", "kubeadm certs renew", ".conf"),
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
            // Its text has the cause in it: `{:#}` would say that twice.
            Err(error) => bad.push((
                format!("{name}: {error}"),
                advice(path, "move it away and make it anew", "kubeadm init phase kubeconfig", ""),
            )),
        }
    }
    // pintle passes over what it cannot use: grave only when nothing else can be used.
    let grade = if trust.is_empty() { fail } else { warn };
    findings.extend(bad.into_iter().map(|(what, then)| grade(what, &then)));
    // super-admin.conf is on the first node alone: that it is missing matters only without the others.
    if trust.is_empty() {
        findings.extend(missing);
    }
    (trust, findings)
}

/// What to do about a file: by kubeadm's command where it is one that kubeadm made.
fn advice(path: &Path, what: &str, command: &str, suffix: &str) -> String {
    let name = match path.to_str() {
        Some("/etc/kubernetes/admin.conf") => "admin",
        Some("/etc/kubernetes/super-admin.conf") => "super-admin",
        _ => return format!("{what} the way it was made"),
    };
    format!("{what}: `{command} {name}{suffix}`")
}

/// Whether clients of the VIP will accept the API server's certificate.
pub(super) async fn certificate(config: &Config, trust: &[Vec<u8>]) -> Option<Finding> {
    if trust.is_empty() {
        return None;
    }
    Some(match coverage(config, trust).await {
        Ok(coverage) if coverage.missing.is_empty() => {
            ok(format!("the API server's certificate covers {}", list(&config.vips)))
        }
        Ok(coverage) => fail(
            format!("the API server's certificate does not cover {}", coverage.missing.join(", ")),
            "add it as README.md says under \"A certificate without the VIP\"",
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

/// Which of the VIPs are in the local API server's certificate.
pub(crate) async fn coverage(
    config: &Config,
    trust: &[Vec<u8>],
) -> Result<Coverage, CertificateError> {
    let names: Vec<String> = config.vips.iter().map(ToString::to_string).collect();
    let (address, name) = (config.apiserver.address, &config.apiserver.server_name);
    certificate_covers(address, name, &names, trust, HANDSHAKE_TIMEOUT).await
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    /// Self-signed, until 2109, its key thrown away.
    const CA: &str = "\
-----BEGIN CERTIFICATE-----
MIIBcjCCARegAwIBAgIUfvrPT0T5aZrfaKuXlWHy9HtA7pUwCgYIKoZIzj0EAwIw
DTELMAkGA1UEAwwCY2EwIBcNMjYxMTIzMDE0NDQ4WhgPMjEwOTAxMTIwMTQ0NDha
MA0xCzAJBgNVBAMMAmNhMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEjbx7hqGg
EdcCwSgWT/2pSjA0E7l4DCc6WtrgFB+CUss8zVrQx9OfRWrdGTMqvEgiMo44mVml
24s7RDWM2k3FxaNTMFEwHQYDVR0OBBYEFFMCg5vNP7D4bZ6irTfzHZ0zYfaiMB8G
A1UdIwQYMBaAFFMCg5vNP7D4bZ6irTfzHZ0zYfaiMA8GA1UdEwEB/wQFMAMBAf8w
CgYIKoZIzj0EAwIDSQAwRgIhAJ0Oram2wihFIcKCYWwFRCMYufddxG63DGRSwmGR
m8U6AiEA/ZmClOt6kwt4uCAjSNawTFaiFaGT6ikaB2csRB8kcnI=
-----END CERTIFICATE-----
";

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
    fn what_is_passed_over_is_a_warning_while_something_can_be_used() {
        let dir = tempfile::tempdir().unwrap();
        let (good, garbage) = (dir.path().join("good.conf"), dir.path().join("garbage.conf"));
        std::fs::write(&garbage, "{").unwrap();
        std::fs::write(dir.path().join("ca.crt"), CA).unwrap();
        std::fs::write(
            &good,
            "current-context: a\n\
             contexts: [{name: a, context: {cluster: b, user: c}}]\n\
             clusters: [{name: b, cluster: {certificate-authority: ca.crt}}]\n\
             users: [{name: c, user: {token: t}}]\n",
        )
        .unwrap();
        for paths in [[garbage.clone(), good.clone()], [good, garbage]] {
            let (trust, findings) = kubeconfigs(&paths);
            assert_eq!(trust.len(), 1, "{findings:?}");
            let levels: Vec<Level> = findings.iter().map(|finding| finding.level).collect();
            assert_eq!(levels, [Level::Ok, Level::Warn], "{findings:?}");
        }
    }

    #[test]
    fn a_cause_is_said_once() {
        let dir = tempfile::tempdir().unwrap();
        let (_, findings) = kubeconfigs(&[dir.path().to_owned()]);
        assert_eq!(findings[0].what.matches("directory (os error").count(), 1, "{findings:?}");
    }

    #[test]
    fn the_advice_is_about_this_very_file() {
        let of = |path: &str| advice(Path::new(path), "renew it", "kubeadm certs renew", ".conf");
        assert_eq!(of("/etc/kubernetes/admin.conf"), "renew it: `kubeadm certs renew admin.conf`");
        assert!(of("/etc/kubernetes/super-admin.conf").ends_with("renew super-admin.conf`"));
        assert_eq!(of("/etc/rancher/k3s/k3s.yaml"), "renew it the way it was made");
    }
}
