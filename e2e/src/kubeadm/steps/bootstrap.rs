//! From bare hosts to three control-plane nodes behind the VIP.

use anyhow::{Context as _, Result, ensure};

use crate::bed::{Bed, HOSTS};
use crate::kubeadm::bench::Bench;
use crate::kubeadm::look::{all_is_well, flow_schema_is_used, nodes_are_ready, pod_name};

/// The manifest lies on the first host before `kubeadm init`, and on the others before they join; no
/// second step, no edited kubeconfig.
pub(super) fn bootstrap(bench: &mut Bench) -> Result<()> {
    for host in 0..HOSTS {
        bench.cluster.put_manifest(host, "pintle.yaml", &bench.static_pod)?;
    }
    let took = bench.cluster.init()?;
    bench.note_time("kubeadm init", took);
    for host in 1..HOSTS {
        let took =
            bench.cluster.join(host).with_context(|| format!("kubeadm join, host {host}"))?;
        bench.note_time(&format!("kubeadm join of {}", Bed::hostname(host)), took);
    }
    let took = nodes_are_ready(&bench.cluster)?;
    bench.note_time("every node Ready after the last join", took);
    all_is_well(bench)?;
    let told = bench.cluster.kubectl(0, &["describe", "lease", "-n", "kube-system", "pintle"])?;
    ensure!(told.contains("VipAcquired"), "no Event is shown with the Lease: {told}");
    let seats = include_str!("../../../../manifests/flow-schema.yaml");
    std::fs::write(bench.cluster.host(0).files().join("flow-schema.yaml"), seats)?;
    bench.cluster.kubectl(0, &["apply", "-f", "/mnt/flow-schema.yaml"])?;
    flow_schema_is_used(&bench.cluster, "pintle")?;
    for host in 0..HOSTS {
        let pod = pod_name(host);
        let logs = bench.cluster.kubectl(host, &["logs", "-n", "kube-system", &pod])?;
        ensure!(logs.contains("Starting"), "kubectl logs of {pod}: {logs}");
    }
    Ok(())
}
