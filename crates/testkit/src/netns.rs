//! Hosts on one switch, each a named network namespace: the bed that faults are injected into.
//!
//! ```text
//!   pt42-0-h1 [eth0]---[h1]  pt42-0-sw  [c]---[eth0] pt42-0-c
//!   pt42-0-h2 [eth0]---[h2]  bridge br0
//! ```
//!
//! It never touches a namespace that it did not make, nor the one it was started in. What it makes is
//! removed on drop, on SIGINT, SIGTERM and SIGHUP, and by the next run if this one was killed.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};

use crate::capture::Mac;

pub use self::address::Addr;
pub use self::cleanup::{clean_on_signal, cleanup_stale, register_pid, unregister_pid};
pub use self::namespace::Namespace;

mod address;
mod cleanup;
mod ip;
mod namespace;

/// The address that tests use as the VIP.
pub const VIP_V4: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 10);
/// The IPv6 address that tests use as the VIP.
pub const VIP_V6: Ipv6Addr = Ipv6Addr::new(0xfd30, 0, 0, 0, 0, 0, 0, 0x10);
/// The client's address.
pub const CLIENT_V4: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 100);
/// The client's IPv6 address.
pub const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0xfd30, 0, 0, 0, 0, 0, 0, 0x100);
/// The address of every pod: each is known to its own host only.
pub const POD_V4: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 5);
/// No host has this address; the pod knows whose Ethernet address stands for it.
const POD_GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// The interface of every host and of the client.
pub const INTERFACE: &str = "eth0";

/// Addresses .11 to .90 are hosts; the client and strangers lie above.
const MAX_HOSTS: usize = 80;

/// Tells the topologies of one process apart.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Hosts and a client on a bridge. Hosts count from 0: host 0 is the namespace `…-h1`, 172.30.0.11.
#[derive(Debug)]
pub struct Topology {
    prefix: String,
    switch: Namespace,
    hosts: Vec<Member>,
    client: Member,
    strangers: Mutex<Vec<Namespace>>,
    pods: Mutex<BTreeMap<usize, Namespace>>,
}

/// A namespace with a cable into the switch.
#[derive(Debug)]
struct Member {
    namespace: Namespace,
    /// The switch's end of the cable.
    port: String,
    mac: Mac,
}

/// The IPv4 address of host `index`.
///
/// # Panics
/// For an index that no topology can have (80 and above).
#[must_use]
pub fn host_v4(index: usize) -> Ipv4Addr {
    assert!(index < MAX_HOSTS, "a topology has at most {MAX_HOSTS} hosts");
    Ipv4Addr::new(172, 30, 0, 11 + u8::try_from(index).unwrap_or(u8::MAX))
}

/// The IPv6 address of host `index`: `fd30::11`, `fd30::12`, … as read, in decimal.
///
/// # Panics
/// For an index that no topology can have (80 and above).
#[must_use]
pub fn host_v6(index: usize) -> Ipv6Addr {
    as_read_in_decimal(host_v4(index).octets()[3])
}

/// `fd30::N` with the digits of `last`.
fn as_read_in_decimal(last: u8) -> Ipv6Addr {
    let last = u16::from(last);
    let digits = ((last / 100) << 8) | ((last / 10 % 10) << 4) | (last % 10);
    Ipv6Addr::new(0xfd30, 0, 0, 0, 0, 0, 0, digits)
}

// === impl Topology ===

impl Topology {
    /// Makes a switch, `hosts` hosts and a client, all reachable when it returns. Also removes what
    /// killed runs left behind, and from then on cleans up when the process is interrupted.
    ///
    /// # Errors
    /// Without the right to make namespaces (root), or without iproute2.
    pub fn start(hosts: usize) -> Result<Self> {
        ensure!(hosts <= MAX_HOSTS, "a topology has at most {MAX_HOSTS} hosts");
        clean_on_signal()?;
        cleanup_stale()?;
        let run = NEXT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("pt{}-{run}", std::process::id());
        let made = Self::build(&prefix, hosts);
        if made.is_err() {
            cleanup::remove_prefix(&format!("{prefix}-"));
        }
        made.context("build the topology (it needs root and iproute2)")
    }

    fn build(prefix: &str, hosts: usize) -> Result<Self> {
        let switch = Namespace::create(&format!("{prefix}-sw"))?;
        // No learning delay, no spanning tree; without snooping, advertisements to ff02::1 pass.
        switch.ip_batch(
            "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n\
             link set br0 up addrgenmode none\n",
        )?;
        let hosts = (0..hosts)
            .map(|index| {
                let name = format!("h{}", index + 1);
                plug_in(prefix, &switch, &name, host_v4(index), host_v6(index))
            })
            .collect::<Result<_>>()?;
        let client = plug_in(prefix, &switch, "c", CLIENT_V4, CLIENT_V6)?;
        let strangers = Mutex::new(Vec::new());
        let pods = Mutex::new(BTreeMap::new());
        Ok(Self { prefix: prefix.to_owned(), switch, hosts, client, strangers, pods })
    }

    /// The prefix of the names of its namespaces, `pt<pid>-<n>`.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// How many hosts there are.
    #[must_use]
    pub const fn host_count(&self) -> usize {
        self.hosts.len()
    }

    /// The namespace of a host.
    ///
    /// # Panics
    /// When there is no such host, as every method that takes a host.
    #[must_use]
    pub fn host_ns(&self, host: usize) -> &Namespace {
        &self.hosts[host].namespace
    }

    /// The Ethernet address of a host.
    #[must_use]
    pub fn host_mac(&self, host: usize) -> Mac {
        self.hosts[host].mac
    }

