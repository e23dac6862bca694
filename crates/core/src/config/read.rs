//! The reader: sources in, a [`Config`] or every mistake out.

use std::time::Duration;

use super::gather::{Gathered, Sources};
use super::mistake::{Complaint, Mistakes};
use super::role::Role;
use super::settings::{Item, Setting, Settings, plain};
use super::{
    Algorithm, Announce, ApiLoss, ApiServer, Balancer, Config, Configuration, Election, LogFormat,
    LogLevel, Place, Probe, Telemetry, duration, parse, proxy, relations,
};
use crate::vip::Vip;

/// One per family.
const MOST_VIPS: usize = 2;
/// Two are kubeadm's; each is tried in turn while the earlier ones do not work.
const MOST_KUBECONFIGS: usize = 8;
/// More announcements help nobody, and each is a frame per VIP in two forms.
const MOST_ANNOUNCEMENTS: usize = 16;
/// Beyond a million the kernel's own limits (`fs.nr_open`) end it.
const MOST_CONNECTIONS: i64 = 1_000_000;
/// A thousand clients a second that start anew are a herd.
const MOST_SHED: i64 = 1000;
/// Three control-plane nodes are usual and nine are many; the daemon follows these and the local one.
const MOST_BACKENDS: usize = 15;
/// The kernel expires addresses in whole seconds, so a shorter lease would end before its address.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);
/// Followers cap what they wait at the same length.
const LONGEST_LEASE: Duration = Duration::from_secs(60);
/// Twenty writes a second are what one Lease may cost etcd.
const SHORTEST_RETRY: Duration = Duration::from_millis(50);
/// Half of the longest lease.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// The kernel's lifetimes have a floor of 1 s: a shorter right would be outlived by the address by more than
/// the 0.7 s that are promised.
const SHORTEST_DEADLINE: Duration = Duration::from_secs(1);
/// Ten probes a second are what an idle API server may be asked.
const SHORTEST_PERIOD: Duration = Duration::from_millis(100);
/// Above a loaded API server's usual answer to `/readyz`.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(50);
/// What is noticed later than this is noticed by people first.
const LONGEST_PROBE: Duration = Duration::from_secs(10);
/// A burst is over before the first refresh, even the shortest few.
const LONGEST_BURST: Duration = Duration::from_secs(10);
/// A refresh in every second is a burst without end.
const SHORTEST_REFRESH: Duration = Duration::from_secs(1);
/// Beyond an hour no neighbour's table is repaired in time to matter.
const LONGEST_REFRESH: Duration = Duration::from_secs(3600);

const ROLES: [(&str, Role); 2] = [("control-plane", Role::ControlPlane), ("proxy", Role::Proxy)];
const API_LOSSES: [(&str, ApiLoss); 2] = [("hold", ApiLoss::Hold), ("release", ApiLoss::Release)];
const ALGORITHMS: [(&str, Algorithm); 3] = [
    ("least-connections", Algorithm::LeastConnections),
    ("round-robin", Algorithm::RoundRobin),
    ("source-hash", Algorithm::SourceHash),
];
const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];
const LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

// === impl Configuration ===

impl Configuration {
    /// Reads a configuration out of all sources: flags over environment over file over defaults.
    ///
    /// # Errors
    ///
    /// Every mistake in any of the sources, and every contradiction between values that are right
    /// by themselves.
    pub fn read(sources: &Sources) -> Result<Self, Mistakes> {
        let mut settings = Settings::new(Gathered::from_sources(sources));
        let configuration = match read_role(&mut settings).value {
            Some(Role::Proxy) => {
                settings.take_role(Role::Proxy);
                proxy::read(&mut settings).map(Box::new).map(Self::Proxy)
            }
            Some(Role::ControlPlane) => {
                read_all(&mut settings).map(Box::new).map(Self::ControlPlane)
            }
            // Whoever mistyped the role has perhaps no VIP to give.
            None => {
                settings.excuse("vips");
                read_all(&mut settings).map(Box::new).map(Self::ControlPlane)
            }
        };
        concluded(settings, configuration)
    }

    /// Logs, metrics, status.
    #[must_use]
    pub const fn telemetry(&self) -> &Telemetry {
        match self {
            Self::ControlPlane(config) => &config.telemetry,
            Self::Proxy(config) => &config.telemetry,
        }
    }
}

// === impl Config ===

