//! What the figures were measured on, and with what.

use std::fs;
use std::hash::Hasher as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use pintle_testkit::control_plane::tool;
use serde::{Deserialize, Serialize};

/// The machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's own name.
    pub cpu: String,
    /// How many cores this process may use.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// Memory, in MiB.
    pub memory_mib: u64,
}

/// The programs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// What `pintle version` says.
    pub pintle: String,
    /// Tells one build of pintle from another: figures of two builds are not mixed.
    pub pintle_build: String,
    /// Kubernetes.
    pub kubernetes: String,
    /// etcd.
    pub etcd: String,
}

// === impl Machine ===

impl Machine {
    /// Asks the kernel.
    #[must_use]
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib = memory.split(' ').next().and_then(|kib| kib.parse::<u64>().ok());
        Self {
            cpu: field(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_mib: kib.unwrap_or_default() / 1024,
        }
    }
}

// === impl Versions ===

impl Versions {
    /// Asks the programs.
    ///
    /// # Errors
    /// When one is missing or does not say.
    pub fn of(pintle: &Path) -> Result<Self> {
        Ok(Self {
            pintle: first_line(pintle, "version")?,
            pintle_build: fingerprint(pintle)?,
            kubernetes: first_line(&tool("kube-apiserver")?, "--version")?,
            etcd: first_line(&tool("etcd")?, "--version")?.replace(" Version:", ""),
        })
    }
}

/// The value of the first line `name : value`.
fn field(text: &str, name: &str) -> String {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.map(|(key, value)| (key.trim(), value.trim()));
    let mut found = found.filter(|(key, _value)| *key == name);
    found.next().map_or_else(String::new, |(_key, value)| value.to_owned())
}

fn first_line(program: &Path, argument: &str) -> Result<String> {
    let output = Command::new(program).arg(argument).output();
    let output = output.with_context(|| format!("run {} {argument}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = said.lines().next().map(str::trim);
    line.filter(|line| !line.is_empty())
        .map(str::to_owned)
        .with_context(|| format!("{} {argument} said nothing", program.display()))
}

/// SipHash of the file, by the standard library's fixed keys: no proof, but never equal by chance.
fn fingerprint(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(&bytes);
    Ok(format!("{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_lists() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: Other\n";
        assert_eq!(field(text, "model name"), "Some CPU @ 2 GHz");
        assert_eq!(field(text, "absent"), "");
        assert_eq!(field("MemTotal:       24 kB\n", "MemTotal"), "24 kB");
    }

    #[test]
    fn this_machine_has_a_kernel_and_memory() {
        let machine = Machine::here();
        assert!(machine.cores > 0 && machine.memory_mib > 0 && !machine.kernel.is_empty());
    }
}
