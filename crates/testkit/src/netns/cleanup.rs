//! Leaves nothing behind: namespaces and processes go on drop, on a signal, and after a killed run.
//!
//! It kills only processes inside namespaces named by this crate and those registered with it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use super::ip;

/// What a shell reports for a process ended by SIGINT (128 + 2); used for every signal.
const INTERRUPTED: i32 = 130;

static CHILDREN: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());
static SIGNALS: OnceLock<()> = OnceLock::new();

/// Notes a child process that has to die with this one; [`unregister_pid`] when it was reaped, or a
/// later process with the same number would be killed in its place.
pub fn register_pid(pid: u32) {
    children().insert(pid);
}

/// Forgets a child process.
pub fn unregister_pid(pid: u32) {
    children().remove(&pid);
}

/// Removes the namespaces, and kills the processes in them, of runs whose process is gone.
///
/// # Errors
/// When `ip netns` cannot be run.
pub fn cleanup_stale() -> Result<()> {
    for name in names()? {
        if owner(&name).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            tracing::debug!(namespace = name, "Remove what an earlier run left behind");
            remove(&name);
        }
    }
    Ok(())
}

/// On SIGINT, SIGTERM or SIGHUP kills the registered children, removes this process's namespaces and
/// exits with 130. The first call arms it for the life of the process; later ones do nothing. A
/// thread that waits for one of those children may see it die and end the process first: then it is
/// that thread's drops that clean up, and its exit code that counts.
///
/// # Errors
/// When the signals cannot be waited for.
pub fn clean_on_signal() -> Result<()> {
    if SIGNALS.set(()).is_err() {
        return Ok(());
    }
    let (armed, is_armed) = std::sync::mpsc::channel();
    std::thread::Builder::new()
        .name("netns-signals".to_owned())
        .spawn(move || {
            let waited = wait_for_signal(&armed);
            if let Err(error) = waited {
                let _caller_is_gone = armed.send(Err(error));
                return;
            }
            clean_now();
            #[allow(clippy::exit, reason = "the signal's default action was to end the process")]
            std::process::exit(INTERRUPTED);
        })
        .context("start a thread")?;
    is_armed.recv().context("the signal thread is gone")?
}

fn wait_for_signal(armed: &std::sync::mpsc::Sender<Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let _caller_is_gone = armed.send(Ok(()));
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        Ok(())
    })
}

/// Kills the registered children and removes every namespace of this process.
fn clean_now() {
    std::mem::take(&mut *children()).into_iter().for_each(kill);
    remove_prefix(&format!("pt{}-", std::process::id()));
}

/// Removes every namespace whose name begins with `prefix`, and kills the processes in them. Goes on
/// after a failure: the rest must go all the same.
pub(super) fn remove_prefix(prefix: &str) {
    match names() {
        Ok(names) => {
            names.iter().filter(|name| name.starts_with(prefix)).for_each(|name| remove(name))
        }
        Err(error) => tracing::warn!(error = format!("{error:#}"), prefix, "Namespaces are left"),
    }
}

/// Sends SIGKILL, to anyone but ourselves.
pub(super) fn kill(pid: u32) {
    let target = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(target) = target.filter(|_| pid != std::process::id()) {
        // It may have ended by itself; there is nothing else to do about it.
        let _gone = kill_process(target, Signal::KILL);
    }
}

fn remove(name: &str) {
    if let Ok(pids) = ip::ip(&["netns", "pids", name]) {
        pids.lines().filter_map(|pid| pid.trim().parse().ok()).for_each(kill);
    }
    if let Err(error) = ip::ip(&["netns", "del", name]) {
        // Two runs may clean up after a third at the same time.
        tracing::debug!(namespace = name, error = format!("{error:#}"), "Namespace is not removed");
    }
}

fn names() -> Result<Vec<String>> {
    let printed = ip::ip(&["netns", "list"])?;
    let first_words = printed.lines().filter_map(|line| line.split_whitespace().next());
    Ok(first_words.map(str::to_owned).collect())
}

/// The process that made a namespace of this name: `pt<pid>-<n>-<role>`; `None` for others' names.
fn owner(name: &str) -> Option<u32> {
    let mut parts = name.strip_prefix("pt")?.split('-');
    let pid = parts.next()?.parse().ok()?;
    let _run: u32 = parts.next()?.parse().ok()?;
    let role = parts.next()?;
    let is_ours = matches!(role, "sw" | "c")
        || role.strip_prefix(['h', 's']).is_some_and(|number| number.parse::<u8>().is_ok());
    (is_ours && parts.next().is_none()).then_some(pid)
}

fn children() -> MutexGuard<'static, BTreeSet<u32>> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::owner;

    #[test]
    fn knows_its_own_names_only() {
        for name in ["pt42-0-sw", "pt42-13-c", "pt42-0-h1", "pt42-0-s2"] {
            assert_eq!(owner(name), Some(42), "{name}");
        }
        for name in
            ["pt-0-sw", "pt42-sw", "pt42-0-x", "pt42-0-h", "pt42-0-h1-z", "ptx-0-c", "cni-1"]
        {
            assert_eq!(owner(name), None, "{name}");
        }
    }
}