impl Config {
    /// Reads the configuration of a control-plane node, as [`Configuration::read`] does.
    ///
    /// # Errors
    ///
    /// The same, and the role of a proxy.
    pub fn read(sources: &Sources) -> Result<Self, Mistakes> {
        let mut settings = Settings::new(Gathered::from_sources(sources));
        let role = read_role(&mut settings);
        if role.value == Some(Role::Proxy) {
            let complaint =
                Complaint::with("a proxy has no place here, want control-plane", "remove it");
            settings.complain(role.place, role.path, complaint);
        }
        let config = read_all(&mut settings);
        concluded(settings, config)
    }
}

fn concluded<T>(settings: Settings, config: Option<T>) -> Result<T, Mistakes> {
    match (settings.finish(), config) {
        (Some(mistakes), _) => Err(mistakes),
        (None, Some(config)) => Ok(config),
        // A value is only absent when a mistake was told about it.
        (None, None) => Err(unexplained()),
    }
}

fn unexplained() -> Mistakes {
    let complaint = Complaint::new("the configuration is wrong in a way that has no words");
    complaint.at(Place::CommandLine, "").into()
}

/// Every section is read before any is looked at, so that every mistake is found.
fn read_all(settings: &mut Settings) -> Option<Config> {
    let node = settings.one("node", parse::name);
    let interface = settings.one("interface", |scalar| parse::optional(scalar, parse::link));
    let vips = settings.list("vips", MOST_VIPS, parse::vip);
    let election = read_election(settings);
    let apiserver = read_api_server(settings, &vips);
    let announce = read_announce(settings);
    let balancer = read_balancer(settings, &vips, apiserver.as_ref());
    let telemetry = read_telemetry(settings, &vips);
    relations::vips(settings, &vips);
    Some(Config {
        node: node.value?,
        vips: plain(vips.value?),
        interface: interface.value?,
        election: election?,
        apiserver: apiserver?,
        announce: announce?,
        balancer: balancer?,
        telemetry: telemetry?,
    })
}

fn read_role(settings: &mut Settings) -> Setting<Role> {
    settings.one("role", |role| parse::word(role, &ROLES))
}

fn read_election(settings: &mut Settings) -> Option<Election> {
    let namespace = settings.one("election.namespace", parse::label);
    let lease = settings.one("election.lease", parse::name);
    let lease_duration = settings.one("election.leaseDuration", |scalar| {
        duration::between(scalar, SHORTEST_LEASE, LONGEST_LEASE)
    });
    let renew_deadline = settings.one("election.renewDeadline", |scalar| {
        duration::between(scalar, SHORTEST_DEADLINE, LONGEST_LEASE)
    });
    let retry_period = settings.one("election.retryPeriod", |scalar| {
        duration::between(scalar, SHORTEST_RETRY, LONGEST_RETRY)
    });
    let on_api_loss = settings.one("election.onApiLoss", |scalar| parse::word(scalar, &API_LOSSES));
    let priority = settings.one("election.priority", |scalar| parse::integer(scalar, -4, 4));
    relations::lease(settings, &lease_duration, &renew_deadline);
    relations::renewal(settings, &renew_deadline, &retry_period);
    Some(Election {
        namespace: namespace.value?,
        lease: lease.value?,
        lease_duration: lease_duration.value?,
        renew_deadline: renew_deadline.value?,
        retry_period: retry_period.value?,
        on_api_loss: on_api_loss.value?,
        priority: i8::try_from(priority.value?).ok()?,
    })
}

fn read_api_server(settings: &mut Settings, vips: &Setting<Vec<Item<Vip>>>) -> Option<ApiServer> {
    let address = settings.one("apiserver.address", |scalar| parse::socket(scalar, false));
    let server_name = settings.one("apiserver.serverName", parse::server_name);
    let kubeconfigs = settings.list("apiserver.kubeconfigs", MOST_KUBECONFIGS, parse::path);
    let probe = read_probe(settings);
    relations::api_server(settings, &address, vips);
    Some(ApiServer {
        address: address.value?,
        server_name: server_name.value?,
        kubeconfigs: plain(kubeconfigs.value?),
        probe: probe?,
    })
}

