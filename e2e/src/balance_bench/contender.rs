//! The balancers under test: how each is configured, started and stopped.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pintle_testkit::netns::INTERFACE;
use pintle_testkit::process::Process;
use serde::{Deserialize, Serialize};

use super::bed::{BACKENDS, Bed, FRONT, backend_address, wait};
use super::load::{Job, Line};
use super::sys::{list, open_files};

/// What each may have at once: the 8000 of the memory's row and the probes of the bench.
const MAX_CONNECTIONS: usize = 8500;
/// What a process opens beside two descriptors a connection: pintle says 768, HAProxy's pipes are 2000.
const OTHER_DESCRIPTORS: usize = 2500;

const START_TIMEOUT: Duration = Duration::from_secs(20);
const STOP_TIMEOUT: Duration = Duration::from_secs(8);
/// Two good probes of each backend, by any of them.
const SETTLE: Duration = Duration::from_millis(1500);

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Contender {
    /// The binary that ships.
    Pintle,
    /// The distribution's HAProxy, copying.
    Haproxy,
    /// The same with `option splice-auto`.
    HaproxySplice,
    /// The distribution's nginx with its stream module.
    Nginx,
    /// No balancer: clients go to the backends.
    Direct,
}

/// A balancer that runs.
#[derive(Debug)]
pub struct Running {
    contender: Contender,
    process: Option<Process>,
}

/// The programs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Programs {
    pub(super) pintle: PathBuf,
    /// What each says of its version.
    pub versions: Vec<String>,
}

// === impl Programs ===

impl Programs {
    /// Finds them.
    ///
    /// # Errors
    /// When one is missing, with what to run.
    pub fn find(pintle: &Path) -> Result<Self> {
        let versions = vec![
            said(pintle, "version")?,
            said(Path::new("haproxy"), "-v")?,
            said(Path::new("nginx"), "-v")?,
        ];
        let modules = nginx_modules().join("ngx_stream_module.so");
        ensure!(modules.is_file(), "{} is missing: hack/setup.sh balancers", modules.display());
        Ok(Self { pintle: pintle.to_owned(), versions })
    }
}

fn said(program: &Path, argument: &str) -> Result<String> {
    let output = Command::new(program).arg(argument).output();
    let output = output
        .with_context(|| format!("{} is missing: hack/setup.sh balancers", program.display()))?;
    // nginx says it on standard error.
    let all = [output.stdout, output.stderr].concat();
    let all = String::from_utf8_lossy(&all).into_owned();
    let line = all.lines().next().context("it says no version")?;
    Ok(line.split(" - ").next().unwrap_or(line).trim().to_owned())
}

fn nginx_modules() -> PathBuf {
    PathBuf::from("/usr/lib/nginx/modules")
}

// === impl Contender ===

impl Contender {
    /// The columns of the table.
    pub const ALL: [Self; 5] =
        [Self::Pintle, Self::Haproxy, Self::HaproxySplice, Self::Nginx, Self::Direct];

