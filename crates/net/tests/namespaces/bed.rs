//! One host that runs the adapter on its own thread, and one client on the same switch.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant as Wall};

use pintle_core::config::Announce;
use pintle_core::{Claim, Event, Instant, MacAddr, Vip, VipDesire};
use pintle_net::{Metrics, Net, NetConfig, StartError};
use pintle_testkit::capture::{Capture, Captured, Frame, Mac, transmit};
use pintle_testkit::netns::{Addr, INTERFACE, Topology, VIP_V4, VIP_V6};
use tokio::sync::{mpsc, watch};

pub(crate) const V4: Vip = Vip(IpAddr::V4(VIP_V4));
pub(crate) const V6: Vip = Vip(IpAddr::V6(VIP_V6));

/// Long enough for a loaded machine, far below the test's own limits.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the adapter's thread is asked to do.
enum Order {
    /// Stand still, as after SIGSTOP.
    Stall(Duration),
    Shutdown,
    /// Stop without a word, as a killed process does.
    Vanish,
}

/// A host and the adapter in it.
pub(crate) struct Bed {
    pub(crate) topology: Topology,
    pub(crate) desired: watch::Sender<VipDesire>,
    pub(crate) defend: mpsc::Sender<Vip>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) hosts: watch::Receiver<Vec<IpAddr>>,
    events: Arc<Mutex<Vec<(Wall, Event)>>>,
    orders: mpsc::Sender<Order>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

/// CLOCK_BOOTTIME, as the daemon reads it.
pub(crate) fn now() -> Instant {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Instant::from_nanos(u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap())
}

pub(crate) fn announce() -> Announce {
    let burst = [0, 50, 200, 1100, 2200, 3300].map(Duration::from_millis).to_vec();
    Announce { burst, refresh: Duration::from_secs(60) }
}

pub(crate) fn config(vips: &[Vip]) -> NetConfig {
    NetConfig { vips: vips.to_vec(), interface: None, announce: announce() }
}

pub(crate) fn owned(millis: u64) -> VipDesire {
    VipDesire::Owned { hold_until: now() + Duration::from_millis(millis), claim: Claim::Trusted }
}

pub(crate) fn probed(millis: u64) -> VipDesire {
    VipDesire::Owned { hold_until: now() + Duration::from_millis(millis), claim: Claim::Probe }
}

pub(crate) const ABSENT: VipDesire = VipDesire::Absent { yielded: false };

