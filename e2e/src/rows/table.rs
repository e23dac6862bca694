//! The rows themselves, in the order of the README's table.
//!
//! A limit stands here twice, in words and as rules: they are read side by side.

use super::{Control, Headline, Leader, Row, address, api, etcd, host, lease, process};
use crate::judge::{Check, Client, GapLimit, Rules, SILENCE_LIMIT_MS};
use crate::pintle::Tuning;

const DEFAULTS: Tuning = Tuning::OFF;
/// Far beyond every limit of a host loss.
const SLOW_LEASE: Tuning = Tuning { lease_duration_ms: Some(10_000), ..DEFAULTS };
const RELEASES: Tuning = Tuning { releases_on_api_loss: true, ..DEFAULTS };
const SLOW_PROBE: Tuning = Tuning { failure_threshold: Some(10), ..DEFAULTS };

const NOTHING: Rules = Rules {
    gap: None,
    connects: false,
    stays: None,
    heal_grace_ms: 0.0,
    two_holders_ms: None,
    may_move: false,
};
/// The address stays where it is; what the client's connects make of it is another matter.
const STAYS: Rules = Rules { stays: Some(SILENCE_LIMIT_MS), ..NOTHING };
/// Nothing happens, as far as a client can tell.
const NO_OUTAGE: Rules = Rules { connects: true, ..STAYS };

/// A lease duration of 2.5 s and 200 ms; 700 ms for etcd's own election where that comes on top.
const HOST_LOSS: GapLimit =
    GapLimit { client: Client::Tcp, ms: 2700.0, with_etcd_leader_ms: 700.0 };

const fn gap(ms: f64) -> Rules {
    Rules { gap: Some(GapLimit::tcp(ms)), ..NOTHING }
}

const fn control(what: &'static str, tuning: Tuning, bites: Check) -> Control {
    Control { what, tuning, bites }
}

