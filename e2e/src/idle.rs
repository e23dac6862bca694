//! What an idle holder and idle followers cost: memory, processor, requests about the Lease, size.
//!
//! Requests are counted by the API servers' audit logs, cost by the kernel; pintle is not asked.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::bed::{Bed, HOSTS};
use crate::machine::{Machine, Versions};
use crate::report::aligned;

pub use self::process::Cost;

mod audit;
mod process;

/// What starting costs is over by then.
const SETTLE: Duration = Duration::from_secs(5);

/// An idle holder's memory, in KiB (the kernel writes kB): 12 MB.
const RSS_LIMIT_KB: u64 = 12_000_000 / 1024;
/// An idle holder's share of one core, in percent.
const CPU_LIMIT_PERCENT: f64 = 0.3;
/// The binary, which is nearly all of the image.
const SIZE_LIMIT_BYTES: u64 = 12_000_000;
/// One write per `retry_period` of 500 ms.
const WRITES_PER_SECOND: f64 = 2.0;
/// The beginning and the end of the time watched each cut a period short.
const WRITES_SLACK: f64 = 0.1;

/// Everything measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Idle {
    /// On what.
    pub machine: Machine,
    /// With what.
    pub versions: Versions,
    /// For how long.
    pub seconds: f64,
    /// The binary.
    pub binary_bytes: u64,
    /// The image's archive, if it was built.
    pub image_bytes: Option<u64>,
    /// Each pintle.
    pub nodes: Vec<Node>,
}

/// One pintle.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Node {
    /// Its host.
    pub host: String,
    /// Whether it held the VIP.
    pub is_holder: bool,
    /// Memory and processor.
    pub cost: Cost,
    /// Lease writes per second.
    pub writes_per_second: f64,
    /// Requests about the Lease that are neither writes nor watches.
    pub reads: usize,
    /// Watches that began.
    pub watches: usize,
}

/// Starts three hosts and watches them.
///
/// # Errors
/// When they do not come into order, or the holder changes meanwhile.
pub fn measure(binary: &Path, length: Duration) -> Result<Idle> {
    let policy = audit::Policy::write()?;
    let mut bed = Bed::start(binary, policy.api_server_args())?;
    let holder = bed.wait_steady()?;
    sleep(SETTLE);
    let logs: Vec<u64> = (0..HOSTS).map(|host| audit::log_length(&bed, host)).collect();
    let mut before = Vec::new();
    for host in 0..HOSTS {
        before.push(process::Sample::of(bed.pintle(host).process().pid())?);
    }
    sleep(length);
    let mut requests = audit::Requests::default();
    let mut nodes = Vec::new();
    for (host, before) in before.iter().enumerate() {
        nodes.push(Node {
            host: Bed::hostname(host),
            is_holder: host == holder,
            cost: process::Sample::of(bed.pintle(host).process().pid())?.since(before),
            ..Node::default()
        });
        requests.count(&bed, host, logs[host])?;
    }
    anyhow::ensure!(bed.owners()? == [holder], "the address moved: this was not idle");
    for (host, node) in nodes.iter_mut().enumerate() {
        let of = requests.of(host);
        node.writes_per_second = of.writes as f64 / length.as_secs_f64();
        (node.reads, node.watches) = (of.reads, of.watches);
    }
    Ok(Idle {
        seconds: length.as_secs_f64(),
        binary_bytes: fs::metadata(binary).context("look at the binary")?.len(),
        image_bytes: image_size(),
        nodes,
        ..Idle::default()
    })
}

fn image_size() -> Option<u64> {
    let directory = fs::read_dir(crate::workspace().join("target/image")).ok()?;
    let archives = directory.filter_map(|entry| entry.ok());
    let archives = archives.filter(|entry| entry.path().extension().is_some_and(|it| it == "tar"));
    archives.filter_map(|entry| entry.metadata().ok()).map(|found| found.len()).max()
}

