//! One child process of a test: started in a host's namespace, logged to a file, gone with the test.
//!
//! The program is reached through a chain of `exec`s (`setpriv`, `ip netns exec`, `unshare`, `sh`),
//! none of which forks, so the pid of the child is the program's own. `setpriv --pdeathsig KILL`
//! makes the kernel kill it when the *thread* that started it ends (prctl(2), `PR_SET_PDEATHSIG`);
//! therefore one thread, which lives as long as the test process, starts every child.
//! Never signals a process that it did not start, nor one that it has reaped.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, kill_process};

pub use rustix::process::Signal;

/// How often a wait looks: short beside any process's own start or stop, too rare to load a core.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// How much of a log an error shows: the last screen or two of kube-apiserver's long lines.
const LOG_TAIL_BYTES: u64 = 16 * 1024;

/// What to start, and where.
#[derive(Debug, Clone)]
pub struct Spawn {
    name: String,
    program: PathBuf,
    log: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    namespace: Option<String>,
    hostname: Option<String>,
}

/// A running (or ended) child. It is killed and reaped when dropped.
#[derive(Debug)]
pub struct Process {
    spawn: Spawn,
    child: Child,
}

// === impl Spawn ===

impl Spawn {
    /// Describes a process that appends its output, both streams, to the file `log`.
    pub fn new(
        name: impl Into<String>,
        program: impl Into<PathBuf>,
        log: impl Into<PathBuf>,
    ) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            log: log.into(),
            args: Vec::new(),
            env: Vec::new(),
            namespace: None,
            hostname: None,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Runs it in a named network namespace (`ip netns add NAME`).
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Gives it a UTS namespace of its own with this host name.
    #[must_use]
    pub fn hostname(mut self, hostname: impl Into<String>) -> Self {
        self.hostname = Some(hostname.into());
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// When the log cannot be opened or the first program of the chain cannot be run. A program
    /// that is missing further on shows as an early exit with the reason in the log.
    pub fn start(self) -> anyhow::Result<Process> {
        let child = self.start_child()?;
        Ok(Process { spawn: self, child })
    }

    fn start_child(&self) -> anyhow::Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("open the log {}", self.log.display()))?;
        let chain = self.chain();
        let mut command = Command::new(&chain[0]);
        command
            .args(&chain[1..])
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share the log")?)
            .stderr(log);
        start_on_lasting_thread(command).with_context(|| format!("start {}", self.name))
    }

    /// The words of the whole chain; each link ends in an `exec` of the next.
    fn chain(&self) -> Vec<OsString> {
        let mut chain: Vec<OsString> =
            ["setpriv", "--pdeathsig", "KILL", "--"].map(Into::into).into();
        let mut push = |words: &[&str]| chain.extend(words.iter().map(OsString::from));
        if let Some(namespace) = &self.namespace {
            push(&["ip", "netns", "exec", namespace]);
        }
        if let Some(hostname) = &self.hostname {
            let set_and_exec = r#"echo "$0" >/proc/sys/kernel/hostname && exec "$@""#;
            push(&["unshare", "--uts", "sh", "-c", set_and_exec, hostname]);
        }
        chain.push(self.program.clone().into());
        chain.extend(self.args.iter().cloned());
        chain
    }
}

// === impl Process ===

impl Process {
    /// The name it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spawn.name
    }

    /// Its process id, also after it has ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file that holds its output.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.spawn.log
    }

    /// The end of its output so far.
    #[must_use]
    pub fn log_tail(&self) -> String {
        log_tail(&self.spawn.log).unwrap_or_else(|error| format!("(no log: {error})"))
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        let name = &self.spawn.name;
        // A child that ended is reaped here, so that its pid may be another's: never signal it.
        if let Some(status) = self.child.try_wait().with_context(|| format!("look after {name}"))? {
            anyhow::bail!("{name} has ended already ({status}), so {signal:?} was not sent");
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.context("the pid is out of range")?;
        kill_process(pid, signal).with_context(|| format!("send {signal:?} to {name}"))
    }

    /// Asks it to end (SIGTERM).
    ///
    /// # Errors
    /// As [`Process::signal`].
    pub fn term(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Kills (SIGKILL) and reaps it; nothing happens when it has ended already.
    ///
    /// # Errors
    /// When it cannot be killed or waited for.
    pub fn kill(&mut self) -> anyhow::Result<ExitStatus> {
        self.child.kill().with_context(|| format!("kill {}", self.spawn.name))?;
        self.child.wait().with_context(|| format!("reap {}", self.spawn.name))
    }

    /// Freezes it (SIGSTOP). The kernel stops each thread at its next return to user mode, so an
    /// answer under way may still leave.
    ///
    /// # Errors
    /// As [`Process::signal`].
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// As [`Process::signal`].
    pub fn cont(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Waits for it to end, at most `timeout`; `None` when it still runs then.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn wait(&mut self, timeout: Duration) -> anyhow::Result<Option<ExitStatus>> {
        let started = Instant::now();
        loop {
            let status = self.child.try_wait();
            let status = status.with_context(|| format!("wait for {}", self.spawn.name))?;
            if status.is_some() || started.elapsed() >= timeout {
                return Ok(status);
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Whether it has not ended (a stopped process has not).
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// As [`Self::restart`], with more arguments this once.
    ///
    /// # Errors
    /// When it cannot be killed or started.
    pub fn restart_with(&mut self, arguments: &[&str]) -> anyhow::Result<()> {
        let usual = self.spawn.args.len();
        self.spawn.args.extend(arguments.iter().map(OsString::from));
        let restarted = self.restart();
        self.spawn.args.truncate(usual);
        restarted
    }

    /// Kills it where it still runs, then starts the same program again with the same log.
    ///
    /// # Errors
    /// When it cannot be killed or started.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        self.child = self.spawn.start_child()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            tracing::warn!(process = self.spawn.name, %error, "Could not end a process of the test");
        }
    }
}

fn log_tail(path: &Path) -> std::io::Result<String> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

struct StartRequest {
    command: Command,
    answer: mpsc::SyncSender<std::io::Result<Child>>,
}

/// Starts the child from the one thread that ends only with the whole test process.
fn start_on_lasting_thread(command: Command) -> anyhow::Result<Child> {
    static STARTER: OnceLock<mpsc::SyncSender<StartRequest>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        // 0: a request is handed over, never queued.
        let (sender, requests) = mpsc::sync_channel::<StartRequest>(0);
        thread::spawn(move || {
            for mut request in requests {
                // The asker waits for the answer, so a failed send means that it panicked.
                if let Err(unwanted) = request.answer.send(request.command.spawn())
                    && let Ok(mut child) = unwanted.0
                {
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
        });
        sender
    });
    // 1: the one answer.
    let (answer, child) = mpsc::sync_channel(1);
    let program = command.get_program().to_owned();
    starter
        .send(StartRequest { command, answer })
        .context("the thread that starts processes ended")?;
    let child = child.recv().context("the thread that starts processes ended")?;
    child.with_context(|| format!("run {}", OsStr::to_string_lossy(&program)))
}

#[cfg(test)]
mod tests;