pub(super) fn read_probe(settings: &mut Settings) -> Option<Probe> {
    let path = settings.one("apiserver.probe.path", parse::url_path);
    let period = settings.one("apiserver.probe.period", |scalar| {
        duration::between(scalar, SHORTEST_PERIOD, LONGEST_PROBE)
    });
    let timeout = settings.one("apiserver.probe.timeout", |scalar| {
        duration::between(scalar, SHORTEST_TIMEOUT, LONGEST_PROBE)
    });
    let failures =
        settings.one("apiserver.probe.failureThreshold", |scalar| parse::integer(scalar, 1, 10));
    let successes =
        settings.one("apiserver.probe.successThreshold", |scalar| parse::integer(scalar, 1, 10));
    Some(Probe {
        path: path.value?,
        period: period.value?,
        timeout: timeout.value?,
        failure_threshold: u32::try_from(failures.value?).ok()?,
        success_threshold: u32::try_from(successes.value?).ok()?,
    })
}

fn read_announce(settings: &mut Settings) -> Option<Announce> {
    let burst = settings.list("announce.burst", MOST_ANNOUNCEMENTS, |scalar| {
        duration::between(scalar, Duration::ZERO, LONGEST_BURST)
    });
    let refresh = settings.one("announce.refresh", |scalar| {
        duration::between(scalar, SHORTEST_REFRESH, LONGEST_REFRESH)
    });
    relations::burst(settings, &burst);
    Some(Announce { burst: plain(burst.value?), refresh: refresh.value? })
}

/// `None` when one of its values is wrong; `Some(None)` when it is not to run.
#[expect(clippy::option_option, reason = "wrong, and switched off, are two things")]
fn read_balancer(
    settings: &mut Settings,
    vips: &Setting<Vec<Item<Vip>>>,
    apiserver: Option<&ApiServer>,
) -> Option<Option<Balancer>> {
    let enabled = settings.one("balancer.enabled", parse::boolean);
    let port = settings.one("balancer.port", |scalar| parse::integer(scalar, 1, 65535));
    let listen = settings.one("balancer.listen", parse::listen);
    let spread = read_spread(settings);
    // Each by itself: a list with a mistake in it may have others.
    let backends = settings.list("balancer.backends", MOST_BACKENDS, |scalar| {
        relations::backend(parse::socket(scalar, false)?, vips)
    });
    relations::balancer_listen(settings, &listen, &port, apiserver);
    let Spread { algorithm, max_connections, shed_rate, shed_floor } = spread?;
    let balancer = Balancer {
        port: u16::try_from(port.value?).ok()?,
        listen: listen.value?,
        algorithm,
        max_connections,
        backends: plain(backends.value?),
        shed_rate,
        shed_floor,
    };
    Some(enabled.value?.then_some(balancer))
}

/// How connections are spread: the same in both roles.
pub(super) struct Spread {
    pub(super) algorithm: Algorithm,
    pub(super) max_connections: usize,
    pub(super) shed_rate: usize,
    pub(super) shed_floor: usize,
}

pub(super) fn read_spread(settings: &mut Settings) -> Option<Spread> {
    let algorithm = settings.one("balancer.algorithm", |scalar| parse::word(scalar, &ALGORITHMS));
    let most = settings
        .one("balancer.maxConnections", |scalar| parse::integer(scalar, 1, MOST_CONNECTIONS));
    let shed_rate =
        settings.one("balancer.shedRate", |scalar| parse::integer(scalar, 0, MOST_SHED));
    let shed_floor =
        settings.one("balancer.shedFloor", |scalar| parse::integer(scalar, 0, MOST_CONNECTIONS));
    Some(Spread {
        algorithm: algorithm.value?,
        max_connections: usize::try_from(most.value?).ok()?,
        shed_rate: usize::try_from(shed_rate.value?).ok()?,
        shed_floor: usize::try_from(shed_floor.value?).ok()?,
    })
}

pub(super) fn read_telemetry(
    settings: &mut Settings,
    vips: &Setting<Vec<Item<Vip>>>,
) -> Option<Telemetry> {
    // Port 0 is any free port: the log says which one it got.
    let address = settings.one("telemetry.address", |scalar| parse::socket(scalar, true));
    let metrics = settings.one("telemetry.metricsAddress", |scalar| {
        parse::optional(scalar, |scalar| parse::socket(scalar, true))
    });
    let log = settings.one("telemetry.log", |scalar| parse::word(scalar, &LEVELS));
    let format = settings.one("telemetry.format", |scalar| parse::word(scalar, &FORMATS));
    relations::telemetry(settings, &address, &metrics, vips);
    Some(Telemetry {
        address: address.value?,
        metrics_address: metrics.value?,
        log: log.value?,
        format: format.value?,
    })
}
