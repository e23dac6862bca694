//! The pod, which the static pods and the DaemonSet have in common.

use std::fmt::Write as _;
use std::net::SocketAddr;

use clap::ValueEnum as _;
use pintle_core::config::{Argument, Role};

use super::mounts::Source;
use super::{Mount, quoted, run_arguments, wrong};
use crate::args::PodArgs;
use crate::exit::Failure;

/// What is put into the template.
#[derive(Debug)]
pub(super) struct Pod<'a> {
    image: &'a str,
    policy: String,
    arguments: Vec<String>,
    probe_host: String,
    port: u16,
    shape: Shape<'a>,
}

/// What differs between the roles.
#[derive(Debug)]
pub(super) struct Shape<'a> {
    pub(super) template: &'static str,
    pub(super) role: Role,
    pub(super) telemetry: SocketAddr,
    pub(super) mounts: Vec<Mount>,
    /// The part of the specification that says who it is.
    pub(super) account: &'a str,
}

// === impl Pod ===

impl<'a> Pod<'a> {
    /// The pod for these settings.
    ///
    /// # Errors
    ///
    /// Settings that a pod cannot work with.
    pub(super) fn new(
        args: &'a PodArgs,
        arguments: &[Argument],
        shape: Shape<'a>,
    ) -> Result<Self, Failure> {
        if let Some(Argument { flag, .. }) =
            arguments.iter().find(|argument| argument.key == "node")
        {
            // Two nodes of one name hold the Lease both: the pod gets its own from the kubelet.
            return Err(wrong(format!("{flag}: the file is the same on every node, leave it out")));
        }
        let port = shape.telemetry.port();
        if port == 0 {
            return Err(wrong("telemetry.address has port 0: the kubelet could not probe it"));
        }
        let image = args.image.as_str();
        if image.is_empty() || image.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(wrong(format!("--image: {image:?} is no name of an image")));
        }
        let policy = args.image_pull_policy.to_possible_value();
        Ok(Self {
            image,
            policy: policy.map(|value| value.get_name().to_owned()).unwrap_or_default(),
            arguments: run_arguments(arguments, shape.role),
            probe_host: probe_host(shape.telemetry),
            port,
            shape,
        })
    }

    /// Its specification, not indented.
    pub(super) fn spec(&self) -> String {
        let mut yaml = self
            .shape
            .template
            .replace("@ACCOUNT@", self.shape.account)
            .replace("@POLICY@", &self.policy)
            .replace("@PROBE_HOST@", &quoted(&self.probe_host))
            .replace("@PORT@", &self.port.to_string())
            .replace("@IMAGE@", &quoted(self.image));
        let mut arguments = String::new();
        for argument in &self.arguments {
            let _ = writeln!(arguments, "  - {}", quoted(argument));
        }
        let (mut targets, mut volumes) = (String::new(), String::new());
        for Mount { name, why, target, source } in &self.shape.mounts {
            let _ = writeln!(
                targets,
                "  - name: {name}\n    mountPath: {}\n    readOnly: true",
                quoted(target)
            );
            let (path, kind) = match source {
                Source::Directory(path) => (path, "DirectoryOrCreate"),
                Source::File(path) => (path, "File"),
            };
            let path = quoted(path);
            let _ = writeln!(
                volumes,
                "# {why}\n- name: {name}\n  hostPath:\n    path: {path}\n    type: {kind}"
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
}

/// Where the kubelet asks: an address that is on the node whatever the pod listens on.
fn probe_host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => "127.0.0.1".to_owned(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => "::1".to_owned(),
        SocketAddr::V4(_) | SocketAddr::V6(_) => address.ip().to_string(),
    }
}