    /// The client's namespace.
    #[must_use]
    pub const fn client_ns(&self) -> &Namespace {
        &self.client.namespace
    }

    /// The client's Ethernet address.
    #[must_use]
    pub const fn client_mac(&self) -> Mac {
        self.client.mac
    }

    /// Every address of a host, as `ip -j addr` prints it.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn addresses(&self, host: usize) -> Result<Vec<Addr>> {
        self.host_ns(host).addresses()
    }

    /// The hosts that have `address` on a link, by `ip -j addr`.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn owners(&self, address: IpAddr) -> Result<Vec<usize>> {
        let mut owners = Vec::new();
        for host in 0..self.hosts.len() {
            if self.addresses(host)?.iter().any(|addr| addr.address == address) {
                owners.push(host);
            }
        }
        Ok(owners)
    }

    /// Pulls the cable of a host: its `eth0` loses carrier.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn cable_down(&self, host: usize) -> Result<()> {
        self.set_port(host, "down")
    }

    /// Plugs the cable of a host in again.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn cable_up(&self, host: usize) -> Result<()> {
        self.set_port(host, "up")
    }

    /// Cuts a host off from everyone without loss of carrier: its port leaves the bridge.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn cut(&self, host: usize) -> Result<()> {
        self.set_port(host, "nomaster")
    }

    /// Ends a [`Self::cut`].
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn heal(&self, host: usize) -> Result<()> {
        self.set_port(host, "master br0")
    }

    /// Takes a host's power: its cable is dead and every process in it is killed, at once.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn power_loss(&self, host: usize) -> Result<()> {
        self.cable_down(host)?;
        self.host_ns(host).kill_all()
    }

    /// Adds a machine that owns `vip` and answers for it, until the topology goes or
    /// [`Self::remove_strangers`]; gives its Ethernet address.
    ///
    /// # Errors
    /// When there are 50 strangers already, or `ip` fails.
    pub fn add_stranger(&self, vip: IpAddr) -> Result<Mac> {
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        let number = u8::try_from(strangers.len())?;
        ensure!(number < 50, "a topology has at most 50 strangers");
        let own = Ipv4Addr::new(172, 30, 0, 200 + number);
        let own_v6 = as_read_in_decimal(200 + number);
        let name = format!("s{}", number + 1);
        let member = plug_in(&self.prefix, &self.switch, &name, own, own_v6)?;
        strangers.push(member.namespace.clone());
        member.namespace.add_address(vip)?;
        Ok(member.mac)
    }

    /// Removes every stranger.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn remove_strangers(&self) -> Result<()> {
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, stranger) in strangers.drain(..).enumerate() {
            stranger.delete()?;
            // The far end dies with its namespace, but only after a grace period.
            let _gone = self.switch.ip(&["link", "del", &format!("s{}", number + 1)]);
        }
        Ok(())
    }

    /// The pod of a host, made when it is first asked for: behind a cable that has no address at the host's
    /// end, as Calico and others connect theirs. Only its own host knows the way back to it.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn pod(&self, host: usize) -> Result<Namespace> {
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pod) = pods.get(&host) {
            return Ok(pod.clone());
        }
        let pod = Namespace::create(&format!("{}-p{}", self.prefix, host + 1))?;
        let host_ns = self.host_ns(host);
        host_ns.ip_batch(&format!(
            "link add cali0 type veth peer name {INTERFACE} netns {}\n\
             link set cali0 up\n\
             route add {POD_V4}/32 dev cali0\n",
            pod.name()
        ))?;
        let gateway = host_ns.mac("cali0")?;
        pod.ip_batch(&format!(
            "link set lo up\n\
             addr add {POD_V4}/32 dev {INTERFACE}\n\
             link set {INTERFACE} up\n\
             route add {POD_GATEWAY}/32 dev {INTERFACE}\n\
             neigh add {POD_GATEWAY} lladdr {gateway} dev {INTERFACE}\n\
             route add default via {POD_GATEWAY} dev {INTERFACE}\n"
        ))?;
        pods.insert(host, pod.clone());
        Ok(pod)
    }

    fn set_port(&self, host: usize, state: &str) -> Result<()> {
        let port = &self.hosts[host].port;
        let mut args = vec!["link", "set", port];
        args.extend(state.split(' '));
        self.switch.ip(&args).map(|_output| ())
    }
}

impl Drop for Topology {
    fn drop(&mut self) {
        cleanup::remove_prefix(&format!("{}-", self.prefix));
    }
}

/// Makes a namespace with a cable into the switch's port `name`.
fn plug_in(
    prefix: &str,
    switch: &Namespace,
    name: &str,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
) -> Result<Member> {
    let namespace = Namespace::create(&format!("{prefix}-{name}"))?;
    // A tentative address answers nobody for a second. Both must be 0: `addrconf.c`,
    // `addrconf_dad_begin` runs detection if either asks for it.
    namespace.set_sysctl("net/ipv6/conf/all/accept_dad", "0")?;
    namespace.set_sysctl("net/ipv6/conf/default/accept_dad", "0")?;
    switch.ip_batch(&format!(
        "link add {name} type veth peer name {INTERFACE} netns {}\n\
         link set {name} up addrgenmode none master br0\n",
        namespace.name()
    ))?;
    namespace.ip_batch(&format!(
        "link set lo up\n\
         link set {INTERFACE} up\n\
         addr add {v4}/24 brd + dev {INTERFACE}\n\
         addr add {v6}/64 dev {INTERFACE} nodad\n"
    ))?;
    let mac = namespace.mac(INTERFACE)?;
    Ok(Member { namespace, port: name.to_owned(), mac })
}
