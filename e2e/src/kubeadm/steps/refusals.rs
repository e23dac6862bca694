//! What is wrong from the start: one clear line in `kubectl logs`, the exit code, and no crash loop faster
//! than the kubelet's own.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::bed::Bed;
use crate::kubeadm::bench::{Bench, wait};
use crate::kubeadm::cluster::Cluster;
use crate::kubeadm::look::{SOON, all_is_well, nothing_is_left};
use crate::say::say;

const POD: &str = "pintle-wrong";

/// Before the kubelet's back-off makes it rare to find a container.
const REFUSED_SOON: Duration = Duration::from_secs(40);

/// One mistake in the manifest.
struct Mistake {
    what: &'static str,
    edit: fn(&str) -> String,
    /// What the one line says.
    says: &'static [&'static str],
    /// `None`: it goes on, because what is missing may still come.
    exit: Option<i64>,
}

const MISTAKES: [Mistake; 9] = [
    Mistake {
        what: "a VIP of a family that the link does not have",
        edit: |pod| with_vip(pod, "fd30::10"),
        says: &["fd30::10", "disable_ipv6"],
        exit: Some(69),
    },
    Mistake {
        what: "a VIP that is the node's own address",
        edit: |pod| with_vip(pod, "172.30.0.12"),
        says: &["172.30.0.12", "own address"],
        exit: Some(69),
    },
    Mistake {
        what: "a link that does not exist",
        edit: |pod| pod.replace("--interface=eth0", "--interface=eth7"),
        says: &["no link eth7"],
        exit: Some(69),
    },
    Mistake {
        what: "a kubeconfig that is missing",
        edit: |pod| with(pod, "--kubeconfig=/etc/kubernetes/none.conf"),
        says: &["/etc/kubernetes/none.conf"],
        exit: None,
    },
    Mistake {
        what: "a kubeconfig that is empty",
        edit: |pod| with(pod, "--kubeconfig=/etc/kubernetes/empty.conf"),
        says: &["/etc/kubernetes/empty.conf"],
        exit: None,
    },
    Mistake {
        what: "a kubeconfig of another cluster",
        edit: |pod| with(pod, "--kubeconfig=/etc/kubernetes/other.conf"),
        says: &["not trusted", "not signed by the CA of the kubeconfig"],
        exit: None,
    },
    Mistake {
        what: "a port that is taken",
        edit: |pod| with(pod, "--set=telemetry.address=127.0.0.1:10250"),
        says: &["127.0.0.1:10250"],
        exit: Some(69),
    },
    Mistake {
        what: "no NET_ADMIN",
        edit: |pod| pod.replace("[NET_ADMIN, NET_RAW]", "[NET_RAW]"),
        says: &["NET_ADMIN"],
        exit: Some(69),
    },
    Mistake {
        what: "a misspelt key",
        edit: |pod| with(pod, "--set=election.leaseDuraton=3s"),
        says: &["leaseDuraton", "leaseDuration"],
        exit: Some(64),
    },
];

/// On a host that does not hold the VIP, in the place of its own pintle.
pub(super) fn refusals(bench: &mut Bench) -> Result<()> {
    // Not the first host: kubectl runs there, and one address among the mistakes is the second's.
    let host = 1;
    if bench.holder()? == host {
        bench.cluster.remove_manifest(host, "pintle.yaml")?;
        wait(SOON, "another holds the VIP", || {
            ensure!(bench.holder()? != host, "the VIP did not move");
            Ok(())
        })?;
    } else {
        bench.cluster.remove_manifest(host, "pintle.yaml")?;
    }
    nothing_is_left(&bench.cluster, host)?;
    prepare(&bench.cluster, host)?;
    let mut wrong = 0;
    for mistake in MISTAKES {
        say(format!("    {}", mistake.what));
        let outcome = is_refused(bench, host, &mistake);
        if let Err(error) = outcome {
            say(format!("    FAILED {}: {error:#}", mistake.what));
            wrong += 1;
        }
        bench.cluster.remove_manifest(host, &format!("{POD}.yaml"))?;
        nothing_is_left(&bench.cluster, host)?;
    }
    ensure!(wrong == 0, "{wrong} of {} mistakes are not refused as they should be", MISTAKES.len());
    bench.note("mistakes that are named in one line", MISTAKES.len());
    bench.cluster.put_manifest(host, "pintle.yaml", &bench.static_pod)?;
    all_is_well(bench)
}