/// Starts the adapter in a namespace where it must be refused.
pub(crate) fn refused(topology: &Topology, config: NetConfig) -> StartError {
    topology
        .host_ns(0)
        .run_in(|| runtime().block_on(async { start(config, ABSENT).map(|_| ()).unwrap_err() }))
        .unwrap()
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

pub(crate) type Started = (Net, watch::Sender<VipDesire>, mpsc::Sender<Vip>, mpsc::Receiver<Event>);

fn start(config: NetConfig, desire: VipDesire) -> Result<Started, StartError> {
    start_with_queue(config, desire, 64)
}

/// Starts the adapter on the calling runtime and namespace, with room for so many events.
pub(crate) fn start_with_queue(
    config: NetConfig,
    desire: VipDesire,
    room: usize,
) -> Result<Started, StartError> {
    let (desired, desires) = watch::channel(desire);
    let (defend, defences) = mpsc::channel(16);
    let (sender, events) = mpsc::channel(room);
    let net = pintle_net::start(config, desires, defences, sender, now)?;
    Ok((net, desired, defend, events))
}

// === impl Bed ===

impl Bed {
    /// A host with both VIPs configured and `desire` from the start.
    pub(crate) fn start(desire: VipDesire) -> Self {
        Self::start_in(
            Topology::start(1).expect("needs root and iproute2"),
            config(&[V4, V6]),
            desire,
        )
    }

    pub(crate) fn start_in(topology: Topology, config: NetConfig, desire: VipDesire) -> Self {
        wait_for_wire(&topology);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let (orders, mut ordered) = mpsc::channel(1);
        let (ready, started) = std::sync::mpsc::channel();
        let thread = topology.host_ns(0).spawn("net", move || {
            let runtime = runtime();
            runtime.block_on(async {
                let (net, desired, defend, mut events) = start(config, desire)?;
                ready.send((desired, defend, net.metrics(), net.host_addresses()))?;
                loop {
                    tokio::select! {
                        Some(event) = events.recv() => sink.lock().unwrap().push((Wall::now(), event)),
                        order = ordered.recv() => match order {
                            Some(Order::Stall(length)) => std::thread::sleep(length),
                            Some(Order::Vanish) => break std::mem::forget(net),
                            Some(Order::Shutdown) | None => break net.shutdown().await,
                        },
                    }
                }
                anyhow::Ok(())
            })
        });
        let (desired, defend, metrics, hosts) = started.recv().expect("the adapter did not start");
        Self {
            topology,
            desired,
            defend,
            metrics,
            hosts,
            events: seen,
            orders,
            thread: Some(thread.unwrap()),
        }
    }

    pub(crate) fn desire(&self, desire: VipDesire) {
        self.desired.send(desire).unwrap();
    }

    /// Keeps an ownership alive for a while, as the core does, and leaves it with what is left.
    pub(crate) fn keep_owned(&self, length: Duration) {
        let until = Wall::now() + length;
        while Wall::now() < until {
            self.desire(owned(2300));
            std::thread::sleep(Duration::from_millis(500).min(until - Wall::now()));
        }
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().iter().map(|(_, event)| event.clone()).collect()
    }

    pub(crate) fn count(&self, is_it: impl Fn(&Event) -> bool) -> usize {
        self.events().iter().filter(|event| is_it(event)).count()
    }

    /// Waits for the `nth` event (from 1) of a kind; gives it and when it was received.
    pub(crate) fn wait_for(
        &self,
        nth: usize,
        what: &str,
        is_it: impl Fn(&Event) -> bool,
    ) -> (Wall, Event) {
        let deadline = Wall::now() + PATIENCE;
        loop {
            let events = self.events.lock().unwrap().clone();
            if let Some(found) = events.iter().filter(|(_, event)| is_it(event)).nth(nth - 1) {
                return found.clone();
            }
            assert!(Wall::now() < deadline, "no {what} ({nth}) among {events:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn wait_bound(&self, nth: usize) -> (Wall, Event) {
        self.wait_for(nth, "Bound", |event| matches!(event, Event::Bound { .. }))
    }

    pub(crate) fn wait_unbound(&self, nth: usize) -> Wall {
        self.wait_for(nth, "Unbound", |event| *event == Event::Unbound).0
    }

    pub(crate) fn own_mac(&self) -> Mac {
        self.topology.host_mac(0)
    }

    /// Every copy of a VIP in the host.
    pub(crate) fn copies(&self) -> Vec<Addr> {
        copies(&self.topology)
    }

    pub(crate) fn is_bound(&self) -> bool {
        let copies = self.copies();
        let is_there =
            |vip: Vip| copies.iter().any(|copy| copy.address == vip.0 && copy.link == INTERFACE);
        is_there(V4) && is_there(V6)
    }

    pub(crate) fn ip(&self, command: &str) {
        ip(&self.topology, command);
    }

    /// Captures at the client's end of the segment.
    pub(crate) fn capture(&self) -> Capture {
        Capture::start(self.topology.client_ns(), INTERFACE).unwrap()
    }

    pub(crate) fn restored(&self) -> u64 {
        self.metrics.vip_restored.load(Ordering::Relaxed)
    }

    /// The adapter's thread stands still for a while; does not wait for it.
    pub(crate) fn stall(&self, length: Duration) {
        self.orders.blocking_send(Order::Stall(length)).unwrap();
    }

    /// The adapter's thread ends without unbinding, as if it was killed.
    pub(crate) fn vanish(&mut self) {
        self.finish(Order::Vanish);
    }

    pub(crate) fn shut_down(&mut self) {
        self.finish(Order::Shutdown);
    }

    fn finish(&mut self, order: Order) {
        if let Some(thread) = self.thread.take() {
            let _ended_already = self.orders.blocking_send(order);
            thread.join().unwrap().unwrap();
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.finish(Order::Shutdown);
        }
    }
}

/// Waits until frames pass in both directions: a bridge forwards only after the kernel's delayed work
/// has seen the carrier of both ports.
fn wait_for_wire(topology: &Topology) {
    let (host, client) = (topology.host_ns(0), topology.client_ns());
    let unused = Ipv4Addr::new(172, 30, 0, 99);
    for (last, (from, to)) in [(1, (host, client)), (2, (client, host))] {
        let capture = Capture::start(to, INTERFACE).unwrap();
        let mac = [2, 0xaa, 0, 0, 0, last];
        eventually("frames pass", || {
            transmit(from, INTERFACE, &arp(1, mac, unused, unused)).unwrap();
            sleep(5);
            capture.snapshot().iter().any(|captured| captured.source == Mac(mac))
        });
    }
}

pub(crate) fn copies(topology: &Topology) -> Vec<Addr> {
    let mut addresses = topology.addresses(0).unwrap();
    addresses.retain(|address| [V4.0, V6.0].contains(&address.address));
    addresses
}

pub(crate) fn ip(topology: &Topology, command: &str) {
    let words: Vec<&str> = command.split(' ').collect();
    topology.host_ns(0).ip(&words).unwrap();
}

/// Waits until something holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let began = Wall::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
    began.elapsed()
}

pub(crate) fn sleep(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

// === what a capture shows ===

/// Announcements of the IPv4 VIP from `mac` in one form (1 request, 2 reply).
pub(crate) fn announcements(frames: &[Captured], mac: Mac, form: u16) -> Vec<Wall> {
    let is_one = |frame: &Frame, destination| match frame {
        Frame::Arp { op, sha, spa, tpa, tha, .. } => {
            let target = if form == 1 { Mac([0; 6]) } else { mac };
            *op == form
                && *sha == mac
                && *spa == VIP_V4
                && *tpa == VIP_V4
                && *tha == target
                && destination == Mac::BROADCAST
        }
        _ => false,
    };
    times(frames, mac, is_one)
}

/// Unsolicited advertisements of the IPv6 VIP from `mac`.
pub(crate) fn advertisements(frames: &[Captured], mac: Mac) -> Vec<Wall> {
    let is_one = |frame: &Frame, _| match frame {
        Frame::NeighborAdvert { target, override_flag, solicited, lladdr, src, dst } => {
            let all_nodes = "ff02::1".parse::<std::net::Ipv6Addr>().unwrap();
            *target == VIP_V6
                && *override_flag
                && !*solicited
                && *lladdr == Some(mac)
                && *src == VIP_V6
                && *dst == all_nodes
        }
        _ => false,
    };
    times(frames, mac, is_one)
}

/// ARP probes for the IPv4 VIP from `mac`.
pub(crate) fn arp_probes(frames: &[Captured], mac: Mac) -> Vec<Wall> {
    let is_one = |frame: &Frame, destination| {
        matches!(frame, Frame::Arp { op: 1, sha, spa: Ipv4Addr::UNSPECIFIED, tpa: VIP_V4, .. }
            if *sha == mac && destination == Mac::BROADCAST)
    };
    times(frames, mac, is_one)
}

/// Solicitations for the IPv6 VIP from nobody, sent by `mac`.
pub(crate) fn solicitations(frames: &[Captured], mac: Mac) -> Vec<Wall> {
    let is_one = |frame: &Frame, _| matches!(frame, Frame::NeighborSolicit { target: VIP_V6, src } if src.is_unspecified());
    times(frames, mac, is_one)
}

fn times(frames: &[Captured], mac: Mac, is_one: impl Fn(&Frame, Mac) -> bool) -> Vec<Wall> {
    let from = frames.iter().filter(|captured| captured.source == mac);
    from.filter(|captured| is_one(&captured.frame, captured.destination))
        .map(|captured| captured.at)
        .collect()
}

/// An ARP frame, made here and not by the product.
pub(crate) fn arp(op: u8, mac: [u8; 6], spa: Ipv4Addr, tpa: Ipv4Addr) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(mac);
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, op]);
    frame.extend(mac);
    frame.extend(spa.octets());
    frame.extend([0; 6]);
    frame.extend(tpa.octets());
    frame
}

pub(crate) fn as_core(mac: Mac) -> MacAddr {
    MacAddr(mac.0)
}
