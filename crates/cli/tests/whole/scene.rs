//! What the tests of the balancer have in common: a pintle with a balancer on every host, and its clients.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use pintle_testkit::control_plane::ApiClient;
use pintle_testkit::netns::Namespace;

use super::bed::{Bed, Pintle, SOON, Setup, wait};

pub(crate) const ON: &str = "enabled: true";
pub(crate) const HOSTS: usize = 3;

/// What the clients here ask for; nobody else does.
pub(crate) const ASKED: &str = "/version";

/// More than it takes three servers to get an equal number.
const REQUESTS: usize = 9;

/// Every host runs one; one of them holds the VIPs.
pub(crate) struct Scene {
    pub(crate) pintles: Vec<Pintle>,
    pub(crate) holder: usize,
    pub(crate) bed: Bed,
}

// === impl Scene ===

impl Scene {
    pub(crate) fn start(vips: &[IpAddr], balancer: &'static str) -> Self {
        let bed = Bed::with_certificates_for(HOSTS, vips);
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
        Self { pintles, holder, bed }
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
