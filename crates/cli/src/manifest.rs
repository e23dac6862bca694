//! `pintle manifest static-pod`: the pod as YAML, checked before it is printed.
//!
//! Every setting that differs from its default becomes an argument of `run`, so that one file holds
//! everything and is the same on every node; a ConfigMap does not exist before `kubeadm init`.

use std::fmt::Write as _;
use std::net::SocketAddr;

use clap::ValueEnum as _;
use pintle_core::config::{Argument, Config, Fallback, KEYS, Shape, Sources};

use crate::args::StaticPodArgs;
use crate::exit::{Exit, Failure};
use crate::refused;

mod mounts;

use mounts::{Mount, Source};

/// Renders the static pod.
///
/// # Errors
///
/// Every mistake in the settings, and settings that a static pod cannot work with.
pub(crate) fn static_pod(pod: &StaticPodArgs) -> Result<String, Failure> {
    let arguments = pod.settings.arguments();
    let config = Config::read(&Sources {
        // The node's name is not this host's: the pod learns it from the kubelet.
        host_name: "node".to_owned(),
        arguments: arguments.clone(),
        ..Sources::default()
    })
    .map_err(|mistakes| refused(&mistakes))?;
    if let Some(Argument { flag, .. }) = arguments.iter().find(|argument| argument.key == "node") {
        // Two nodes of one name hold the Lease both: the pod gets its own from the kubelet.
        return Err(wrong(format!("{flag}: the file is the same on every node, leave it out")));
    }
    let mounts = mounts::of(&config.apiserver.kubeconfigs).map_err(wrong)?;
    let port = config.telemetry.address.port();
    if port == 0 {
        return Err(wrong(
            "telemetry.address has port 0: the kubelet could not probe it".to_owned(),
        ));
    }
    let image = &pod.image;
    if image.is_empty() || image.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(wrong(format!("--image: {image:?} is no name of an image")));
    }
    let policy = pod.image_pull_policy.to_possible_value().map(|value| value.get_name().to_owned());
    Ok(render(&Pod {
        image,
        policy: &policy.unwrap_or_default(),
        arguments: &run_arguments(&arguments),
        probe_host: &probe_host(config.telemetry.address),
        port,
        mounts: &mounts,
    }))
}

fn wrong(message: String) -> Failure {
    Failure::new(Exit::BadConfig, format!("pintle: {message}"))
}

/// What is put into the template.
struct Pod<'a> {
    image: &'a str,
    policy: &'a str,
    arguments: &'a [String],
    probe_host: &'a str,
    port: u16,
    mounts: &'a [Mount],
}

/// `run` and the settings that differ from their defaults, in the order of the file.
fn run_arguments(given: &[Argument]) -> Vec<String> {
    let mut arguments = vec!["run".to_owned()];
    for key in KEYS {
        for Argument { values, .. } in given.iter().filter(|argument| argument.key == key.path) {
            if matches!(key.fallback, Fallback::Text(text) if text == values.join(",")) {
                continue;
            }
            let assignments: Vec<String> = match (key.flag, key.shape) {
                (Some(flag), Shape::List) => {
                    let items = values.iter().flat_map(|value| value.split(','));
                    items.map(|item| format!("--{flag}={}", item.trim())).collect()
                }
                (Some(flag), Shape::One) => vec![format!("--{flag}={}", values.join(","))],
                (None, _) => vec![format!("--set={}={}", key.path, values.join(","))],
            };
            arguments.extend(assignments);
        }
    }
    arguments
}

/// Where the kubelet asks: an address that is on the node whatever the pod listens on.
fn probe_host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => "127.0.0.1".to_owned(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => "::1".to_owned(),
        SocketAddr::V4(_) | SocketAddr::V6(_) => address.ip().to_string(),
    }
}

/// A text as YAML: a JSON string is one, with every character that YAML would read otherwise escaped.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn render(pod: &Pod<'_>) -> String {
    let mut yaml = include_str!("manifest/static-pod.yaml")
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@POLICY@", pod.policy)
        .replace("@PROBE_HOST@", &quoted(pod.probe_host))
        .replace("@PORT@", &pod.port.to_string())
        .replace("@IMAGE@", &quoted(pod.image));
    let mut arguments = String::new();
    for argument in pod.arguments {
        let _ = writeln!(arguments, "    - {}", quoted(argument));
    }
    let (mut targets, mut volumes) = (String::new(), String::new());
    for Mount { name, why, target, source } in pod.mounts {
        let _ = writeln!(
            targets,
            "    - name: {name}\n      mountPath: {}\n      readOnly: true",
            quoted(target)
        );
        let (path, kind) = match source {
            Source::Directory(path) => (path, "DirectoryOrCreate"),
            Source::File(path) => (path, "File"),
        };
        let path = quoted(path);
        let _ = writeln!(
            volumes,
            "  # {why}\n  - name: {name}\n    hostPath:\n      path: {path}\n      type: {kind}"
        );
    }
    // Last, so that nothing the operator wrote is taken for a place of the template.
    for (place, text) in
        [("@VOLUMES@\n", volumes), ("@MOUNTS@\n", targets), ("@ARGUMENTS@\n", arguments)]
    {
        yaml = yaml.replacen(place, &text, 1);
    }
    yaml
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command, Manifest};
    use clap::Parser as _;

    #[test]
    fn a_node_s_name_is_refused_by_either_flag() {
        for flag in ["--node=cp-1", "--set=node=cp-1"] {
            let cli =
                Cli::parse_from(["pintle", "manifest", "static-pod", "--vip=192.0.2.10", flag]);
            let Command::Manifest(Manifest::StaticPod(pod)) = cli.command else {
                panic!("another command");
            };
            let failure = static_pod(&pod).unwrap_err();
            assert_eq!(failure.exit, Exit::BadConfig);
            assert!(failure.message.contains("the same on every node"), "{failure}");
        }
    }
}
