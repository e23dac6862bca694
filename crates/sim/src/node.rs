//! A node: a machine on a clock of its own rate, and the kernel that carries its address.

use std::collections::VecDeque;
use std::time::Duration;

use pintle_core::config::{ApiLoss, Probe};
use pintle_core::{Command, Event, Instant, MacAddr, Machine, Settings, VipDesire};

/// Nanoseconds of true time.
pub type Nanos = u64;

/// The kernel ends a lifetime up to this late (measured: 0.02-0.63 s).
const KERNEL_LATENESS: Duration = Duration::from_millis(630);

/// What *held* keeps in the kernel.
const HELD_LIFETIME: Duration = Duration::from_secs(2);

/// One host.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Which boot.
    pub boot: u64,
    /// Which process since the run began.
    pub process: u64,
    /// The machine, while a process runs.
    pub machine: Option<Machine>,
    /// Events that wait while the process is paused.
    pub inbox: VecDeque<Event>,
    /// The process does not run until then.
    pub paused_until: Option<Nanos>,
    /// Whether it reaches the other nodes' API servers.
    pub reachable: bool,
    /// Whether its own link has carrier.
    pub carrier: bool,
    /// Whether its watch delivers.
    pub watch_works: bool,
    /// The last watch event is delivered then: a watch is in order.
    pub watch_delivers_at: Nanos,
    /// What the applier follows.
    pub desire: VipDesire,
    /// Until when the kernel keeps the address, in local time; `None` when it is not bound.
    pub bound_until: Option<Instant>,
    /// Clock rate, parts per million off true time.
    pub drift_ppm: i64,
    /// What its processes are started with, but for the incarnation.
    pub settings: Settings,
    index: usize,
}

impl Node {
    /// Node number `index`, whose clock runs `drift_ppm` off.
    #[must_use]
    pub fn new(index: usize, drift_ppm: i64) -> Self {
        let name = format!("cp-{index}");
        let settings = Settings {
            node: name.clone(),
            incarnation: String::new(),
            lease_duration: Duration::from_millis(2500),
            renew_deadline: Duration::from_millis(2300),
            retry_period: Duration::from_millis(500),
            on_api_loss: ApiLoss::Hold,
            spread: Duration::from_millis(20 + index as u64),
            probe: Probe {
                path: "/readyz".into(),
                period: Duration::from_millis(500),
                timeout: Duration::from_millis(700),
                failure_threshold: 3,
                success_threshold: 2,
            },
            is_balanced: false,
        };
        Self {
            name,
            boot: 1,
            process: 0,
            machine: None,
            inbox: VecDeque::new(),
            paused_until: None,
            reachable: true,
            carrier: true,
            watch_works: true,
            watch_delivers_at: 0,
            desire: VipDesire::Undecided,
            bound_until: None,
            drift_ppm,
            settings,
            index,
        }
    }

    /// The incarnation that this boot writes.
    #[must_use]
    pub fn incarnation(&self) -> String {
        format!("{}-{}", self.name, self.boot)
    }

    /// This node's clock at true time `at`. Boots lie in the past, at another moment for each.
    #[must_use]
    pub fn clock(&self, at: Nanos) -> Instant {
        let drift = i128::from(at) * i128::from(self.drift_ppm) / 1_000_000;
        let local = i128::from(at) + drift + 1_000_000_000_000;
        Instant::from_nanos(u64::try_from(local).unwrap_or(0))
    }

    /// True time at which this node's clock shows `local`, rounded up.
    #[must_use]
    pub fn true_time(&self, local: Instant) -> Nanos {
        let since_origin = i128::from(local.as_nanos()) - 1_000_000_000_000;
        let at = since_origin * 1_000_000 / (1_000_000 + i128::from(self.drift_ppm)) + 2;
        u64::try_from(at.max(0)).unwrap_or(u64::MAX)
    }

    /// A process starts at `at`.
    pub fn start(&mut self, at: Nanos) {
        self.process += 1;
        self.inbox.clear();
        self.paused_until = None;
        self.desire = VipDesire::Undecided;
        let settings = Settings { incarnation: self.incarnation(), ..self.settings.clone() };
        self.machine = Some(Machine::new(settings, self.clock(at)));
    }

    /// One turn of the process's loop at `at`, as the daemon does it: `events` in order, then what is
    /// due. [`Node::follow`] is to come next, then the commands.
    pub fn turn(&mut self, events: impl IntoIterator<Item = Event>, at: Nanos) -> Vec<Command> {
        let local = self.clock(at);
        let Some(machine) = &mut self.machine else {
            return Vec::new();
        };
        for event in events {
            machine.handle(event, local);
        }
        machine.handle_timeout(local);
        std::iter::from_fn(|| machine.poll_command()).collect()
    }

    /// net's fence and the kernel's: the address leaves by itself.
    pub fn enforce(&mut self, at: Nanos) {
        let local = self.clock(at);
        if self.bound_until.is_some_and(|until| local >= until) {
            self.bound_until = None;
        }
        if let VipDesire::Owned { hold_until, .. } = self.desire
            && self.is_running(at)
            && local >= hold_until
        {
            self.bound_until = None;
        }
    }

    /// The applier follows what the machine wants; what it has to tell the machine.
    pub fn follow(&mut self, at: Nanos) -> Option<Event> {
        let desire = self.machine.as_ref()?.desired().vips;
        let local = self.clock(at);
        let former = std::mem::replace(&mut self.desire, desire);
        match desire {
            VipDesire::Undecided => {}
            VipDesire::Absent { .. } => {
                self.bound_until = None;
                if !matches!(former, VipDesire::Absent { .. }) {
                    return Some(Event::Unbound);
                }
            }
            VipDesire::Owned { hold_until, .. } if local < hold_until => {
                self.bound_until = Some(hold_until + KERNEL_LATENESS);
                if !matches!(former, VipDesire::Owned { .. }) {
                    let mac = MacAddr([2, 0, 0, 0, 0, u8::try_from(self.index).unwrap_or(0)]);
                    return Some(Event::Bound { mac, bound_at: local, announced_at: local });
                }
            }
            VipDesire::Owned { .. } => self.bound_until = None,
            VipDesire::Held => {
                if self.bound_until.is_some() {
                    self.bound_until = Some(local + HELD_LIFETIME + KERNEL_LATENESS);
                }
            }
        }
        None
    }

    /// Whether the process runs at `at`.
    #[must_use]
    pub fn is_running(&self, at: Nanos) -> bool {
        self.machine.is_some() && self.paused_until.is_none_or(|until| until <= at)
    }

    /// Whether this node considers itself entitled at `at`, running or paused.
    #[must_use]
    pub fn is_entitled(&self, at: Nanos) -> bool {
        let machine = self.machine.as_ref();
        machine.is_some_and(|machine| machine.entitled_until(self.clock(at)).is_some())
    }

    /// Whether the kernel carries the address at `at`.
    #[must_use]
    pub fn is_bound(&self, at: Nanos) -> bool {
        self.bound_until.is_some_and(|until| self.clock(at) < until)
    }
}
