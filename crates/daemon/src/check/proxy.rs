//! What makes a worker fit to run the proxy: credentials, API servers that can be reached, the names in their
//! certificates, a free port, and a kubelet that comes to it.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use pintle_cluster::check_kubeconfig;
use pintle_core::config::ProxyConfig;
use pintle_probe::{CertificateError, certificate_covers};

use super::HANDSHAKE_TIMEOUT;
use super::finding::{Finding, fail, ok, warn};
use super::listeners::{listener, listeners};
use super::trust::kubeconfigs;

/// Looks at a worker.
pub(super) async fn look(config: &ProxyConfig) -> Vec<Finding> {
    let (trust, mut findings) = kubeconfigs(&config.kubeconfigs);
    let clients = config.kubeconfigs.iter().filter_map(|path| client(path, config.listen));
    findings.extend(clients);
    let mut reached = 0;
    for backend in &config.backends {
        let finding = server(config, *backend, &trust).await;
        reached += usize::from(finding.is_ok());
        findings.push(finding.unwrap_or_else(|finding| finding));
    }
    if reached == 0 && !trust.is_empty() {
        findings.push(fail(
            "no API server of balancer.backends can be used",
            "give the addresses of the control-plane nodes, and look at the network to them",
        ));
    }
    findings.push(listener(config.listen, "clients on this node", "balancer.listen"));
    findings.extend(listeners(&config.telemetry));
    findings
}

/// Whether it answers, and whether a client of the proxy will believe it.
async fn server(
    config: &ProxyConfig,
    address: SocketAddr,
    trust: &[Vec<u8>],
) -> Result<Finding, Finding> {
    if trust.is_empty() {
        return Err(warn(
            format!("{address} was not asked: without a kubeconfig there is no CA"),
            "nothing before `kubeadm join` has written it",
        ));
    }
    let own = config.listen.ip().to_string();
    let names = std::slice::from_ref(&own);
    let name = &config.server_name;
    match certificate_covers(address, name, names, trust, HANDSHAKE_TIMEOUT).await {
        Ok(coverage) if coverage.missing.is_empty() => {
            Ok(ok(format!("{address} answers, its certificate covers {own}")))
        }
        Ok(_) => Ok(warn(
            format!("{address} answers, its certificate does not cover {own}"),
            "add it to apiServer.certSANs, or `tls-server-name: kubernetes` to the cluster of each kubeconfig \
             that comes to the proxy",
        )),
        Err(
            error @ CertificateError::Connect { .. } | error @ CertificateError::Timeout { .. },
        ) => Err(warn(
            format!("{:#}", anyhow::Error::from(error)),
            "nothing if that control-plane node is down",
        )),
        Err(error) => Err(warn(
            format!("{:#}", anyhow::Error::from(error)),
            "see that it is an API server of this cluster",
        )),
    }
}

/// Whether the kubeconfig's owner, the kubelet as a rule, comes to the proxy.
fn client(path: &Path, listen: SocketAddr) -> Option<Finding> {
    let server = check_kubeconfig(path).ok()?.server?;
    let shown = path.display();
    Some(if leads_to(&server, listen) {
        ok(format!("{shown} leads to the proxy"))
    } else {
        warn(
            format!("{shown} leads to {server}, not to the proxy"),
            &format!(
                "set its server to https://{listen} when the proxy runs, and restart the kubelet"
            ),
        )
    })
}

fn leads_to(server: &str, listen: SocketAddr) -> bool {
    let Some(rest) = server.strip_prefix("https://") else { return false };
    let rest = rest.split('/').next().unwrap_or(rest);
    if rest.parse() == Ok(listen) {
        return true;
    }
    let Some((host, port)) = rest.rsplit_once(':') else { return false };
    let is_loopback = match listen.ip() {
        IpAddr::V4(v4) => v4 == std::net::Ipv4Addr::LOCALHOST,
        IpAddr::V6(v6) => v6 == std::net::Ipv6Addr::LOCALHOST,
    };
    host == "localhost" && is_loopback && port.parse() == Ok(listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_leads_to_the_proxy_or_elsewhere() {
        let listen: SocketAddr = "127.0.0.1:6443".parse().unwrap();
        for server in
            ["https://127.0.0.1:6443", "https://127.0.0.1:6443/", "https://localhost:6443"]
        {
            assert!(leads_to(server, listen), "{server}");
        }
        for server in [
            "https://192.0.2.10:6443",
            "https://127.0.0.1:7443",
            "https://localhost",
            "127.0.0.1:6443",
        ] {
            assert!(!leads_to(server, listen), "{server}");
        }
        assert!(leads_to("https://[::1]:6443", "[::1]:6443".parse().unwrap()));
    }
}
