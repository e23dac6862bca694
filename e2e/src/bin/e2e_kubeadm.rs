//! `e2e-kubeadm`: the real scenario, with kubeadm, kubelet and containerd. Needs root, and
//! `hack/k8s/images.sh` run once.
//!
//! Exit codes: 0 every step passed; 1 one did not; 64 bad arguments.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use pintle_e2e::front;
use pintle_e2e::kubeadm::bench::Bench;
use pintle_e2e::kubeadm::cluster::{Cluster, Parts};
use pintle_e2e::kubeadm::steps::{self, STEPS, Step};
use pintle_e2e::report::aligned;
use pintle_e2e::say::{print, say};

/// Makes a cluster of three control-plane nodes with kubeadm, pintle's static pod in place before init.
#[derive(Debug, Parser)]
struct Arguments {
    /// kubelet, kubeadm, kubectl and helm, each
    #[arg(long = "program", value_name = "FILE", required = true)]
    programs: Vec<PathBuf>,
    /// The directory with the control plane's images (hack/k8s/images.sh)
    #[arg(long, value_name = "DIRECTORY")]
    images: PathBuf,
    /// pintle's own image (hack/image.sh)
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
    /// pintle's static pod, as `pintle manifest static-pod` prints it
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// pintle's chart
    #[arg(long, value_name = "DIRECTORY", default_value = "manifests/chart")]
    chart: PathBuf,
    /// The version of kubelet and the rest
    #[arg(long, value_name = "VERSION")]
    kubernetes: String,
    /// Only the steps that every change has to pass
    #[arg(long, conflicts_with = "steps")]
    core: bool,
    /// Only these steps, after the first, which makes the cluster
    #[arg(long = "step", value_name = "STEP")]
    steps: Vec<String>,
    /// Keep the cluster until a line comes from standard input
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    match front::arguments() {
        Ok(arguments) => front::end("e2e-kubeadm", run(&arguments)),
        Err(exit) => exit,
    }
}

fn run(arguments: &Arguments) -> Result<bool> {
    let steps = chosen(arguments)?;
    let static_pod = std::fs::read_to_string(&arguments.manifest).context("read the manifest")?;
    say("booting three hosts");
    let cluster = Cluster::boot(Parts {
        programs: arguments.programs.clone(),
        images: arguments.images.clone(),
        image: arguments.image.clone(),
        chart: arguments.chart.clone(),
        version: arguments.kubernetes.clone(),
    })?;
    let mut bench = Bench::new(cluster, static_pod);
    let outcome = steps.into_iter().try_for_each(|step| steps::run(&mut bench, step));
    let rows = bench.figures().iter().map(|(what, figure)| vec![what.clone(), figure.clone()]);
    print(aligned(&rows.collect::<Vec<_>>()));
    if arguments.keep {
        if let Err(error) = &outcome {
            say(format!("{error:#}"));
        }
        say("the cluster is kept until a line comes from standard input");
        std::io::stdin().read_line(&mut String::new()).context("read standard input")?;
    }
    outcome.map(|()| true)
}

/// The steps that were asked for, in their own order, the first always among them.
fn chosen(arguments: &Arguments) -> Result<Vec<&'static Step>> {
    let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
    for wanted in &arguments.steps {
        ensure!(names.contains(&wanted.as_str()), "no step {wanted}: one of {}", names.join(" "));
    }
    let is_wanted = |step: &Step| {
        let everything = arguments.steps.is_empty() && !arguments.core;
        everything
            || arguments.core && step.is_core
            || arguments.steps.iter().any(|it| it == step.name)
    };
    Ok(STEPS
        .iter()
        .enumerate()
        .filter(|(at, step)| *at == 0 || is_wanted(step))
        .map(|(_, step)| step)
        .collect())
}
