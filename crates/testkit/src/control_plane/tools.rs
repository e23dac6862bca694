//! Where the built programs are: `hack/tools.sh` knows, and it alone holds the versions.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// The programs of a control plane, all present.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) etcd: PathBuf,
    pub(super) kube_apiserver: PathBuf,
}

// === impl Tools ===

impl Tools {
    pub(super) fn find() -> anyhow::Result<Self> {
        Ok(Self { etcd: tool("etcd")?, kube_apiserver: tool("kube-apiserver")? })
    }
}

/// Finds a program that `hack/tools.sh` builds; it never builds one, which takes minutes.
///
/// # Errors
/// When it is not there, with what to run.
pub fn tool(name: &str) -> anyhow::Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hack/tools.sh");
    let output = Command::new(&script).args(["path", name]).output();
    let output = output.with_context(|| format!("run {}", script.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "hack/tools.sh path {name} failed: {said}");
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    anyhow::ensure!(
        path.is_file(),
        "{name} is not at {}: run `hack/tools.sh {name}` first, it builds {name} once",
        path.display()
    );
    Ok(path)
}
