//! kube-vip's own manifest with only its image changed, on a running cluster.

use anyhow::{Result, ensure};

use super::certificates::wait_for_line;
use super::upgrade::image_of;
use crate::bed::{Bed, HOSTS};
use crate::kubeadm::bench::{Bench, wait};
use crate::kubeadm::look::{SOON, all_is_well, lease_names_the_holder, nothing_is_left};

/// As `kube-vip manifest pod --interface eth0 --address … --controlplane --arp --leaderElection` of v1.2.3
/// wrote it.
const MANIFEST: &str = include_str!("kube-vip.yaml");

const LEASE: &str = "plndr-cp-lock";

pub(super) fn with_another_image(bench: &mut Bench) -> Result<()> {
    let manifest = MANIFEST.replace("@IMAGE@", image_of(&bench.static_pod)?);
    for host in 0..HOSTS {
        bench.cluster.remove_manifest(host, "pintle.yaml")?;
        nothing_is_left(&bench.cluster, host)?;
    }
    for host in 0..HOSTS {
        bench.cluster.put_manifest(host, "kube-vip.yaml", &manifest)?;
    }
    let (holder, took) = wait(SOON, "kube-vip's manifest takes the VIP", || bench.holder())?;
    bench.note_time("kube-vip's manifest with pintle's image, until the VIP is held", took);
    lease_names_the_holder(&bench.cluster, LEASE)?;
    let pod = format!("kube-vip-{}", Bed::hostname(holder));
    let line = wait_for_line(bench, holder, &pod, &["dns_mode"])?;
    ensure!(line.contains("WARN"), "a warning about dns_mode: {line}");
    for host in 0..HOSTS {
        bench.cluster.remove_manifest(host, "kube-vip.yaml")?;
        nothing_is_left(&bench.cluster, host)?;
    }
    for host in 0..HOSTS {
        bench.cluster.put_manifest(host, "pintle.yaml", &bench.static_pod)?;
    }
    wait(SOON, "pintle is back", || bench.holder())?;
    all_is_well(bench)
}
