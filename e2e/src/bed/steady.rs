//! When a bed is in good order: only then a fault may be injected.
//!
//! Here alone pintle's own word (`/readyz`) is listened to: to know when to begin, never to judge.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use pintle_testkit::netns::Namespace;

use super::{Bed, HOSTS};
use crate::pintle::TELEMETRY_PORT;

/// A host that comes back is a candidate after two good probes, 0.5 s apart; a watch is up sooner.
const STEADY_FOR: Duration = Duration::from_millis(1500);

/// A killed API server's endpoint lives on in etcd for 15 s, and a host that was down is back in
/// the list of endpoints within 10 s of its API server's start.
const STEADY_TIMEOUT: Duration = Duration::from_secs(60);

/// How often everything is looked at: each look costs a few requests to every API server.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// A local answer takes milliseconds.
const TELEMETRY_TIMEOUT: Duration = Duration::from_secs(1);

const ENDPOINTS: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";

impl Bed {
    /// Waits until the same host has held the VIP for 1.5 s with everything in order; returns it.
    ///
    /// # Errors
    /// After a minute, with what is not in order; at once when a pintle has ended.
    pub fn wait_steady(&mut self) -> Result<usize> {
        let started = Instant::now();
        let mut standing: Option<(usize, Instant)> = None;
        loop {
            self.ensure_pintles_run()?;
            let missing = match self.look() {
                Ok(holder) => match standing {
                    Some((same, since)) if same == holder => {
                        if since.elapsed() >= STEADY_FOR {
                            return Ok(holder);
                        }
                        None
                    }
                    _ => {
                        standing = Some((holder, Instant::now()));
                        None
                    }
                },
                Err(missing) => {
                    tracing::debug!(missing = format!("{missing:#}"), "Not in order yet");
                    standing = None;
                    Some(missing)
                }
            };
            if started.elapsed() >= STEADY_TIMEOUT {
                let why =
                    missing.map_or_else(|| "the holder changes".to_owned(), |it| format!("{it:#}"));
                bail!("the bed is not in order after {STEADY_TIMEOUT:?}: {why}");
            }
            sleep(LOOK_INTERVAL);
        }
    }

    /// The holder, when everything is in order at this moment.
    fn look(&self) -> Result<usize> {
        let owners = self.owners()?;
        let [holder] = owners[..] else {
            bail!("hosts {owners:?} have the address");
        };
        let lease_holder = self.lease_holder(holder)?;
        ensure!(
            lease_holder == Self::hostname(holder),
            "the Lease names {lease_holder}, but host {holder} has the address"
        );
        for host in 0..HOSTS {
            let ready = self.cluster.api(host).get("/readyz")?;
            ensure!(ready.is_success(), "API server {host}: {}", ready.text());
            pintle_is_ready(self.host(host)).with_context(|| format!("pintle of host {host}"))?;
        }
        let slice = self.cluster.api(holder).get(ENDPOINTS)?.into_success()?;
        let endpoints = slice["endpoints"].as_array().map_or(0, Vec::len);
        ensure!(endpoints == HOSTS, "{endpoints} of {HOSTS} API servers are in the EndpointSlice");
        Ok(holder)
    }
}

/// Asks a pintle whether it has started and its watch is up.
///
/// # Errors
/// When it is not, with what it said.
pub fn pintle_is_ready(namespace: &Namespace) -> Result<()> {
    let (status, body) = namespace.run_in(|| get_here("/readyz"))??;
    ensure!(status == 200, "/readyz says {status}: {}", body.trim());
    Ok(())
}

fn get_here(path: &str) -> Result<(u16, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, TELEMETRY_PORT));
    let mut stream = TcpStream::connect_timeout(&address, TELEMETRY_TIMEOUT)?;
    stream.set_read_timeout(Some(TELEMETRY_TIMEOUT))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    // A readiness answer is a few lines; more than this would be a fault of its own.
    let mut bytes = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = text.split_once("\r\n\r\n").map_or("", |(_head, body)| body);
    Ok((status.context("no HTTP status")?, body.to_owned()))
}
