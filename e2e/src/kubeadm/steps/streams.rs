//! Streams through the API server to a kubelet, as people leave them open.

use anyhow::{Context as _, Result};

use crate::bed::{Bed, HOSTS};
use crate::kubeadm::bench::{Bench, wait};
use crate::kubeadm::look::SOON;

const MANIFEST: &str = include_str!("streams.yaml");

/// Opens an exec, logs and a port-forward, says something over each, is silent, and says something again.
const SCRIPT: &str = include_str!("streams.sh");

/// Longer than keepalive takes to give a peer up, and than the usual timeouts of proxies (30 s, 1 min).
const SILENCE_SECONDS: &str = "130";

/// `kubectl exec`, `logs -f` and `port-forward` idle for minutes, and go on.
pub(super) fn idle_and_go_on(bench: &mut Bench) -> Result<()> {
    let holder = bench.holder()?;
    let (from, to) = ((holder + 1) % HOSTS, (holder + 2) % HOSTS);
    let images = bench.cluster.host(to).run(&["ctr", "-n", "k8s.io", "images", "list", "-q"])?;
    let image = images.lines().find(|image| image.contains("/stream:"));
    let image = image.context("the image stream was not imported: run hack/k8s/images.sh")?;
    bench.cluster.put_manifest(to, "streams.yaml", &MANIFEST.replace("@IMAGE@", image))?;
    let pod = format!("streams-{}", Bed::hostname(to));
    let words = ["logs", "-n", "kube-system", &pod];
    wait(SOON, "the pod runs", || bench.cluster.kubectl(from, &words))?;
    let script = ["bash", "-c", SCRIPT, "streams", &pod, SILENCE_SECONDS];
    let said = bench.cluster.host(from).run(&script)?;
    bench.note("streams that idled and went on", said.trim());
    bench.cluster.remove_manifest(to, "streams.yaml")
}
