//! Clients elsewhere than on the segment: on the holder, on another host, and in a pod of the holder.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use pintle_testkit::control_plane::ApiClient;

use crate::bed::{Bed, HOSTS, PORT, VIP};
use crate::judge::Check;
use crate::scene::Scene;

/// Each a request on a connection of its own, which takes a thread and a handshake.
const INTERVAL: Duration = Duration::from_millis(100);

/// Longer than any row allows.
const TIMEOUT: Duration = Duration::from_secs(5);

/// They ask until they are told to stop.
pub(super) struct Askers {
    all: Vec<(&'static str, JoinHandle<Seen>)>,
    is_over: Arc<AtomicBool>,
}

/// What one of them saw.
#[derive(Debug, Default)]
struct Seen {
    asked: usize,
    failures: Vec<Failed>,
    longest: Duration,
}

/// A request that was not answered as it should be.
#[derive(Debug)]
struct Failed {
    began: Instant,
    ended: Instant,
    why: String,
}

// === impl Askers ===

impl Askers {
    pub(super) fn start(bed: &mut Bed, holder: usize) -> Result<Self> {
        let other = (holder + 1) % HOSTS;
        let namespaces = [
            ("on the holder", bed.host(holder).clone()),
            ("on another host", bed.host(other).clone()),
            ("in a pod of the holder", bed.topology().pod(holder)?),
        ];
        let is_over = Arc::new(AtomicBool::new(false));
        let mut all = Vec::new();
        for (place, namespace) in namespaces {
            let api = bed.cluster().api_from(&namespace, SocketAddr::from((VIP, PORT)));
            let (api, is_over) = (api.with_timeout(TIMEOUT), Arc::clone(&is_over));
            all.push((place, spawn(move || ask(&api, &is_over))));
        }
        Ok(Self { all, is_over })
    }

    /// Ends them, and requires that none was refused, and none waited longer than `limit`. A request that an API
    /// server had when it was ended at one of `faults` went with it: nobody else can know whether it was done.
    pub(super) fn stop(
        self,
        scene: &mut Scene<'_>,
        limit: Duration,
        faults: &[Instant],
    ) -> Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        for (place, thread) in self.all {
            let mut seen = thread.join().map_err(|_| anyhow!("a client {place} panicked"))?;
            let is_under_way = |failed: &Failed| {
                faults.iter().any(|at| failed.began <= *at && *at <= failed.ended)
            };
            seen.failures.retain(|failed| !is_under_way(failed));
            let is_served = seen.asked > 0 && seen.failures.is_empty() && seen.longest <= limit;
            scene.require(Check::Clients, is_served, || {
                let whys: Vec<&str> =
                    seen.failures.iter().map(|failed| failed.why.as_str()).collect();
                format!(
                    "the client {place}: {} of {} failed, the longest took {:?}: {}",
                    whys.len(),
                    seen.asked,
                    seen.longest,
                    whys.join("; ")
                )
            });
        }
        Ok(())
    }
}

fn ask(api: &ApiClient, is_over: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !is_over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let answer = api.get("/version");
        seen.asked += 1;
        seen.longest = seen.longest.max(began.elapsed());
        let why = match answer {
            Ok(answer) if answer.is_success() => None,
            Ok(answer) => Some(answer.text()),
            Err(error) => Some(format!("{error:#}")),
        };
        let ended = Instant::now();
        seen.failures.extend(why.map(|why| Failed { began, ended, why }));
        sleep(INTERVAL);
    }
    seen
}
