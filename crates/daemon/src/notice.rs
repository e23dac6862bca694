//! Tells of what clients of the VIP run into and pintle itself does not: an API server's certificate that
//! lacks the VIP. kubeadm puts the control-plane endpoint into it; a cluster that was made with another
//! one has to be given new certificates.

use std::time::Duration;

use pintle_core::ClusterCa;
use pintle_core::config::Config;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::check::coverage;

/// Soon after `kubeadm init`, and after the certificate was renewed; a handshake takes a millisecond.
const INTERVAL: Duration = Duration::from_secs(30);

/// What to do about it; README.md has the whole of it.
const ADVICE: &str = "add it to apiServer.certSANs in kubeadm's configuration, move \
    /etc/kubernetes/pki/apiserver.crt and apiserver.key away, and run \
    `kubeadm init phase certs apiserver --config FILE` on each control-plane node";

/// Looks at the local API server's certificate for as long as the process runs, and says once that it
/// lacks a VIP, and once that it does so no longer. What cannot be looked at is the probe's to tell.
pub(crate) async fn certificate(config: Config, mut trust: watch::Receiver<Option<ClusterCa>>) {
    let mut known = Vec::new();
    // The sender lives as long as the control thread.
    while trust.wait_for(Option::is_some).await.is_ok() {
        let ca = trust.borrow().clone();
        if let Some(missing) = missing_names(&config, ca).await {
            if !missing.is_empty() && missing != known {
                tracing::warn!(
                    missing = missing.join(", "),
                    then = ADVICE,
                    "The API server's certificate does not cover the VIP, its clients will refuse it"
                );
            } else if missing.is_empty() && !known.is_empty() {
                tracing::info!("The API server's certificate covers the VIP");
            }
            known = missing;
        }
        sleep(INTERVAL).await;
    }
}

/// The VIPs that it lacks; `None` while nothing can be known.
async fn missing_names(config: &Config, ca: Option<ClusterCa>) -> Option<Vec<String>> {
    Some(coverage(config, &ca?.certificates).await.ok()?.missing)
}
