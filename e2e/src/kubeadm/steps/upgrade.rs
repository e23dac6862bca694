//! What an upgrade does: API servers replaced, the image changed, the manifest removed.

use anyhow::{Context as _, Result, ensure};

use crate::bed::{Bed, HOSTS};
use crate::kubeadm::bench::{Bench, wait};
use crate::kubeadm::cluster::MANIFESTS;
use crate::kubeadm::look::{SOON, all_is_well, nothing_is_left, pod_is_ready, started_at};

/// Each API server's manifest is written anew, as `kubeadm upgrade` does it. Nobody notices, the holder's
/// clients neither: the balancer asks another one.
pub(super) fn api_servers_in_turn(bench: &mut Bench) -> Result<()> {
    for host in 0..HOSTS {
        let whose = if bench.holder()? == host { ", the holder's" } else { "" };
        let seen = bench.watched(|bench| replace_api_server(bench, host))?;
        bench.judge(
            &format!("API server of {} replaced{whose}", Bed::hostname(host)),
            false,
            &seen,
        )?;
        all_is_well(bench)?;
    }
    Ok(())
}

/// Writes the manifest anew with another annotation, and waits for another, ready API server.
pub(super) fn replace_api_server(bench: &Bench, host: usize) -> Result<()> {
    let inside = bench.cluster.host(host);
    let name = "kube-apiserver.yaml";
    let manifest = inside.run(&["cat", &format!("{MANIFESTS}/{name}")])?;
    let former = inside.run(&["pgrep", "-x", "kube-apiserver"])?;
    let (head, tail) = manifest
        .split_once("  annotations:\n")
        .context("the manifest of kube-apiserver has no annotations")?;
    let again = format!("    pintle.test/replaced-{}: \"\"\n", former.trim());
    bench.cluster.put_manifest(host, name, &format!("{head}  annotations:\n{again}{tail}"))?;
    let ready =
        ["curl", "--silent", "--insecure", "--max-time", "1", "https://127.0.0.1:6443/readyz"];
    let look = || {
        let now = inside.run(&["pgrep", "-x", "kube-apiserver"])?;
        ensure!(now != former, "the former one runs");
        let said = inside.run(&ready)?;
        ensure!(said == "ok", "{said}");
        Ok(())
    };
    wait(SOON, "the API server is replaced and ready", look).map(drop)
}

/// The manifest names another image; the holder's is the last to change.
pub(super) fn image_in_place(bench: &mut Bench) -> Result<()> {
    let former = image_of(&bench.static_pod)?.to_owned();
    let next = "pintle.dev/pintle:next";
    let manifest = bench.static_pod.replace(&former, next);
    let holder = bench.holder()?;
    for host in Bed::others(holder).chain([holder]) {
        let tag = ["ctr", "-n", "k8s.io", "images", "tag", "--force", &former, next];
        bench.cluster.host(host).run(&tag)?;
        let seen = bench.watched(|bench| restart_pintle(bench, host, &manifest))?;
        let what = format!("image of {} changed", Bed::hostname(host));
        bench.judge(&what, host == holder, &seen)?;
    }
    bench.static_pod = manifest;
    all_is_well(bench)
}

/// Another manifest, and the wait for the container that it makes.
pub(super) fn restart_pintle(bench: &Bench, host: usize, manifest: &str) -> Result<()> {
    let before = started_at(&bench.cluster, host);
    bench.cluster.put_manifest(host, "pintle.yaml", manifest)?;
    let look = || {
        let now = started_at(&bench.cluster, host);
        ensure!(now.is_some() && now != before, "the former one runs");
        Ok(())
    };
    wait(SOON, "another pintle runs", look)?;
    pod_is_ready(&bench.cluster, host)
}

pub(super) fn image_of(manifest: &str) -> Result<&str> {
    let line = manifest.lines().find_map(|line| line.trim().strip_prefix("image: "));
    Ok(line.context("the manifest has no image")?.trim_matches('"'))
}

/// First the holder's manifest goes, then all: nothing is left behind, and the Lease is nobody's.
pub(super) fn manifest_removed(bench: &mut Bench) -> Result<()> {
    let holder = bench.holder()?;
    let seen = bench.watched(|bench| {
        bench.cluster.remove_manifest(holder, "pintle.yaml")?;
        nothing_is_left(&bench.cluster, holder)
    })?;
    bench.judge("manifest removed", true, &seen)?;
    for host in Bed::others(holder) {
        bench.cluster.remove_manifest(host, "pintle.yaml")?;
        nothing_is_left(&bench.cluster, host)?;
    }
    let holder =
        ["get", "lease", "-n", "kube-system", "pintle", "-o", "jsonpath={.spec.holderIdentity}"];
    let named = bench.cluster.kubectl_local(0, &holder)?;
    ensure!(named.is_empty(), "nobody runs, and the Lease is held by {named}");
    for host in 0..HOSTS {
        bench.cluster.put_manifest(host, "pintle.yaml", &bench.static_pod)?;
    }
    let (_all, took) = wait(SOON, "pintle is back", || bench.holder())?;
    bench.note_time("manifests put back, until the VIP answers", took);
    all_is_well(bench)
}
