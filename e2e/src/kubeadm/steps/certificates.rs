//! Certificates and kubeconfigs that are renewed or replaced while pintle runs.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::upgrade::replace_api_server;
use crate::bed::HOSTS;
use crate::kubeadm::bench::{Bench, Seen, wait};
use crate::kubeadm::look::{SOON, all_is_well, lease_names_the_holder, pod_name, started_at};

const ADMIN: &str = "/etc/kubernetes/admin.conf";

/// Long enough for a right that is not renewed to end, and for the next one.
const LATER: Duration = Duration::from_secs(8);

/// `kubeadm certs renew all`, on every host.
pub(super) fn renewed(bench: &mut Bench) -> Result<()> {
    let before = starts(bench);
    let holder = bench.holder()?;
    let seen = bench.watched(|bench| {
        for host in 0..HOSTS {
            bench.cluster.host(host).run(&["kubeadm", "certs", "renew", "all"])?;
        }
        std::thread::sleep(LATER);
        Ok(())
    })?;
    bench.note("kubeadm certs renew all on every host", &seen);
    nothing_happened(bench, &seen, &before, holder)?;
    all_is_well(bench)
}

/// How a file is replaced.
#[derive(Debug, Clone, Copy)]
enum Replaced {
    /// By a rename over it, as most programs do it.
    Rename,
    /// By writing into it, as kubeadm and editors do it.
    Rewrite,
}

/// `admin.conf` of every host becomes another user's, and the former user may do nothing any more: who
/// went on with the old file would lose the VIP.
pub(super) fn replaced(bench: &mut Bench) -> Result<()> {
    for (way, what) in [(Replaced::Rename, "a rename"), (Replaced::Rewrite, "a rewrite")] {
        let before = starts(bench);
        let holder = bench.holder()?;
        for host in 0..HOSTS {
            bench.cluster.host(host).run(&["cp", "-a", ADMIN, "/etc/kubernetes/.aside"])?;
        }
        let seen = bench.watched(|bench| {
            (0..HOSTS).try_for_each(|host| replace(bench, host, way))?;
            former_user_has_rights(bench, false)?;
            std::thread::sleep(LATER);
            Ok(())
        })?;
        bench
            .note(&format!("admin.conf replaced by {what}, the former user without rights"), &seen);
        nothing_happened(bench, &seen, &before, holder)?;
        lease_names_the_holder(&bench.cluster, "pintle")?;
        former_user_has_rights(bench, true)?;
        for host in 0..HOSTS {
            bench.cluster.host(host).run(&["mv", "/etc/kubernetes/.aside", ADMIN])?;
        }
        all_is_well(bench)?;
    }
    Ok(())
}

fn replace(bench: &Bench, host: usize, way: Replaced) -> Result<()> {
    let inside = bench.cluster.host(host);
    let user = ["kubeadm", "kubeconfig", "user", "--config=/mnt/init.yaml"];
    let who = ["--org=system:masters", "--client-name=pintle-test"];
    let kubeconfig = inside.run(&[&user[..], &who].concat())?;
    ensure!(kubeconfig.contains("client-certificate-data"), "{kubeconfig}");
    fs::write(inside.files().join("admin.conf"), kubeconfig)?;
    let script = match way {
        Replaced::Rename => {
            "cp /mnt/admin.conf /etc/kubernetes/.next && mv /etc/kubernetes/.next $0"
        }
        Replaced::Rewrite => "cat /mnt/admin.conf >$0",
    };
    inside.run(&["bash", "-c", script, ADMIN]).map(drop)
}

/// kubeadm's administrators are a group, which has its rights by this binding.
fn former_user_has_rights(bench: &Bench, has: bool) -> Result<()> {
    let binding = "kubeadm:cluster-admins";
    let words: &[&str] = if has {
        let role = "--clusterrole=cluster-admin";
        &["create", "clusterrolebinding", binding, role, "--group=kubeadm:cluster-admins"]
    } else {
        &["delete", "clusterrolebinding", binding]
    };
    bench.cluster.kubectl(0, words).map(drop)
}

fn starts(bench: &Bench) -> Vec<Option<String>> {
    (0..HOSTS).map(|host| started_at(&bench.cluster, host)).collect()
}

fn nothing_happened(
    bench: &Bench,
    seen: &Seen,
    before: &[Option<String>],
    holder: usize,
) -> Result<()> {
    seen.is_undisturbed()?;
    ensure!(bench.holder()? == holder, "the VIP moved");
    let now = starts(bench);
    ensure!(now == before, "a pintle was restarted: {before:?} became {now:?}");
    Ok(())
}

/// The holder's API server gets a certificate as of a cluster that was made without the VIP.
pub(super) fn without_the_vip(bench: &mut Bench) -> Result<()> {
    let holder = bench.holder()?;
    let inside = bench.cluster.host(holder);
    let without = r#"mv /etc/kubernetes/pki/apiserver.{crt,key} /srv/
sed 's/"controlPlaneEndpoint":"[^"]*",//' /mnt/init.yaml >/srv/without.yaml
kubeadm init phase certs apiserver --config=/srv/without.yaml"#;
    inside.run(&["bash", "-ec", without]).context("a certificate without the VIP")?;
    replace_api_server(bench, holder)?;
    let line =
        wait_for_line(bench, holder, &pod_name(holder), &["does not cover", "kubeadm init phase"])?;
    bench.note("a certificate without the VIP", &line);
    let back = "mv /srv/apiserver.* /etc/kubernetes/pki/";
    bench.cluster.host(holder).run(&["bash", "-c", back])?;
    replace_api_server(bench, holder)?;
    all_is_well(bench)
}

/// The one line of a pod's log that has all these words.
pub(super) fn wait_for_line(
    bench: &Bench,
    host: usize,
    pod: &str,
    words: &[&str],
) -> Result<String> {
    let look = || {
        let log = ["logs", "-n", "kube-system", pod];
        let logs = bench.cluster.kubectl_local(host, &log)?;
        let lines: Vec<&str> =
            logs.lines().filter(|line| words.iter().all(|word| line.contains(word))).collect();
        ensure!(lines.len() == 1, "{} lines with {words:?}:\n{logs}", lines.len());
        Ok(lines[0].to_owned())
    };
    wait(SOON, "a warning", look).map(|(line, _took)| line)
}