/// Another cluster's kubeconfig has another authority, as the one of the front proxy is. IPv6 is not used
/// by anything else here.
fn prepare(cluster: &Cluster, host: usize) -> Result<()> {
    let script = r#"echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6
ca=$(base64 -w0 /etc/kubernetes/pki/front-proxy-ca.crt)
sed "s/certificate-authority-data: .*/certificate-authority-data: $ca/" \
    /etc/kubernetes/admin.conf >/etc/kubernetes/other.conf
: >/etc/kubernetes/empty.conf"#;
    cluster.host(host).run(&["bash", "-ec", script]).map(drop)
}

fn is_refused(bench: &Bench, host: usize, mistake: &Mistake) -> Result<()> {
    let manifest = bench.static_pod.replacen("  name: pintle\n", &format!("  name: {POD}\n"), 1);
    let manifest = (mistake.edit)(&manifest);
    ensure!(manifest.contains(POD) && manifest != bench.static_pod, "nothing was edited");
    let file = format!("{POD}.yaml");
    bench.cluster.put_manifest(host, &file, &manifest)?;
    let look = || {
        let said = logs(&bench.cluster, host)?;
        let line = said.lines().find(|line| mistake.says.iter().all(|word| line.contains(word)));
        let line = line.with_context(|| format!("no line has {:?}:\n{said}", mistake.says))?;
        if let Some(exit) = mistake.exit {
            let code = exit_code(&bench.cluster, host)?;
            ensure!(code == exit, "it exits with {code}, not {exit}");
        }
        Ok(line.to_owned())
    };
    let (line, _took) = wait(REFUSED_SOON, mistake.what, look)?;
    say(format!("        {line}"));
    restarts_slowly(&bench.cluster, host)
}

fn with(pod: &str, argument: &str) -> String {
    pod.replacen("    - \"run\"\n", &format!("    - \"run\"\n    - \"{argument}\"\n"), 1)
}

fn with_vip(pod: &str, vip: &str) -> String {
    let lines = pod.lines().map(|line| match line.split_once("\"--vip=") {
        Some((indent, _former)) => format!("{indent}\"--vip={vip}\"\n"),
        None => format!("{line}\n"),
    });
    lines.collect()
}

fn status(cluster: &Cluster, host: usize) -> Result<Value> {
    let name = format!("{POD}-{}", Bed::hostname(host));
    let pod = cluster.kubectl_json(0, &["get", "pod", "-n", "kube-system", &name])?;
    Ok(pod["status"]["containerStatuses"][0].clone())
}

/// Of the container that ended last, or of the one that runs.
fn exit_code(cluster: &Cluster, host: usize) -> Result<i64> {
    let status = status(cluster, host)?;
    let ended = [&status["state"], &status["lastState"]];
    let mut codes = ended.iter().filter_map(|state| state["terminated"]["exitCode"].as_i64());
    codes.next().context("it never ended")
}

fn logs(cluster: &Cluster, host: usize) -> Result<String> {
    let name = format!("{POD}-{}", Bed::hostname(host));
    let words = ["logs", "-n", "kube-system", &name];
    cluster.kubectl(0, &words)
}

/// The kubelet's back-off is 10 s, then 20 s, then 40 s: nobody can have restarted it more often than that.
fn restarts_slowly(cluster: &Cluster, host: usize) -> Result<()> {
    let restarts = status(cluster, host)?["restartCount"].as_i64().unwrap_or_default();
    ensure!(restarts <= 3, "{restarts} restarts already");
    Ok(())
}
