//! The applier: one task that makes the host's addresses what is desired, and keeps them so.
//!
//! It waits in one place ([`Applier::wait`], which reads nothing and is cancel-safe) and then looks at
//! everything that may have changed, most urgent first. Between two waits there is no await: the
//! requests to the kernel are system calls, facts go to an [`Outbox`]. So nothing but the kernel stands
//! between `hold_until` and the unbind, and after a stall of any length the clock is read first.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pintle_core::{Event, Instant, MacAddr, Vip, VipDesire};
use tokio::sync::{mpsc, oneshot, watch};

use crate::announce::Schedule;
use crate::conflict::ConflictProbe;
use crate::fence::Fence;
use crate::lifetime;
use crate::limits::{DefenceLimit, TokenBucket};
use crate::listen::Segment;
use crate::metrics::Metrics;
use crate::netlink::{Monitor, Netlink};
use crate::outbox::Outbox;
use crate::survey::Found;
use crate::{NetConfig, StartError};

mod bind;
mod follow;
mod guard;
mod hear;

/// How soon what is not yet as wanted is tried again.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The period while held: a holder elsewhere is asked for as often. When a cut heals, two hosts
/// answer for the VIP for this long at most; ten broadcasts a second are sent only while no API
/// server can be written.
const HELD_INTERVAL: Duration = Duration::from_millis(100);

/// The period of the full re-sync with the kernel. The kernel tells of each change, and of changes that
/// it could not tell of: this is for what it forgets.
const RESYNC_INTERVAL: Duration = Duration::from_secs(2);

/// Put back at once so often; then a network manager is at work that takes the address away as often
/// as it is put back, and neighbours are not to see that at full speed.
const RESTORE_BURST: u32 = 10;
const RESTORE_INTERVAL: Duration = Duration::from_millis(250);

/// Claims told to the core, per VIP: what exceeds it is counted only.
const CLAIM_BURST: u32 = 10;
const CLAIM_INTERVAL: Duration = Duration::from_millis(100);

/// Requests for a defence looked at per round; the queue's owner bounds the rest.
const MAX_DEFENCES: usize = 8;

/// How often a shutdown tries to unbind before it leaves that to the kernel.
const SHUTDOWN_ATTEMPTS: u32 = 3;

/// The applier's ends of the channels, and the clock.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) desired: watch::Receiver<VipDesire>,
    pub(crate) defend: mpsc::Receiver<Vip>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) hosts: watch::Sender<Vec<IpAddr>>,
    pub(crate) shutdown: oneshot::Receiver<()>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) now: fn() -> Instant,
}

/// Where the VIPs, all together, stand.
#[derive(Debug)]
enum Stage {
    /// Nothing is known of the Lease: a copy that will expire may stay.
    Undecided,
    /// Off every link, or about to be.
    Absent {
        /// That they are off was not told yet.
        report: bool,
        /// Then ask the segment who has them, so that the holder announces itself.
        yields: bool,
    },
    /// Desired, and the segment is asked first.
    Probing(ConflictProbe),
    /// Desired, and to be bound at this moment.
    Binding { retry_at: Instant },
    /// Bound by right.
    Bound,
    /// Bound without a right; when the kernel was last told to keep them.
    Held { refreshed_at: Instant },
}

/// The VIPs' link as last seen.
#[derive(Debug)]
struct Link {
    name: String,
    carrier: bool,
    /// `None` while there is no such link.
    segment: Option<Segment>,
}

/// The task's state.
#[derive(Debug)]
pub(crate) struct Applier {
    netlink: Netlink,
    monitor: Monitor,
    fence: Fence,
    /// For everything that is due: a tokio timer of more than 64 ms wakes the thread up twice.
    alarm: Fence,
    desired: watch::Receiver<VipDesire>,
    is_desired_open: bool,
    defend: mpsc::Receiver<Vip>,
    is_defend_open: bool,
    /// A request that ended the wait.
    defence: Option<Vip>,
    shutdown: oneshot::Receiver<()>,
    outbox: Outbox,
    hosts: watch::Sender<Vec<IpAddr>>,
    metrics: Arc<Metrics>,
    now: fn() -> Instant,

    vips: Vec<Vip>,
    link: Link,
    /// The hardware addresses of the host's own links, by index: on a segment with two of them the
    /// host hears its own answers.
    own_macs: BTreeMap<u32, MacAddr>,
    desire: VipDesire,
    stage: Stage,
    /// When the kernel's lifetime of each bound VIP ends, as it was last set.
    kernel_until: BTreeMap<Vip, Instant>,
    schedule: Schedule,
    defences: DefenceLimit,
    restores: TokenBucket,
    claims: BTreeMap<Vip, TokenBucket>,
    /// The kernel's addresses may not be what is wanted.
    is_dirty: bool,
    /// A VIP is missing until the rate limit lets it be put back.
    is_missing: bool,
    check_at: Instant,
    resync_at: Instant,
}

// === impl Applier ===

