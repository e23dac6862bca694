//! The product under test: its binary, its configuration, and one process per host.
//!
//! It is started as an operator starts it, with a file; nothing of it is linked in here.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use pintle_testkit::netns::{INTERFACE, Namespace};
use pintle_testkit::process::{Process, Spawn};

/// Where each pintle serves its state, on its host's loopback.
pub const TELEMETRY_PORT: u16 = 9810;

/// What a test sets apart from the defaults; the fault table is measured with the defaults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tuning {
    /// `leaseDuration`, with a `renewDeadline` of 200 ms less as in the defaults.
    pub lease_duration_ms: Option<u64>,
    /// `onApiLoss: release`.
    pub releases_on_api_loss: bool,
    /// `failureThreshold` of the probe.
    pub failure_threshold: Option<u32>,
    /// `balancer.enabled`.
    pub is_balanced: bool,
}

impl Tuning {
    /// The defaults, the balancer off.
    pub const OFF: Self = Self {
        lease_duration_ms: None,
        releases_on_api_loss: false,
        failure_threshold: None,
        is_balanced: false,
    };
}

/// Where and as whom a pintle runs.
#[derive(Debug)]
pub struct Place<'a> {
    /// The host's network namespace.
    pub namespace: &'a Namespace,
    /// The host's name, which is the node's name too.
    pub hostname: &'a str,
    /// Its credentials.
    pub kubeconfig: &'a Path,
    /// The address to hold.
    pub vip: IpAddr,
    /// Where the configuration and the log go.
    pub directory: &'a Path,
}

/// One pintle on one host.
#[derive(Debug)]
pub struct Pintle {
    process: Process,
    config: PathBuf,
    settings: Settings,
}

#[derive(Debug, Clone)]
struct Settings {
    hostname: String,
    vip: IpAddr,
    kubeconfig: PathBuf,
}

/// Finds the binary: `PINTLE_BIN`, else the static release binary, else the debug build.
///
/// # Errors
/// When there is none, with what to run.
pub fn binary() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("PINTLE_BIN") {
        let path = PathBuf::from(named);
        ensure!(path.is_file(), "PINTLE_BIN={} is no file", path.display());
        return fs::canonicalize(&path).with_context(|| format!("find {}", path.display()));
    }
    let target = crate::workspace().join("target");
    ["dist/pintle", "debug/pintle"]
        .iter()
        .map(|name| target.join(name))
        .find(|path| path.is_file())
        .context("there is no pintle binary: run `make binary`, or set PINTLE_BIN")
}

fn config_text(settings: &Settings, tuning: Tuning) -> String {
    let mut election = vec![];
    if let Some(duration) = tuning.lease_duration_ms {
        election.push(format!("leaseDuration: {duration}ms"));
        election.push(format!("renewDeadline: {}ms", duration.saturating_sub(200)));
    }
    if tuning.releases_on_api_loss {
        election.push("onApiLoss: release".to_owned());
    }
    let probe = tuning.failure_threshold.map_or_else(String::new, |failures| {
        format!("  probe: {{failureThreshold: {failures}}}\n")
    });
    format!(
        "apiVersion: pintle.dev/v1alpha1\n\
         kind: Config\n\
         node: {hostname}\n\
         vips: ['{vip}']\n\
         interface: {INTERFACE}\n\
         election: {{{election}}}\n\
         apiserver:\n  \
           address: 127.0.0.1:6443\n  \
           kubeconfigs: ['{kubeconfig}']\n\
         {probe}\
         {balancer}\
         telemetry: {{address: '127.0.0.1:{TELEMETRY_PORT}', log: info, format: json}}\n",
        hostname = settings.hostname,
        vip = settings.vip,
        election = election.join(", "),
        balancer = if tuning.is_balanced { "balancer: {enabled: true}\n" } else { "" },
        kubeconfig = settings.kubeconfig.display(),
    )
}

// === impl Pintle ===

impl Pintle {
    /// Writes the configuration and starts the binary; it is not waited for.
    ///
    /// # Errors
    /// When the files cannot be written or the process cannot be started.
    pub fn start(binary: &Path, place: &Place<'_>, tuning: Tuning) -> Result<Self> {
        let settings = Settings {
            hostname: place.hostname.to_owned(),
            vip: place.vip,
            kubeconfig: place.kubeconfig.to_owned(),
        };
        fs::create_dir_all(place.directory)?;
        let config = place.directory.join("pintle.yaml");
        fs::write(&config, config_text(&settings, tuning))
            .with_context(|| format!("write {}", config.display()))?;
        let log = place.directory.join("pintle.log");
        let process = Spawn::new(format!("pintle of {}", place.hostname), binary, log)
            .in_namespace(place.namespace.name())
            .hostname(place.hostname)
            .args(["run".into(), "--config".into(), config.clone()])
            .start()?;
        Ok(Self { process, config, settings })
    }

    /// The process, to be killed, stopped, asked to end.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its log.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        self.process.log_path()
    }

    /// Writes the configuration anew; it counts from the next start.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn configure(&self, tuning: Tuning) -> Result<()> {
        fs::write(&self.config, config_text(&self.settings, tuning))
            .with_context(|| format!("write {}", self.config.display()))
    }

    /// How long its log is, to read on from there later.
    #[must_use]
    pub fn log_length(&self) -> u64 {
        fs::metadata(self.log_path()).map_or(0, |found| found.len())
    }

    /// What it has logged since its log had this length.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log_since(&self, length: u64) -> Result<String> {
        let mut file = fs::File::open(self.log_path()).context("open pintle's log")?;
        file.seek(SeekFrom::Start(length))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            hostname: "cp-1".to_owned(),
            vip: "192.0.2.10".parse().unwrap(),
            kubeconfig: "/run/admin.conf".into(),
        }
    }

    #[test]
    fn the_defaults_are_left_to_the_product() {
        let text = config_text(&settings(), Tuning::default());
        assert!(text.contains("election: {}\n"), "{text}");
        assert!(!text.contains("probe"), "{text}");
        assert!(text.contains("kubeconfigs: ['/run/admin.conf']\ntelemetry:"), "{text}");
    }

    #[test]
    fn a_tuning_shows_in_the_file() {
        let tuning = Tuning {
            lease_duration_ms: Some(10_000),
            releases_on_api_loss: true,
            failure_threshold: Some(10),
            is_balanced: true,
        };
        let text = config_text(&settings(), tuning);
        let election = "{leaseDuration: 10000ms, renewDeadline: 9800ms, onApiLoss: release}";
        assert!(text.contains(election), "{text}");
        assert!(
            text.contains(
                "\n  probe: {failureThreshold: 10}\nbalancer: {enabled: true}\ntelemetry:"
            ),
            "{text}"
        );
    }
}
