//! What the static pod sees of its host, and why so.
//!
//! - **Not single files.** Before `kubeadm init` neither admin.conf nor super-admin.conf exists, and
//!   joined nodes never have the second: without a type the runtime would make a *directory* of that
//!   name, `File` keeps the pod from starting, `FileOrCreate` leaves an empty kubeconfig in kubeadm's
//!   way. And a file that is replaced by a rename (`kubeadm certs renew`) stays the old one in a mount
//!   of its own. So the directory is mounted, read-only.
//! - **Not the CA's key.** The directory holds `pki`, which is worth more than any kubeconfig: its key
//!   makes new ones. It is covered by an empty directory.
//! - **Not an emptyDir.** The runtime must find `pki` to mount over it, and cannot make it inside a
//!   read-only mount: before init the container would fail with "mkdir …/pki: read-only file system"
//!   (runc 1.1.5). The cover is therefore a directory *in* the host's `pki`, made by the kubelet with
//!   its parents (`DirectoryOrCreate`) before the container is: one step makes both the place to mount
//!   on and what is mounted there. It stays empty: the pod has it read-only.
//! - **machine-id** is a file that does not change while the host runs, so a mount of its own is right.
//!   With the kernel's boot id it tells two hosts of the same name apart.

use std::path::{Path, PathBuf};

/// Where kubeadm keeps kubeconfigs, and beside them the CA's key.
const KUBERNETES: &str = "/etc/kubernetes";
const PKI: &str = "/etc/kubernetes/pki";
const COVER: &str = "/etc/kubernetes/pki/pintle-cover";
const MACHINE_ID: &str = "/etc/machine-id";
pub(super) const MACHINE_ID_NAME: &str = "machine-id";

/// Something of the host inside the pod. Always read-only.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) name: String,
    pub(super) why: &'static str,
    pub(super) target: String,
    pub(super) source: Source,
}

/// What it is on the host.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A directory, made when it is not there.
    Directory(String),
    /// A file that is there.
    File(String),
}

/// The mounts for these kubeconfigs, which may be none; what is wrong with them otherwise.
pub(super) fn of(kubeconfigs: &[PathBuf]) -> Result<Vec<Mount>, String> {
    let mut directories: Vec<&Path> = Vec::new();
    for kubeconfig in kubeconfigs {
        directories.push(directory_of(kubeconfig)?);
    }
    let mut mounts = Vec::new();
    for (index, directory) in directories.iter().enumerate() {
        let is_known = directories[..index].contains(directory);
        let is_inside = directories.iter().any(|o| o != directory && directory.starts_with(o));
        if is_known || is_inside {
            continue;
        }
        let name = if mounts.is_empty() {
            "kubeconfigs".to_owned()
        } else {
            format!("kubeconfigs-{index}")
        };
        let path = directory.display().to_string();
        let why =
            "The whole directory: the files come with kubeadm init, and are replaced later on.";
        mounts.push(Mount { name, why, target: path.clone(), source: Source::Directory(path) });
    }
    if mounts.iter().any(|mount| mount.target == KUBERNETES) {
        mounts.push(Mount {
            name: "pki-cover".to_owned(),
            why: "An empty directory over the one with the CA's key. Inside it, so that both exist before init.",
            target: PKI.to_owned(),
            source: Source::Directory(COVER.to_owned()),
        });
    }
    mounts.push(Mount {
        name: MACHINE_ID_NAME.to_owned(),
        why: "Tells two hosts of the same name apart.",
        target: MACHINE_ID.to_owned(),
        source: Source::File(MACHINE_ID.to_owned()),
    });
    Ok(mounts)
}

/// The directory to mount for a kubeconfig, when it is one that may be shown to a pod.
fn directory_of(kubeconfig: &Path) -> Result<&Path, String> {
    let shown = kubeconfig.display();
    let directory = kubeconfig.parent().unwrap_or(kubeconfig);
    let is_plain =
        kubeconfig.components().all(|part| !matches!(part, std::path::Component::ParentDir));
    if !is_plain || kubeconfig.to_string_lossy().contains([':', ',']) {
        return Err(format!(
            "--kubeconfig: {shown} cannot be mounted: no '..', ':' or ',' in its path"
        ));
    }
    if directory.components().count() < 3 {
        return Err(format!(
            "--kubeconfig: {shown} would show the pod all of {}: put it into a directory of its own",
            directory.display()
        ));
    }
    if directory.starts_with(PKI) {
        return Err(format!("--kubeconfig: {shown} is in {PKI}, which the pod must not see"));
    }
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(kubeconfigs: &[&str]) -> Result<Vec<String>, String> {
        let paths: Vec<PathBuf> = kubeconfigs.iter().map(PathBuf::from).collect();
        of(&paths).map(|mounts| mounts.into_iter().map(|mount| mount.target).collect())
    }

    #[test]
    fn each_directory_is_mounted_once_and_pki_is_covered() {
        assert_eq!(
            targets(&["/etc/kubernetes/admin.conf", "/etc/kubernetes/super-admin.conf"]).unwrap(),
            ["/etc/kubernetes", "/etc/kubernetes/pki", "/etc/machine-id"]
        );
        assert_eq!(
            targets(&[
                "/etc/rancher/k3s/k3s.yaml",
                "/etc/kubernetes/x/a.conf",
                "/etc/kubernetes/a.conf"
            ])
            .unwrap(),
            ["/etc/rancher/k3s", "/etc/kubernetes", "/etc/kubernetes/pki", "/etc/machine-id"]
        );
    }

    #[test]
    fn what_would_show_too_much_is_refused() {
        for path in [
            "/admin.conf",
            "/etc/admin.conf",
            "/etc/kubernetes/pki/a.conf",
            "/etc/kubernetes/../a.conf",
        ] {
            assert!(targets(&[path]).is_err(), "{path}");
        }
    }
}
