//! One named network namespace: entering it, running in it, and what iproute2 says of it.

use std::fmt;
use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::Deserialize;

use super::address::{self, Addr};
use super::{INTERFACE, cleanup, ip};
use crate::capture::Mac;

/// The name of a network namespace of a [`Topology`](super::Topology), which owns it: a copy of the
/// name does not keep it alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    name: String,
}

#[derive(Deserialize)]
struct PrintedLink {
    address: String,
}

// === impl Namespace ===

impl Namespace {
    pub(super) fn create(name: &str) -> Result<Self> {
        ip::ip(&["netns", "add", name])?;
        Ok(Self { name: name.to_owned() })
    }

    /// The name that `ip netns` knows.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// Moves the *calling thread* into the namespace, for the rest of its life.
    ///
    /// # Errors
    /// When the namespace is gone.
    pub fn enter(&self) -> Result<()> {
        let file = File::open(self.path())
            .with_context(|| format!("the namespace {self} does not exist"))?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .with_context(|| format!("enter the namespace {self}"))
    }

    /// Runs `work` on a fresh thread inside the namespace and waits for it. A panic goes through to
    /// the caller. What it spawns stays in the namespace; a child with a parent-death signal dies
    /// with that thread, at once.
    ///
    /// # Errors
    /// When the namespace is gone.
    pub fn run_in<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| self.enter().map(|()| work()));
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts a named thread inside the namespace.
    ///
    /// # Errors
    /// When there can be no more threads; the thread's own result says if the namespace is gone.
    pub fn spawn<T: Send + 'static>(
        &self,
        thread: &str,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<JoinHandle<Result<T>>> {
        let namespace = self.clone();
        std::thread::Builder::new()
            .name(thread.to_owned())
            .spawn(move || namespace.enter().and_then(|()| work()))
            .context("start a thread")
    }

    /// Every address in it, as `ip -j addr` prints it.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn addresses(&self) -> Result<Vec<Addr>> {
        address::parse(&self.ip(&["-j", "addr"])?)
    }

    /// The Ethernet address of one of its links.
    ///
    /// # Errors
    /// When there is no such link.
    pub fn mac(&self, link: &str) -> Result<Mac> {
        let json = self.ip(&["-j", "link", "show", "dev", link])?;
        let links: Vec<PrintedLink> = serde_json::from_str(&json).context("read ip -j link")?;
        links.first().context("ip printed no link")?.address.parse()
    }

    /// Whether a link has carrier (`LOWER_UP`).
    ///
    /// # Errors
    /// When there is no such link.
    pub fn has_carrier(&self, link: &str) -> Result<bool> {
        #[derive(Deserialize)]
        struct Flags {
            flags: Vec<String>,
        }
        let json = self.ip(&["-j", "link", "show", "dev", link])?;
        let links: Vec<Flags> = serde_json::from_str(&json).context("read ip -j link")?;
        Ok(links.iter().any(|link| link.flags.iter().any(|flag| flag == "LOWER_UP")))
    }

    /// Puts `address` on `eth0` as a single host, for ever and without telling anyone: what a
    /// careless machine, or a test without the product, does.
    ///
    /// # Errors
    /// When it is there already.
    pub fn add_address(&self, address: IpAddr) -> Result<()> {
        let single = single_host(address);
        let mut args = vec!["addr", "add", &single, "dev", INTERFACE];
        if address.is_ipv6() {
            args.push("nodad");
        }
        self.ip(&args).map(|_output| ())
    }

    /// Takes `address` off `eth0`.
    ///
    /// # Errors
    /// When it is not there.
    pub fn delete_address(&self, address: IpAddr) -> Result<()> {
        self.ip(&["addr", "del", &single_host(address), "dev", INTERFACE]).map(|_output| ())
    }

    /// Runs `ip -n <namespace> …` and gives what it printed.
    ///
    /// # Errors
    /// When `ip` fails, with what it said.
    pub fn ip(&self, args: &[&str]) -> Result<String> {
        ip::ip(&[&["-n", &self.name], args].concat())
    }

    /// The processes whose main thread is in it.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn processes(&self) -> Result<Vec<u32>> {
        let printed = ip::ip(&["netns", "pids", &self.name])?;
        printed.lines().map(|line| line.trim().parse().context("read ip netns pids")).collect()
    }

    /// Kills every process in it, as a power cut does.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn kill_all(&self) -> Result<()> {
        self.processes()?.into_iter().for_each(cleanup::kill);
        Ok(())
    }

    pub(super) fn ip_batch(&self, script: &str) -> Result<()> {
        ip::ip_batch(&self.name, script)
    }

    /// Writes below `/proc/sys`, which shows each thread its own namespace's `net`.
    pub(super) fn set_sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys").join(key);
        self.run_in(|| std::fs::write(&path, value))?
            .with_context(|| format!("write {}", path.display()))
    }

    pub(super) fn delete(&self) -> Result<()> {
        ip::ip(&["netns", "del", &self.name]).map(|_output| ())
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn single_host(address: IpAddr) -> String {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    format!("{address}/{bits}")
}