    /// Its column's heading.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pintle => "pintle",
            Self::Haproxy => "HAProxy",
            Self::HaproxySplice => "HAProxy splice",
            Self::Nginx => "nginx",
            Self::Direct => "direct",
        }
    }

    /// Where clients go.
    pub(super) fn targets(self) -> Vec<SocketAddr> {
        match self {
            Self::Direct => (0..BACKENDS).map(backend_address).collect(),
            _ => vec![FRONT],
        }
    }

    /// Starts it and waits until it spreads connections over every backend.
    pub(super) fn start(self, bed: &Bed, programs: &Programs) -> Result<Running> {
        let mut running = Running { contender: self, process: None };
        if self == Self::Direct {
            return Ok(running);
        }
        if self != Self::Pintle {
            bed.balancer_ns().add_address(FRONT.ip())?;
        }
        let (program, words) = self.command(bed, programs)?;
        running.process = Some(bed.start_balancer(self.name(), &program, words)?);
        running.wait_ready(bed).with_context(|| format!("start {}", self.name()))?;
        sleep(SETTLE);
        Ok(running)
    }

    /// The program and its arguments; its configuration is written.
    fn command(self, bed: &Bed, programs: &Programs) -> Result<(PathBuf, Vec<PathBuf>)> {
        let (name, text) = match self {
            Self::Pintle | Self::Direct => ("pintle.yaml", include_str!("pintle.yaml")),
            Self::Haproxy | Self::HaproxySplice => ("haproxy.cfg", include_str!("haproxy.cfg")),
            Self::Nginx => ("nginx.conf", include_str!("nginx.conf")),
        };
        let path = bed.directory().join(name);
        let text = self.filled_in(text, bed)?;
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(match self {
            Self::Pintle | Self::Direct => {
                (programs.pintle.clone(), vec!["run".into(), "--config".into(), path])
            }
            // As HAProxy's own image does: a master and a worker, in the foreground.
            Self::Haproxy | Self::HaproxySplice => {
                ("haproxy".into(), vec!["-W".into(), "-db".into(), "-f".into(), path])
            }
            Self::Nginx => {
                ("nginx".into(), vec!["-c".into(), path, "-g".into(), "daemon off;".into()])
            }
        })
    }

    fn filled_in(self, text: &str, bed: &Bed) -> Result<String> {
        let limit = open_files();
        let most = MAX_CONNECTIONS.min(limit.saturating_sub(OTHER_DESCRIPTORS) / 2);
        let server = |number| match self {
            Self::Nginx => {
                format!("        server {} max_fails=1 fail_timeout=10s;", backend_address(number))
            }
            _ => format!("    server cp-{} {}", number + 1, backend_address(number)),
        };
        let cores = &bed.cores().balancer;
        let values = [
            ("max_connections", most.to_string()),
            ("threads", cores.len().to_string()),
            ("cores", list(cores).replace(',', " ")),
            ("descriptors", limit.min(65_536).to_string()),
            ("directory", bed.directory().display().to_string()),
            ("modules", nginx_modules().display().to_string()),
            ("listen", FRONT.to_string()),
            ("vip", FRONT.ip().to_string()),
            ("port", FRONT.port().to_string()),
            ("interface", INTERFACE.to_owned()),
            ("apiserver", backend_address(0).to_string()),
            ("kubeconfig", bed.kubeconfig().display().to_string()),
            ("servers", (0..BACKENDS).map(server).collect::<Vec<_>>().join("\n")),
            (
                "splice",
                if self == Self::HaproxySplice { "option splice-auto" } else { "" }.to_owned(),
            ),
        ];
        let filled = values.iter().fold(text.to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), value)
        });
        Ok(filled)
    }
}

// === impl Running ===

impl Running {
    /// Who it is.
    #[must_use]
    pub const fn contender(&self) -> Contender {
        self.contender
    }

    /// Its processes.
    pub(super) fn processes(&self, bed: &Bed) -> Result<Vec<u32>> {
        if self.process.is_none() { Ok(Vec::new()) } else { bed.balancer_ns().processes() }
    }

    /// The end of what it logged.
    pub(super) fn log_tail(&self) -> String {
        self.process.as_ref().map_or_else(String::new, Process::log_tail)
    }

    fn wait_ready(&mut self, bed: &Bed) -> Result<()> {
        wait(START_TIMEOUT, "the balancer has the VIP", || Ok(bed.has_vip()?.then_some(())))?;
        wait(START_TIMEOUT, "connections reach every backend", || {
            if let Some(process) = &mut self.process {
                ensure!(process.is_running(), "it ended: {}", process.log_tail());
            }
            let asks = Job::Fault { held: 2 * BACKENDS, millis: 0 };
            let mut clients = bed.clients(&self.contender.targets(), &asks)?;
            let mut seen = || -> Result<usize> {
                clients.line(Duration::from_secs(10))?;
                let line = clients.line(Duration::from_secs(10))?;
                let Line::Observed(seen) = line else { return Ok(0) };
                let mut backends: Vec<u8> = seen.held.iter().map(|held| held.backend).collect();
                backends.sort_unstable();
                backends.dedup();
                Ok(backends.len())
            };
            // Refused so far.
            let count = seen().unwrap_or(0);
            Ok((count == BACKENDS).then_some(()))
        })
    }

    /// Ends it in order, and sees that nothing of it is left.
    pub(super) fn stop(mut self, bed: &Bed) -> Result<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        process.term()?;
        if process.wait(STOP_TIMEOUT)?.is_none() {
            // Some wait for their clients.
            bed.balancer_ns().kill_all()?;
        }
        wait(STOP_TIMEOUT, "its processes are gone", || {
            Ok(bed.balancer_ns().processes()?.is_empty().then_some(()))
        })?;
        if self.contender == Contender::Pintle {
            wait(STOP_TIMEOUT, "the VIP is gone", || Ok((!bed.has_vip()?).then_some(())))
        } else {
            bed.balancer_ns().delete_address(FRONT.ip())
        }
    }
}
