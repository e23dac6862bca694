//! From the static pods to the chart, an upgrade and a roll back of it, and back to the static pods.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::bed::{Bed, HOSTS};
use crate::kubeadm::bench::{Bench, TAKE_OVER_LIMIT, wait};
use crate::kubeadm::cluster::Cluster;
use crate::kubeadm::look::{
    SOON, all_is_well, is_ready, lease_names_the_holder, nodes_are_ready, pod_is_ready,
};

/// The selector of what the chart made.
pub(super) const INSTANCE: &str = "-l=app.kubernetes.io/instance=pintle";

/// What the chart makes; helm's own record of the release is among the secrets.
const KINDS: &str = "daemonset,pod,configmap,serviceaccount,role,rolebinding,secret";
const CLUSTER_KINDS: &str =
    "clusterrole,clusterrolebinding,flowschema,prioritylevelconfiguration,namespace";

/// Beside the static pods: the chart's pods wait for their hosts. Then the static pods go, the holder's
/// last.
pub(super) fn install(bench: &mut Bench) -> Result<()> {
    let image = super::upgrade::image_of(&bench.static_pod)?.to_owned();
    let (repository, tag) = image.rsplit_once(':').context("the image has no tag")?;
    let image = [
        format!("--set=image.repository={repository}"),
        format!("--set=image.tag={tag}"),
        "--set=image.pullPolicy=Never".to_owned(),
    ];
    let mut words = vec!["install", "pintle", "/mnt/chart", "--set=vips={172.30.0.10}"];
    words.extend(["--set=interface=eth0", "--wait", "--timeout=3m"]);
    words.extend(image.iter().map(String::as_str));
    let seen = bench.watched(|bench| helm(bench, &words))?;
    bench.judge("helm install beside the static pods", false, &seen)?;
    let holder = bench.holder()?;
    for host in Bed::others(holder).chain([holder]) {
        let seen = bench.watched(|bench| {
            bench.cluster.remove_manifest(host, "pintle.yaml")?;
            runs_from_chart(&bench.cluster, host)
        })?;
        let what = format!("static pod of {} removed", Bed::hostname(host));
        bench.judge(&what, host == holder, &seen)?;
    }
    chart_is_well(bench)
}

/// A setting is changed, which replaces the pods one after the other, and changed back.
pub(super) fn upgrade(bench: &mut Bench) -> Result<()> {
    let words = ["upgrade", "pintle", "/mnt/chart", "--reuse-values"];
    let setting = ["--set=config.telemetry.format=json", "--wait", "--timeout=3m"];
    let seen = bench.watched(|bench| {
        helm(bench, &[&words[..], &setting].concat())?;
        rolled_out(&bench.cluster)
    })?;
    bench.note("helm upgrade", &seen);
    // The holder may be followed by a host whose turn is still to come.
    ensure!(seen.moves <= HOSTS, "{seen}");
    seen.gap_within(TAKE_OVER_LIMIT)?;
    chart_is_well(bench)?;
    let seen = bench.watched(|bench| {
        helm(bench, &["rollback", "pintle", "1", "--wait", "--timeout=3m"])?;
        rolled_out(&bench.cluster)
    })?;
    bench.note("helm rollback", &seen);
    ensure!(seen.moves <= HOSTS, "{seen}");
    seen.gap_within(TAKE_OVER_LIMIT)?;
    chart_is_well(bench)
}

