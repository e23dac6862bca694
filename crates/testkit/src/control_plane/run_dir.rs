//! A directory in memory for one run: databases, certificates, logs.
//!
//! It is removed on drop. A run that was killed cannot do that, so the next one does: a directory
//! whose lock nobody holds belongs to nobody (flock(2) ends with its holder's process). Nothing
//! outside the tests' own prefix is ever removed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};

/// tmpfs: etcd's fsync is free there, so a compiler beside it does not stall writes.
const PARENT: &str = "/dev/shm";
const PREFIX: &str = "pintle-test-";

/// A locked directory under `/dev/shm`, removed on drop.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    _lock: File,
}

// === impl RunDir ===

impl RunDir {
    /// Removes what killed runs left, then makes a new directory.
    ///
    /// # Errors
    /// When `/dev/shm` cannot be written.
    pub fn create() -> anyhow::Result<Self> {
        let _gate = close_gate()?;
        sweep()?;
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(PARENT);
        let path = directory.context("make a run directory in /dev/shm")?.keep();
        let lock = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).context("lock the run directory")?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        let removed = close_gate().and_then(|_gate| Ok(fs::remove_dir_all(&self.path)?));
        if let Err(error) = removed {
            tracing::warn!(path = %self.path.display(), %error, "Could not remove a run directory");
        }
    }
}

/// Only one run at a time makes or removes directories: none is seen between creation and lock.
/// Held for milliseconds, so waiting for it without a bound is safe.
fn close_gate() -> anyhow::Result<File> {
    let gate = File::open(PARENT).context("open /dev/shm")?;
    flock(&gate, FlockOperation::LockExclusive).context("lock /dev/shm")?;
    Ok(gate)
}

fn sweep() -> anyhow::Result<()> {
    for entry in fs::read_dir(PARENT).context("list /dev/shm")? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if !name.is_some_and(|name| name.starts_with(PREFIX)) || !path.is_dir() {
            continue;
        }
        let lock = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            fs::remove_dir_all(&path).with_context(|| format!("remove {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_removes_its_own_and_dead_directories_but_no_living_one() {
        let living = RunDir::create().unwrap();
        let dead = tempfile::Builder::new().prefix(PREFIX).tempdir_in(PARENT).unwrap().keep();
        fs::write(dead.join("database"), "left behind").unwrap();
        let own = RunDir::create().unwrap();
        assert!(living.path().is_dir());
        assert!(!dead.exists());
        let path = own.path().to_owned();
        drop(own);
        assert!(!path.exists());
        assert!(living.path().is_dir());
    }
}
