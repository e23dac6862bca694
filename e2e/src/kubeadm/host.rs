//! One whole host: boot, power loss, and commands inside.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use pintle_testkit::netns::Namespace;
use pintle_testkit::process::{Process, Spawn};

/// The scripts that run before anything of ours can: they are written beside the host's state.
const SCRIPTS: [(&str, &str); 3] = [
    ("boot.sh", include_str!("host/boot.sh")),
    ("init.sh", include_str!("host/init.sh")),
    ("systemctl.sh", include_str!("host/systemctl.sh")),
];

/// Mounting takes a fraction of it.
const BOOT_TIMEOUT: Duration = Duration::from_secs(20);

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// What a reboot does to pods: systemd ends the kubelet first, and then everything else, each process by
/// SIGTERM. Two seconds are for those that take their time; what is left then loses its power.
const SHUT_DOWN: &str = "systemctl stop kubelet
find /sys/fs/cgroup/pids/kubepods -name cgroup.procs -exec cat {} + | xargs kill -TERM
sleep 2";

/// Moves itself into the host's cgroups, which `nsenter` does not, and enters the rest.
const ENTER: &str = r#"
for group in /sys/fs/cgroup/*/"$0.pintle-test"; do
    echo $$ >"$group/cgroup.procs"
done
pid=$1
shift
exec nsenter --target "$pid" --mount --uts --ipc --net --pid --cgroup -- env -i HOME=/root \
    PATH=/usr/local/bin:/mnt/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
"#;

/// A host that may be running.
#[derive(Debug)]
pub struct Host {
    name: String,
    state: PathBuf,
    namespace: Namespace,
    process: Option<Process>,
}

// === impl Host ===

impl Host {
    /// A host that was never on.
    ///
    /// # Errors
    /// When its directory cannot be made.
    pub fn new(name: &str, state: PathBuf, namespace: &Namespace) -> Result<Self> {
        for directory in ["scripts", "files", "links"] {
            let path = state.join(directory);
            fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        }
        for (script, text) in SCRIPTS {
            fs::write(state.join("scripts").join(script), text)?;
        }
        Ok(Self { name: name.to_owned(), state, namespace: namespace.clone(), process: None })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it sees under `/mnt`: small files that may change while it runs.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.state.join("files")
    }

    /// Shows it a file or a directory of this machine as `/mnt/PLACE`, from its next boot on.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn link(&self, place: &str, target: &Path) -> Result<()> {
        let target = target.canonicalize().with_context(|| target.display().to_string())?;
        let link = self.state.join("links").join(place);
        fs::create_dir_all(link.parent().context("a place has a directory")?)?;
        symlink(target, link).with_context(|| format!("show the host {place}"))
    }

    /// A file of its disk, as it is while the host runs or after it lost its power; absolute as there.
    #[must_use]
    pub fn on_disk(&self, path: &str) -> PathBuf {
        self.state.join("disk/upper").join(path.trim_start_matches('/'))
    }

    /// Switches it on and waits until its services are started.
    ///
    /// # Errors
    /// When it does not boot.
    pub fn boot(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "{} is on already", self.name);
        let script = self.state.join("scripts/boot.sh");
        let process = Spawn::new(&self.name, "bash", self.state.join("boot.log"))
            .args([script.as_os_str(), self.namespace.path().as_os_str(), self.state.as_os_str()])
            .args([&self.name])
            .start()?;
        self.process = Some(process);
        let started = Instant::now();
        while self.run(&["test", "-e", "/run/booted"]).is_err() {
            let process = self.process.as_mut().context("invariant: it was just started")?;
            if !process.is_running() || started.elapsed() > BOOT_TIMEOUT {
                bail!("{} does not boot: {}", self.name, process.log_tail());
            }
            sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Ends what runs on it in the order of a reboot, and switches it off.
    ///
    /// # Errors
    /// When something of it cannot be ended.
    pub fn shut_down(&mut self) -> Result<()> {
        self.run(&["bash", "-c", SHUT_DOWN])?;
        self.power_loss()
    }

    /// Takes its power: every process is gone at once. Its cable is the caller's.
    ///
    /// # Errors
    /// When something of it cannot be ended.
    pub fn power_loss(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            // Its child, the first process of the host, is killed with it (`unshare --kill-child`),
            // and takes all others along.
            process.kill()?;
        }
        remove_cgroups(&format!("{}.pintle-test", self.name))
    }

    /// Runs a command inside and gives what it printed.
    ///
    /// # Errors
    /// When it fails, with the end of what it said.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        let first = self.first_process().with_context(|| format!("{} is off", self.name))?;
        let output = Command::new("bash")
            .args(["-c", ENTER, &self.name, &first.to_string()])
            .args(words)
            .output()
            .context("run bash")?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(printed);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let tail: Vec<&str> = printed.lines().chain(said.lines()).collect();
        let tail = tail[tail.len().saturating_sub(20)..].join("\n");
        bail!("{}: `{}` failed ({}):\n{tail}", self.name, words.join(" "), output.status)
    }

    /// The pid, on this machine, of the host's process 1.
    fn first_process(&self) -> Option<u32> {
        let pid = self.process.as_ref()?.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Err(error) = self.power_loss() {
            tracing::warn!(host = self.name, error = format!("{error:#}"), "Something is left");
        }
    }
}

/// Removes the groups of this name from every hierarchy, deepest first.
fn remove_cgroups(name: &str) -> Result<()> {
    for hierarchy in fs::read_dir("/sys/fs/cgroup").context("this machine has no cgroups (v1)")? {
        let group = hierarchy?.path().join(name);
        if group.exists() {
            remove_group(&group)?;
        }
    }
    Ok(())
}

fn remove_group(group: &Path) -> Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_group(&entry.path())?;
        }
    }
    // A process that was just killed still counts for a moment.
    let started = Instant::now();
    loop {
        match fs::remove_dir(group) {
            Ok(()) => return Ok(()),
            Err(_busy) if started.elapsed() < BOOT_TIMEOUT => sleep(POLL_INTERVAL),
            Err(error) => {
                return Err(error).with_context(|| format!("remove {}", group.display()));
            }
        }
    }
}
