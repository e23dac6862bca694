//! What an operator looks at, and when it is as it should be.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use pintle_testkit::netns::VIP_V4;
use serde_json::Value;

use super::bench::{Bench, wait};
use super::cluster::Cluster;
use crate::bed::{Bed, HOSTS};

/// A node boots, a pod starts and is found ready within a fraction of it, on a busy machine.
pub(super) const SOON: Duration = Duration::from_secs(120);

pub(super) fn pod_name(host: usize) -> String {
    format!("pintle-{}", Bed::hostname(host))
}

/// The mirror pod of a host's static pod, as the API has it.
pub(super) fn pod(cluster: &Cluster, host: usize) -> Result<Value> {
    cluster.kubectl_json(host, &["get", "pod", "-n", "kube-system", &pod_name(host)])
}

/// When the container of a host's static pod was started; `None` when it does not run.
pub(super) fn started_at(cluster: &Cluster, host: usize) -> Option<String> {
    let pod = pod(cluster, host).ok()?;
    let started = &pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"];
    started.as_str().map(str::to_owned)
}

pub(super) fn is_ready(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    let is_it = |condition: &&Value| condition["type"] == "Ready";
    let found = conditions.and_then(|conditions| conditions.iter().find(is_it));
    found.is_some_and(|condition| condition["status"] == "True")
}

/// By its own probes, as the kubelet sees them.
pub(super) fn pod_is_ready(cluster: &Cluster, host: usize) -> Result<()> {
    let look = || {
        let pod = pod(cluster, host)?;
        ensure!(is_ready(&pod), "{}: {}", pod_name(host), pod["status"]["conditions"]);
        Ok(())
    };
    wait(SOON, "its pintle is Ready", look).map(drop)
}

/// How long that took.
pub(super) fn nodes_are_ready(cluster: &Cluster) -> Result<Duration> {
    let look = || {
        let nodes = cluster.kubectl_json(0, &["get", "nodes"])?;
        let nodes = nodes["items"].as_array().context("no list of nodes")?;
        let ready = nodes.iter().filter(|node| is_ready(node)).count();
        ensure!(ready == HOSTS, "{ready} of {HOSTS} nodes are Ready");
        Ok(())
    };
    wait(SOON, "every node is Ready", look).map(|((), took)| took)
}

/// The Lease says what the hosts' links say.
pub(super) fn lease_names_the_holder(cluster: &Cluster, lease: &str) -> Result<()> {
    let look = || {
        let found = cluster.kubectl_json(0, &["get", "lease", "-n", "kube-system", lease])?;
        let named = found["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned();
        let Some(holder) = cluster.holder()? else { bail!("nobody has the VIP") };
        ensure!(
            named == Bed::hostname(holder),
            "the Lease names {named}, host {holder} has the VIP"
        );
        Ok(())
    };
    wait(SOON, "the Lease names the holder", look).map(drop)
}

/// Requests go through this schema's seats, on whichever API server is asked.
pub(super) fn flow_schema_is_used(cluster: &Cluster, name: &str) -> Result<()> {
    let part = format!("flow_schema=\"{name}\"");
    let look = || {
        let metrics = cluster.kubectl_local(0, &["get", "--raw", "/metrics"])?;
        let counted = metrics.lines().find(|line| {
            line.starts_with("apiserver_flowcontrol_dispatched_requests_total")
                && line.contains(&part)
        });
        ensure!(counted.is_some_and(|line| !line.ends_with(" 0")), "nothing went through {name}");
        Ok(())
    };
    wait(SOON, "renewals have seats of their own", look).map(drop)
}

/// Nodes, pods, the Lease and the VIP are as after the bootstrap.
pub(super) fn all_is_well(bench: &Bench) -> Result<()> {
    nodes_are_ready(&bench.cluster)?;
    (0..HOSTS).try_for_each(|host| pod_is_ready(&bench.cluster, host))?;
    lease_names_the_holder(&bench.cluster, "pintle")
}

/// No process of pintle, no VIP and no rule of it on a host.
pub(super) fn nothing_is_left(cluster: &Cluster, host: usize) -> Result<()> {
    let look = || {
        ensure!(cluster.host(host).run(&["pgrep", "-x", "pintle"]).is_err(), "pintle runs");
        let owners = cluster.topology().owners(VIP_V4.into())?;
        ensure!(!owners.contains(&host), "it has the VIP");
        let rules = cluster.host(host).run(&["nft", "list", "ruleset"])?;
        ensure!(!rules.contains("pintle"), "rules are left: {rules}");
        Ok(())
    };
    wait(SOON, "nothing is left", look).map(drop)
}
