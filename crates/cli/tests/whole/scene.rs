//! What the tests of the balancer have in common: a pintle with a balancer on every host, and its clients.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use pintle_testkit::control_plane::ApiClient;
use pintle_testkit::netns::{Namespace, host_v4};
use pintle_testkit::plain::{Caller, Manner, Porter};

use super::bed::{Bed, PORT, Pintle, SOON, Setup, VIP, wait};

pub(crate) const ON: &str = "enabled: true";
pub(crate) const HOSTS: usize = 3;

/// What the clients here ask for; nobody else does.
pub(crate) const ASKED: &str = "/version";

/// Longer than any session here takes on a slow machine; what is measured is measured apart.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// More than it takes three servers to get an equal number.
const REQUESTS: usize = 9;

/// Where an API server is that has a porter before it.
pub(crate) const INSIDE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 16443);

/// Where the clients of the VIP connect to.
pub(crate) const FRONT: SocketAddr = SocketAddr::new(VIP, PORT);

/// Every host runs one; one of them holds the VIPs.
pub(crate) struct Scene {
    pub(crate) pintles: Vec<Pintle>,
    pub(crate) holder: usize,
    /// Before each host's API server, if they were asked for; their names are the hosts' numbers.
    pub(crate) porters: Vec<Porter>,
    pub(crate) bed: Bed,
}

// === impl Scene ===

impl Scene {
    pub(crate) fn start(vips: &[IpAddr], balancer: &'static str) -> Self {
        let bed = Bed::with_certificates_for(HOSTS, vips);
        Self::on(bed, Vec::new(), vips, balancer)
    }

    /// With a porter before each API server, for sessions without TLS.
    pub(crate) fn with_porters(balancer: &'static str) -> Self {
        let bed = Bed::with_servers_at(INSIDE, HOSTS, &[VIP]);
        let porters = (0..HOSTS).map(|host| porter(&bed, host)).collect();
        Self::on(bed, porters, &[VIP], balancer)
    }

    fn on(bed: Bed, porters: Vec<Porter>, vips: &[IpAddr], balancer: &'static str) -> Self {
        let setup = Setup { vips: vips.to_vec(), balancer, ..bed.setup() };
        let pintles = bed.start_all(&setup);
        let holder = bed.wait_holder();
        wait(SOON, "every backend is up on the holder", || {
            let (_, page) = pintles[holder].get("/metrics")?;
            let ready = page
                .lines()
                .filter(|line| line.starts_with("pintle_apiserver_ready{") && line.ends_with(" 1"));
            (ready.count() == HOSTS).then_some(())
        });
        Self { pintles, holder, porters, bed }
    }

    pub(crate) fn client(&self, namespace: &Namespace, vip: IpAddr, port: u16) -> ApiClient {
        let admin = self.bed.ca.issue_admin().unwrap();
        let address = SocketAddr::new(vip, port);
        let client = ApiClient::from_inside(namespace, address, &self.bed.ca, &admin).unwrap();
        client.with_timeout(Duration::from_secs(5))
    }

    /// How many of `REQUESTS` requests from inside a namespace each API server gets.
    pub(crate) fn spread(&self, namespace: &Namespace, vip: IpAddr, port: u16) -> Vec<usize> {
        let client = self.client(namespace, vip, port);
        self.bed.servers.iter().for_each(|server| server.clear_requests());
        for _ in 0..REQUESTS {
            let answer = client.get(ASKED).unwrap();
            assert!(answer.is_success(), "{}", answer.text());
        }
        let asked =
            self.bed.servers.iter().map(|server| {
                server.requests().iter().filter(|request| request.path == ASKED).count()
            });
        asked.collect()
    }

    pub(crate) fn host(&self, host: usize) -> &Namespace {
        self.bed.topology.host_ns(host)
    }

    /// The holder's pintle.
    pub(crate) fn pintle(&self) -> &Pintle {
        &self.pintles[self.holder]
    }

    /// A backend's name in the holder's metrics.
    pub(crate) fn backend(&self, host: usize) -> String {
        let own = IpAddr::V4(if host == self.holder { Ipv4Addr::LOCALHOST } else { host_v4(host) });
        SocketAddr::new(own, PORT).to_string()
    }

    /// A number of the holder's balancer: `name` without its prefix, with its labels. What nobody counted
    /// yet is 0.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let (_, page) = self.pintle().get("/metrics").unwrap();
        let name = format!("pintle_balancer_{name} ");
        let value = page.lines().find_map(|line| line.strip_prefix(&name));
        value.map_or(0, |value| value.parse().unwrap())
    }

    /// How many sessions each backend has, by the holder's metrics; in the order of the hosts.
    pub(crate) fn connections(&self) -> Vec<u64> {
        let of = |host| self.metric(&format!("connections{{backend=\"{}\"}}", self.backend(host)));
        (0..HOSTS).map(of).collect()
    }

    pub(crate) fn closed(&self, reason: &str) -> u64 {
        self.metric(&format!("sessions_closed_total{{reason=\"{reason}\"}}"))
    }

    pub(crate) fn failures(&self, host: usize, reason: &str) -> u64 {
        let backend = self.backend(host);
        let labels = format!("backend=\"{backend}\",reason=\"{reason}\"");
        self.metric(&format!("connect_failures_total{{{labels}}}"))
    }

    /// What every porter does from now on.
    pub(crate) fn set_manner(&self, manner: Manner) {
        self.porters.iter().for_each(|porter| porter.set_manner(manner));
    }

    /// A session without TLS through the balancer, from inside a namespace.
    pub(crate) fn call(&self, namespace: &Namespace) -> Caller {
        Caller::call_from(namespace, FRONT, PATIENCE).unwrap()
    }

    /// Asserts that the holder's pintle never took more memory than so many MiB.
    pub(crate) fn assert_memory(&self, most: u64) {
        let path = format!("/proc/{}/status", self.pintle().process.pid());
        let status = std::fs::read_to_string(path).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak <= most << 10, "at most {most} MiB, and it took {} MiB", peak >> 10);
    }

    pub(crate) fn nft(&self, host: usize, arguments: &[&str]) -> String {
        #[expect(clippy::disallowed_methods, reason = "an independent witness of the rules")]
        let output = std::process::Command::new("ip")
            .args(["netns", "exec", self.host(host).name(), "nft"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "nft {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

fn porter(bed: &Bed, host: usize) -> Porter {
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
    let name = u8::try_from(host).unwrap();
    Porter::start(bed.topology.host_ns(host), everywhere, INSIDE, name).unwrap()
}
