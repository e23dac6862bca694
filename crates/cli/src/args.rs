//! The shape of the command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use pintle_core::config::FILE_VARIABLE;

use crate::manifest::Distribution;
pub(crate) use crate::setting_args::SettingArgs;

/// The highly available front door of a Kubernetes control plane.
#[derive(Debug, Parser)]
#[command(name = "pintle", version, disable_help_subcommand = true, arg_required_else_help = false)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Keep the VIP on one fit control-plane node; with `role: proxy`, balance this worker's connections.
    Run(ConfigArgs),
    /// Look whether this node is fit to run pintle: one line per finding, with what to do.
    Check(ConfigArgs),
    /// Print a manifest.
    #[command(subcommand)]
    Manifest(Manifest),
    /// Say who holds the VIP, since when and why, as this node's pintle knows it.
    Status(StatusArgs),
    /// Print the version.
    Version {
        /// How to print it.
        #[arg(short, long, value_enum, default_value_t = OutputFormat::Text)]
        output: OutputFormat,
    },
    /// Not available yet: move the VIP to another node without a failed connection.
    Handover(Later),
    /// Run with kube-vip's environment variables: its control-plane manifest with another image.
    Manager(ManagerArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Manifest {
    /// The static pod for /etc/kubernetes/manifests; it may be put there before `kubeadm init`.
    StaticPod(StaticPodArgs),
    /// The DaemonSet for a running cluster, with its account, its role and its seats at the API server.
    Daemonset(PodArgs),
    /// The account of the DaemonSet and its role.
    Rbac(RbacArgs),
    /// Seats of its own at the API server (API priority and fairness), for the static pod, too.
    FlowSchema(SettingArgs),
    /// The unit for systemd, for hosts that keep the front door outside the kubelet.
    Systemd(SystemdArgs),
}

/// Where the configuration comes from. Flags win over the environment (`PINTLE_…`), the environment
/// wins over the file, the file over the defaults.
#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    /// The configuration file.
    #[arg(long = "config", value_name = "FILE", env = FILE_VARIABLE)]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

#[derive(Args, Debug)]
pub(crate) struct StaticPodArgs {
    /// What is there today: a manifest of kube-vip's, or keepalived.conf and haproxy.cfg. What each line
    /// became is in the comments.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) from: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) pod: PodArgs,
}

#[derive(Args, Debug)]
pub(crate) struct PodArgs {
    /// The image to run.
    #[arg(long, value_name = "IMAGE", default_value = DEFAULT_IMAGE)]
    pub(crate) image: String,
    /// When the kubelet pulls the image.
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = PullPolicy::IfNotPresent)]
    pub(crate) image_pull_policy: PullPolicy,
    /// Who set the cluster up: where its kubeconfigs are.
    #[arg(long, value_name = "NAME", value_enum, default_value_t = Distribution::Kubeadm)]
    pub(crate) distribution: Distribution,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

#[derive(Args, Debug)]
pub(crate) struct RbacArgs {
    /// Instead: the role of the workers' proxies, for the kubelets' own credentials.
    #[arg(long)]
    pub(crate) proxy: bool,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SystemdArgs {
    /// Who set the cluster up: where its kubeconfigs are.
    #[arg(long, value_name = "NAME", value_enum, default_value_t = Distribution::Kubeadm)]
    pub(crate) distribution: Distribution,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    /// Where pintle listens: PINTLE_TELEMETRY_ADDRESS, else the default of telemetry.address.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) address: Option<SocketAddr>,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = OutputFormat::Text)]
    pub(crate) output: OutputFormat,
}

#[derive(Args, Debug)]
pub(crate) struct ManagerArgs {
    /// kube-vip's own flags; a variable that is set wins.
    #[arg(value_name = "FLAG", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) flags: Vec<String>,
}

/// Whatever is given to a command that does not exist yet: it is refused with one sentence, not with
/// a complaint about its flags.
#[derive(Args, Debug)]
pub(crate) struct Later {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub(crate) rest: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum PullPolicy {
    /// On every start.
    Always,
    /// When the node does not have it.
    IfNotPresent,
    /// Not at all: it was imported.
    Never,
}

/// The image of this very version: a manifest and the binary that printed it belong together.
const DEFAULT_IMAGE: &str = concat!("pintle.dev/pintle:", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_fits_together() {
        Cli::command().debug_assert();
    }
}