impl Applier {
    pub(crate) fn new(config: NetConfig, found: Found, ends: Ends) -> Result<Self, StartError> {
        let now = (ends.now)();
        let bucket = |vip: &Vip| (*vip, TokenBucket::new(CLAIM_BURST, CLAIM_INTERVAL));
        let macs = found.links.iter().filter_map(|link| link.mac.map(|mac| (link.index, mac)));
        let mut applier = Self {
            netlink: found.netlink,
            monitor: Monitor::open()?,
            fence: Fence::new()?,
            alarm: Fence::new()?,
            desired: ends.desired,
            is_desired_open: true,
            defend: ends.defend,
            is_defend_open: true,
            defence: None,
            shutdown: ends.shutdown,
            outbox: Outbox::new(ends.events),
            hosts: ends.hosts,
            metrics: ends.metrics,
            now: ends.now,
            own_macs: macs.collect(),
            link: Link {
                carrier: found.link.has_carrier(),
                name: found.link.name,
                segment: Some(found.segment),
            },
            claims: config.vips.iter().map(bucket).collect(),
            vips: config.vips,
            desire: VipDesire::Undecided,
            stage: Stage::Undecided,
            kernel_until: BTreeMap::new(),
            schedule: Schedule::new(config.announce),
            defences: DefenceLimit::default(),
            restores: TokenBucket::new(RESTORE_BURST, RESTORE_INTERVAL),
            is_dirty: true,
            is_missing: false,
            check_at: now,
            resync_at: now,
        };
        applier.publish_hosts(&found.addresses);
        applier.outbox.push(Event::LinkChanged { carrier: applier.link.carrier });
        Ok(applier)
    }

    /// Runs until a shutdown, or until [`crate::Net`] is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            if !matches!(self.shutdown.try_recv(), Err(oneshot::error::TryRecvError::Empty)) {
                break;
            }
            if self.step() {
                // More frames or changes than one round may take: the others' turn, then the rest.
                tokio::task::yield_now().await;
            } else {
                self.wait().await;
            }
        }
        for _ in 0..SHUTDOWN_ATTEMPTS {
            if self.unbind_all().is_ok() {
                break;
            }
        }
        self.outbox.flush();
    }

    /// Looks at everything once, most urgent first; true when something is left to read.
    fn step(&mut self) -> bool {
        self.adopt_desire();
        self.enforce();
        let has_more_changes = self.look();
        let has_more_frames = self.hear();
        self.defend();
        let now = self.now();
        let is_check = now >= self.check_at;
        if is_check {
            let is_held = matches!(self.stage, Stage::Held { .. });
            self.check_at = now + if is_held { HELD_INTERVAL } else { RESYNC_INTERVAL };
            self.outbox.flush();
        }
        if now >= self.resync_at {
            self.resync_at = now + RESYNC_INTERVAL;
            self.resync();
        }
        self.pursue(is_check);
        if self.is_dirty {
            self.check_at = self.check_at.min(now + CHECK_INTERVAL);
        }
        has_more_changes || has_more_frames
    }

    /// Waits until something may have changed or is due.
    async fn wait(&mut self) {
        if let Err(error) = self.alarm.arm(Some(self.next_deadline())) {
            tracing::warn!(%error, "A timer cannot be set");
            return tokio::time::sleep(CHECK_INTERVAL).await;
        }
        let segment = self.link.segment.as_ref();
        let frames = async {
            match segment {
                Some(segment) => drop(segment.readable().await),
                None => std::future::pending().await,
            }
        };
        // Which of them it was does not matter: the step looks at all.
        tokio::select! {
            biased;
            _ = self.fence.fired() => {}
            changed = self.desired.changed(), if self.is_desired_open => {
                // The decider is gone: its last word holds until the fence.
                self.is_desired_open = changed.is_ok();
            }
            _ = &mut self.shutdown => self.shutdown.close(),
            _ = self.monitor.readable() => {}
            () = frames => {}
            vip = self.defend.recv(), if self.is_defend_open => {
                self.is_defend_open = vip.is_some();
                self.defence = vip;
            }
            () = self.outbox.has_room() => self.outbox.flush(),
            _ = self.alarm.fired() => {}
        }
    }

    fn next_deadline(&self) -> Instant {
        let regular = self.check_at.min(self.resync_at);
        let special = match &self.stage {
            Stage::Undecided | Stage::Absent { .. } | Stage::Held { .. } => None,
            Stage::Probing(probe) => Some(probe.next_at()),
            Stage::Binding { retry_at } => Some(*retry_at),
            Stage::Bound => self.next_bound_deadline(),
        };
        [Some(regular), special, self.owned_until()].into_iter().flatten().min().unwrap_or(regular)
    }

    fn next_bound_deadline(&self) -> Option<Instant> {
        let aligned =
            self.owned_until().and_then(|until| lifetime::next_alignment(self.now(), until));
        let restore = self.is_missing.then(|| self.restores.next_at());
        [self.schedule.next_at(), aligned, restore].into_iter().flatten().min()
    }

    fn now(&self) -> Instant {
        (self.now)()
    }

    /// The end of the right, while there is one.
    fn owned_until(&self) -> Option<Instant> {
        match self.desire {
            VipDesire::Owned { hold_until, .. } => {
                Some(hold_until).filter(|until| self.now() < *until)
            }
            VipDesire::Undecided | VipDesire::Absent { .. } | VipDesire::Held => None,
        }
    }
}