/// Every row, in the order of the table.
pub const ROWS: &[Row] = &[
    Row {
        id: "sigterm",
        title: "SIGTERM of the holder's pintle",
        limit: "100 ms",
        rules: gap(100.0),
        headline: Headline::Tcp,
        leader: Leader::Alternating,
        steps: process::sigterm,
        control: control("no other pintle runs", DEFAULTS, Check::Gap),
    },
    Row {
        id: "sigkill-restarted",
        title: "SIGKILL of the holder's pintle, restarted 0.6 s later",
        limit: "300 ms; does not move",
        rules: Rules { stays: Some(300.0), ..gap(300.0) },
        headline: Headline::Tcp,
        leader: Leader::Alternating,
        steps: process::sigkill_restarted,
        control: control("it is not restarted", DEFAULTS, Check::Stays),
    },
    Row {
        id: "sigkill",
        title: "SIGKILL, not restarted",
        limit: "1.2 s; two hosts <= 0.7 s; gone from the old host by itself",
        rules: gap(1200.0),
        headline: Headline::Tcp,
        leader: Leader::Alternating,
        steps: process::sigkill,
        control: control("its address lasts for ever", DEFAULTS, Check::LeavesByItself),
    },
    Row {
        id: "sigstop",
        title: "SIGSTOP of the holder's pintle, SIGCONT 10 s later",
        limit: "1.2 s; two hosts <= 0.7 s; never announces afterwards",
        rules: gap(1200.0),
        headline: Headline::Tcp,
        leader: Leader::Alternating,
        steps: process::sigstop,
        control: control("its host announces after SIGCONT", DEFAULTS, Check::Silent),
    },
    Row {
        id: "power-loss",
        title: "host power loss",
        limit: "2.7 s; 3.4 s when it was the etcd leader too",
        rules: Rules { gap: Some(HOST_LOSS), ..NOTHING },
        headline: Headline::Tcp,
        leader: Leader::Alternating,
        steps: host::power_loss,
        control: control("leaseDuration is 10 s", SLOW_LEASE, Check::Gap),
    },
    Row {
        id: "api-killed",
        title: "kube-apiserver of the holder killed",
        limit: "250 ms",
        rules: gap(250.0),
        headline: Headline::Tcp,
        leader: Leader::Alternating,
        steps: api::killed,
        control: control("no other pintle runs", DEFAULTS, Check::Gap),
    },
    Row {
        id: "api-term",
        title: "kube-apiserver of the holder stopped by SIGTERM",
        limit: "400 ms",
        rules: gap(400.0),
        headline: Headline::Tcp,
        leader: Leader::Alternating,
        steps: api::terminated,
        control: control("no other pintle runs", DEFAULTS, Check::Gap),
    },
    Row {
        id: "api-hung",
        title: "kube-apiserver of the holder hung (SIGSTOP)",
        limit: "3 s (HTTPS)",
        rules: Rules {
            gap: Some(GapLimit { client: Client::Https, ms: 3000.0, with_etcd_leader_ms: 0.0 }),
            ..NOTHING
        },
        headline: Headline::Https,
        leader: Leader::Alternating,
        steps: api::hung,
        control: control("failureThreshold is 10", SLOW_PROBE, Check::Gap),
    },
    Row {
        id: "port-down",
        title: "switch port of the holder down for 12 s, then up",
        limit: "as host power loss; neighbours right 1 s after the heal",
        rules: Rules { gap: Some(HOST_LOSS), ..NOTHING },
        headline: Headline::Tcp,
        leader: Leader::Alternating,
        steps: host::port_down,
        control: control("leaseDuration is 10 s", SLOW_LEASE, Check::Gap),
    },
    Row {
        id: "etcd-leader-killed",
        title: "etcd leader killed on another host",
        limit: "does not move; no connect fails",
        rules: NO_OUTAGE,
        headline: Headline::Tcp,
        leader: Leader::Elsewhere,
        steps: etcd::leader_killed,
        control: control("the holder's pintle is ended as well", DEFAULTS, Check::Stays),
    },
    Row {
        id: "etcd-no-quorum",
        title: "etcd without quorum for 30 s",
        limit: "does not move; no connect fails; no flapping afterwards",
        rules: NO_OUTAGE,
        headline: Headline::Tcp,
        leader: Leader::Alternating,
        steps: etcd::no_quorum,
        control: control("onApiLoss is release", RELEASES, Check::Stays),
    },
    Row {
        id: "all-api-hung",
        title: "all API servers hung for 20 s",
        limit: "does not move",
        rules: STAYS,
        // A hung server's backlog fills up with the prober's connects in these 20 s.
        headline: Headline::Silence,
        leader: Leader::Alternating,
        steps: api::all_hung,
        control: control("onApiLoss is release", RELEASES, Check::Stays),
    },
    Row {
        id: "address-deleted",
        title: "`ip addr del` of the VIP",
        limit: "back within 20 ms",
        rules: NOTHING,
        headline: Headline::Figure(address::ABSENCE),
        leader: Leader::Alternating,
        steps: address::deleted,
        control: control("the holder's pintle is frozen", DEFAULTS, Check::BackInTime),
    },
    Row {
        id: "lease-deleted",
        title: "Lease deleted",
        limit: "no outage; one holder",
        rules: NO_OUTAGE,
        headline: Headline::Tcp,
        leader: Leader::Alternating,
        steps: lease::deleted,
        control: control("the holder's pintle is frozen", DEFAULTS, Check::Stays),
    },
    Row {
        id: "lease-nonsense",
        title: "Lease edited to nonsense with a live holder",
        limit: "no outage; no panic; one holder",
        rules: NO_OUTAGE,
        headline: Headline::Tcp,
        leader: Leader::Alternating,
        steps: lease::nonsense,
        control: control("a second host has the address", DEFAULTS, Check::TwoHolders),
    },
    Row {
        id: "lease-stranger",
        title: "Lease's holder set to a stranger for 3 s",
        limit: "3.5 s, then one holder",
        rules: gap(3500.0),
        headline: Headline::Tcp,
        leader: Leader::Alternating,
        steps: lease::stranger,
        control: control("the stranger renews", DEFAULTS, Check::Gap),
    },
    Row {
        id: "renew-time",
        title: "`renewTime` in the Lease edited by +1 h, then -1 h",
        limit: "nothing happens",
        rules: NO_OUTAGE,
        headline: Headline::Tcp,
        leader: Leader::Alternating,
        steps: lease::renew_time,
        control: control("the holder is edited as well", DEFAULTS, Check::Stays),
    },
    Row {
        id: "cut-off",
        title: "holder cut off for 15 s without loss of carrier",
        limit: "as host power loss; one holder 1 s after the heal",
        rules: Rules { gap: Some(HOST_LOSS), heal_grace_ms: 1000.0, ..NOTHING },
        headline: Headline::Tcp,
        leader: Leader::Alternating,
        steps: host::cut_off,
        control: control("nobody takes its address away", DEFAULTS, Check::Healed),
    },
    Row {
        id: "vip-taken",
        title: "VIP already used by a stranger on the segment",
        limit: "refused with a clear message, retried; never two answers",
        rules: Rules { two_holders_ms: Some(0.0), may_move: true, ..NOTHING },
        headline: Headline::TwoHolders,
        leader: Leader::Alternating,
        steps: address::taken,
        control: control("a second stranger uses it", DEFAULTS, Check::TwoHolders),
    },
    Row {
        id: "etcd-of-holder-killed",
        title: "etcd of the holder's host killed",
        limit: "moves within 6 s",
        rules: Rules {
            gap: Some(GapLimit { client: Client::Https, ms: 3000.0, with_etcd_leader_ms: 3000.0 }),
            ..NOTHING
        },
        headline: Headline::Figure(etcd::MOVED),
        leader: Leader::Alternating,
        steps: etcd::of_holder_killed,
        control: control("failureThreshold is 10", SLOW_PROBE, Check::Gap),
    },
];
