//! Who asked what about the one Lease, from the API servers' audit logs.
//!
//! They write it to standard output, which is their log here. A pintle is known by where it calls
//! from: its host's loopback at the API server of its own host, its host's address at another.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use pintle_testkit::control_plane::RunDir;
use pintle_testkit::netns::host_v4;
use serde::Deserialize;
use serde_json::json;

use crate::bed::{Bed, HOSTS};

/// The audit policy in a directory of its own; it must outlive the API servers.
#[derive(Debug)]
pub(super) struct Policy {
    path: PathBuf,
    _directory: RunDir,
}

/// Requests of one pintle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) writes: usize,
    pub(super) reads: usize,
    pub(super) watches: usize,
}

/// Requests by host.
#[derive(Debug, Default)]
pub(super) struct Requests {
    hosts: [Counts; HOSTS],
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    verb: String,
    #[serde(rename = "sourceIPs")]
    source_ips: Vec<IpAddr>,
}

// === impl Policy ===

impl Policy {
    pub(super) fn write() -> Result<Self> {
        let directory = RunDir::create()?;
        let path = directory.path().join("audit.json");
        let lease = json!({
            "level": "Metadata",
            "namespaces": ["kube-system"],
            "resources": [{"group": "coordination.k8s.io", "resources": ["leases"], "resourceNames": ["pintle"]}],
        });
        let policy = json!({
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            // One line per request: a watch's when it begins, since its end is minutes away.
            "omitStages": ["RequestReceived", "Panic"],
            "rules": [lease, {"level": "None"}],
        });
        fs::write(&path, policy.to_string())?;
        Ok(Self { path, _directory: directory })
    }

    pub(super) fn api_server_args(&self) -> Vec<String> {
        vec![
            format!("--audit-policy-file={}", self.path.display()),
            "--audit-log-path=-".to_owned(),
            // Each entry is written before its request is answered: none is missing at the end.
            "--audit-log-mode=blocking".to_owned(),
        ]
    }
}

// === impl Requests ===

impl Requests {
    /// Counts what a host's API server has logged since its log had this length.
    pub(super) fn count(&mut self, bed: &Bed, host: usize, since: u64) -> Result<()> {
        let mut log = fs::File::open(log_path(bed, host)).context("open an API server's log")?;
        log.seek(SeekFrom::Start(since))?;
        let mut text = String::new();
        log.read_to_string(&mut text)?;
        for line in text.lines() {
            self.count_line(host, line);
        }
        Ok(())
    }

    pub(super) const fn of(&self, host: usize) -> Counts {
        self.hosts[host]
    }

    fn count_line(&mut self, server: usize, line: &str) {
        if !line.starts_with(r#"{"kind":"Event","apiVersion":"audit.k8s.io/"#) {
            return;
        }
        let Ok(entry) = serde_json::from_str::<Entry>(line) else {
            return;
        };
        let is_begin = line.contains(r#""stage":"ResponseStarted""#);
        let Some(caller) = entry.source_ips.first().and_then(|from| caller(server, *from)) else {
            return;
        };
        let counts = &mut self.hosts[caller];
        match entry.verb.as_str() {
            // Only requests that take long have a begin of their own.
            "watch" => counts.watches += usize::from(is_begin),
            _ if is_begin => {}
            "get" | "list" => counts.reads += 1,
            _ => counts.writes += 1,
        }
    }
}

/// The length of a host's API server's log.
pub(super) fn log_length(bed: &Bed, host: usize) -> u64 {
    fs::metadata(log_path(bed, host)).map_or(0, |found| found.len())
}

fn log_path(bed: &Bed, host: usize) -> PathBuf {
    bed.host_dir(host).join("kube-apiserver.log")
}

fn caller(server: usize, from: IpAddr) -> Option<usize> {
    if from.is_loopback() {
        return Some(server);
    }
    (0..HOSTS).find(|host| IpAddr::V4(host_v4(*host)) == from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(verb: &str, stage: &str, from: &str) -> String {
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","stage":"{stage}","verb":"{verb}","sourceIPs":["{from}"]}}"#
        )
    }

    #[test]
    fn requests_are_counted_by_their_caller() {
        let mut requests = Requests::default();
        for (server, verb, stage, from) in [
            (0, "update", "ResponseComplete", "127.0.0.1"),
            (0, "update", "ResponseComplete", "172.30.0.12"),
            (1, "get", "ResponseComplete", "::1"),
            (2, "watch", "ResponseStarted", "127.0.0.1"),
            (2, "watch", "ResponseComplete", "127.0.0.1"),
            (2, "get", "ResponseComplete", "172.30.0.100"),
        ] {
            requests.count_line(server, &line(verb, stage, from));
        }
        requests.count_line(0, "I1122 some other line");
        let counts = |writes, reads, watches| Counts { writes, reads, watches };
        assert_eq!(requests.of(0), counts(1, 0, 0));
        assert_eq!(requests.of(1), counts(1, 1, 0));
        assert_eq!(requests.of(2), counts(0, 0, 1));
    }
}