/// The static pods are put back beside the chart's, which then goes; nothing of it stays.
pub(super) fn uninstall(bench: &mut Bench) -> Result<()> {
    for host in 0..HOSTS {
        bench.cluster.put_manifest(host, "pintle.yaml", &bench.static_pod)?;
    }
    for host in 0..HOSTS {
        wait(SOON, "the static pod runs beside the chart's", || {
            let running = crate::kubeadm::look::started_at(&bench.cluster, host);
            running.map(drop).context("it does not run")
        })?;
    }
    // Uninstalled at once, the pods would lose their role before they end, and could not hand over; ended
    // at once, one of them would take the VIP over for the moment that it still has.
    let orphan = ["delete", "daemonset", "-n", "kube-system", "pintle", "--cascade=orphan"];
    bench.cluster.kubectl(0, &orphan)?;
    let holder = bench.holder()?;
    for host in Bed::others(holder).chain([holder]) {
        let node = format!("--field-selector=spec.nodeName={}", Bed::hostname(host));
        let seen = bench.watched(|bench| {
            let pod = ["delete", "pod", "-n", "kube-system", INSTANCE, &node];
            bench.cluster.kubectl_local(host, &pod)?;
            runs_from_static_pod(&bench.cluster, host)
        })?;
        let what = format!("the chart's pod of {} deleted", Bed::hostname(host));
        bench.judge(&what, host == holder, &seen)?;
    }
    let seen = bench.watched(|bench| {
        helm(bench, &["uninstall", "pintle", "--wait", "--timeout=2m"])?;
        all_is_well(bench)
    })?;
    bench.judge("helm uninstall, with the static pods in place", false, &seen)?;
    let namespaced = bench.cluster.kubectl(0, &["get", KINDS, "-A", INSTANCE, "-o", "name"])?;
    let wide = bench.cluster.kubectl(0, &["get", CLUSTER_KINDS, INSTANCE, "-o", "name"])?;
    ensure!(namespaced.is_empty() && wide.is_empty(), "helm left {namespaced}{wide}");
    let release = ["get", "secret", "-n", "kube-system", "-l=owner=helm", "-o", "name"];
    let release = bench.cluster.kubectl(0, &release)?;
    ensure!(release.is_empty(), "helm left {release}");
    Ok(())
}

fn helm(bench: &Bench, words: &[&str]) -> Result<()> {
    let who = ["helm", "--kubeconfig=/etc/kubernetes/admin.conf", "--namespace=kube-system"];
    bench.cluster.host(0).run(&[&who, words].concat()).map(drop)
}

/// The pod that the DaemonSet has on a host.
fn chart_pod(cluster: &Cluster, host: usize) -> Result<Value> {
    let pods = cluster.kubectl_json(0, &["get", "pod", "-n", "kube-system", INSTANCE])?;
    let pods = pods["items"].as_array().context("no list of pods")?;
    let name = Bed::hostname(host);
    let found = pods.iter().find(|pod| {
        pod["spec"]["nodeName"] == name.as_str() && pod["metadata"]["deletionTimestamp"].is_null()
    });
    found.cloned().with_context(|| format!("no pod of the chart on {name}"))
}

/// One pintle on the host, and it is the chart's, and Ready.
fn runs_from_chart(cluster: &Cluster, host: usize) -> Result<()> {
    let look = || {
        let pids = cluster.host(host).run(&["pgrep", "-x", "pintle"])?;
        ensure!(pids.lines().count() == 1, "several run: {pids}");
        let pod = chart_pod(cluster, host)?;
        ensure!(is_ready(&pod), "it is not Ready: {}", pod["status"]["conditions"]);
        Ok(())
    };
    wait(SOON, "the chart's pod runs", look).map(drop)
}

/// One pintle on the host, and it is the static pod's, and Ready.
fn runs_from_static_pod(cluster: &Cluster, host: usize) -> Result<()> {
    let look = || {
        let pids = cluster.host(host).run(&["pgrep", "-x", "pintle"])?;
        ensure!(pids.lines().count() == 1, "several run: {pids}");
        Ok(())
    };
    wait(SOON, "the static pod alone runs", look)?;
    pod_is_ready(cluster, host)
}

fn rolled_out(cluster: &Cluster) -> Result<()> {
    let status = ["rollout", "status", "-n", "kube-system", "daemonset/pintle", "--timeout=1s"];
    let look = || cluster.kubectl(0, &status).map(drop);
    wait(SOON, "the rollout is over", look).map(drop)
}

pub(super) fn chart_is_well(bench: &Bench) -> Result<()> {
    nodes_are_ready(&bench.cluster)?;
    (0..HOSTS).try_for_each(|host| runs_from_chart(&bench.cluster, host))?;
    lease_names_the_holder(&bench.cluster, "pintle")
}