/// A table with the limits.
#[must_use]
pub fn table(idle: &Idle) -> String {
    let heading = ["", "RSS KiB", "of it own", "% of a core", "Lease writes/s", "reads", "watches"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(idle.nodes.iter().map(|node| {
        let role = if node.is_holder { "holder" } else { "follower" };
        vec![
            format!("{role} {}", node.host),
            node.cost.rss_kb.to_string(),
            node.cost.rss_anon_kb.to_string(),
            format!("{:.2}", node.cost.cpu_percent),
            format!("{:.2}", node.writes_per_second),
            node.reads.to_string(),
            node.watches.to_string(),
        ]
    }));
    let rss = RSS_LIMIT_KB.to_string();
    let limits = ["limit", &rss, "", "0.30", "2 (holder), 0", "0", ""];
    rows.push(limits.map(str::to_owned).to_vec());
    let mut text = aligned(&rows);
    text.push_str(&format!("binary {} bytes", idle.binary_bytes));
    if let Some(image) = idle.image_bytes {
        text.push_str(&format!(", image {image} bytes"));
    }
    text.push_str(&format!(" (limit {SIZE_LIMIT_BYTES}), over {} s\n", idle.seconds));
    for failure in idle.failures() {
        text.push_str(&format!("OVER: {failure}\n"));
    }
    text
}

// === impl Idle ===

impl Idle {
    /// What is over its limit.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for size in [Some(self.binary_bytes), self.image_bytes].into_iter().flatten() {
            if size > SIZE_LIMIT_BYTES {
                failures.push(format!("{size} bytes"));
            }
        }
        failures.extend(self.nodes.iter().flat_map(Node::failures));
        if self.nodes.iter().filter(|node| node.is_holder).count() != 1 {
            failures.push("there is not exactly one holder".to_owned());
        }
        failures
    }
}

// === impl Node ===

impl Node {
    fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let mut require = |is_so: bool, what: String| {
            if !is_so {
                failures.push(format!("{}: {what}", self.host));
            }
        };
        let rss = self.cost.rss_kb;
        require(rss <= RSS_LIMIT_KB, format!("RSS of {rss} KiB"));
        let cpu = self.cost.cpu_percent;
        require(cpu <= CPU_LIMIT_PERCENT, format!("{cpu:.2} % of a core"));
        let writes = self.writes_per_second;
        if self.is_holder {
            let is_regular = (writes - WRITES_PER_SECOND).abs() <= WRITES_SLACK;
            require(is_regular, format!("{writes:.2} Lease writes a second"));
        } else {
            require(
                writes == 0.0,
                format!("a follower writes the Lease {writes:.2} times a second"),
            );
            require(self.reads == 0, format!("a follower reads the Lease {} times", self.reads));
        }
        failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(is_holder: bool) -> Node {
        Node {
            host: "cp-1".to_owned(),
            is_holder,
            writes_per_second: if is_holder { 2.0 } else { 0.0 },
            ..Node::default()
        }
    }

    #[test]
    fn each_limit_bites() {
        let good = Idle { nodes: vec![node(true), node(false)], ..Idle::default() };
        assert!(good.failures().is_empty(), "{:?}", good.failures());
        let spoils: [fn(&mut Idle); 7] = [
            |idle| idle.binary_bytes = SIZE_LIMIT_BYTES + 1,
            |idle| idle.image_bytes = Some(SIZE_LIMIT_BYTES + 1),
            |idle| idle.nodes[1].cost.rss_kb = RSS_LIMIT_KB + 1,
            |idle| idle.nodes[0].cost.cpu_percent = 0.31,
            |idle| idle.nodes[0].writes_per_second = 3.0,
            |idle| idle.nodes[1].reads = 1,
            |idle| idle.nodes[1].writes_per_second = 0.1,
        ];
        for (number, spoil) in spoils.into_iter().enumerate() {
            let mut idle = good.clone();
            spoil(&mut idle);
            assert_eq!(idle.failures().len(), 1, "spoil {number}: {:?}", idle.failures());
            assert!(table(&idle).contains("OVER"));
        }
    }
}
