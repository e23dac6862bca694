//! Values that are right by themselves and contradict each other. Each message names both.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::duration::show;
use super::mistake::Complaint;
use super::settings::{Item, Setting, Settings};
use super::{ApiServer, Listen, Telemetry, proxy};
use crate::vip::Vip;

/// What must be left of a lease when the right to the VIP ends: unbinding takes a few milliseconds,
/// and clocks may differ in rate by this much within one lease.
const LEAST_MARGIN: Duration = Duration::from_millis(100);

type Vips = Setting<Vec<Item<Vip>>>;

pub(super) fn lease(
    settings: &mut Settings,
    lease_duration: &Setting<Duration>,
    renew_deadline: &Setting<Duration>,
) {
    let (Some(lease), Some(deadline)) = (lease_duration.value, renew_deadline.value) else {
        return;
    };
    if lease.checked_sub(deadline).is_some_and(|margin| margin >= LEAST_MARGIN) {
        return;
    }
    let message = format!(
        "leaseDuration {}{} must be at least {} longer than renewDeadline {}{}",
        show(lease),
        lease_duration.origin(),
        show(LEAST_MARGIN),
        show(deadline),
        renew_deadline.origin(),
    );
    let advice = format!(
        "set election.leaseDuration to {} or more, or election.renewDeadline to {} or less",
        show(deadline.saturating_add(LEAST_MARGIN)),
        show(lease.saturating_sub(LEAST_MARGIN)),
    );
    settings.contradict(lease_duration, renew_deadline, Complaint::with(message, advice));
}

pub(super) fn renewal(
    settings: &mut Settings,
    renew_deadline: &Setting<Duration>,
    retry_period: &Setting<Duration>,
) {
    let (Some(deadline), Some(retry)) = (renew_deadline.value, retry_period.value) else {
        return;
    };
    // One renewal may fail: the next one must still come before the right has ended.
    if retry.saturating_mul(2) <= deadline {
        return;
    }
    let message = format!(
        "retryPeriod {}{} must be at most half of renewDeadline {}{}",
        show(retry),
        retry_period.origin(),
        show(deadline),
        renew_deadline.origin(),
    );
    let advice = format!(
        "set election.retryPeriod to {} or less, or election.renewDeadline to {} or more",
        show(deadline / 2),
        show(retry.saturating_mul(2)),
    );
    settings.contradict(retry_period, renew_deadline, Complaint::with(message, advice));
}

pub(super) fn vips(settings: &mut Settings, vips: &Vips) {
    let Some(items) = &vips.value else { return };
    if items.is_empty() {
        let complaint = Complaint::with("want at least one address", "write it as [192.0.2.10]");
        settings.complain(vips.place.clone(), vips.path, complaint);
    }
    if let [first, second] = &**items
        && first.value.0.is_ipv4() == second.value.0.is_ipv4()
    {
        let message = format!(
            "{} is of the same family as {}: want at most one IPv4 and one IPv6 address",
            second.value, first.value
        );
        let complaint = Complaint::with(message, "remove one of them");
        settings.complain(second.place.clone(), vips.path, complaint);
    }
}

pub(super) fn api_server(settings: &mut Settings, address: &Setting<SocketAddr>, vips: &Vips) {
    let Some(server) = address.value else { return };
    if server.ip().is_unspecified() {
        let message = format!("{server} is no address that can be asked");
        let complaint = Complaint::with(message, format!("write 127.0.0.1:{}", server.port()));
        settings.complain(address.place.clone(), address.path, complaint);
    } else if has(vips, server.ip()) {
        let message = format!("{server} is on the VIP {}", server.ip());
        let advice = "give the node's own address or 127.0.0.1: the VIP may be on another node";
        settings.contradict(address, vips, Complaint::with(message, advice));
    }
}

/// One that does not lead back, and that can be reached as the VIP's clients reach the VIP.
pub(super) fn backend(backend: SocketAddr, vips: &Vips) -> Result<SocketAddr, Complaint> {
    if has(vips, backend.ip()) {
        let message = format!("{backend} is on the VIP {}", backend.ip());
        let advice = "give the API server's own address: the VIP leads back to the balancer";
        return Err(Complaint::with(message, advice));
    }
    if let Some((message, advice)) = proxy::fault(backend, None) {
        return Err(Complaint::with(message, advice));
    }
    if backend.ip().is_loopback() {
        let message = format!("{backend} is this host's own, and another API server on each node");
        let advice = "leave it out: each node has its own API server without being told";
        return Err(Complaint::with(message, advice));
    }
    let of_its_family = |vip: &Item<Vip>| vip.value.0.is_ipv4() == backend.is_ipv4();
    if vips.value.as_ref().is_some_and(|vips| !vips.is_empty() && !vips.iter().any(of_its_family)) {
        let (its, other) = if backend.is_ipv4() { ("IPv4", "IPv6") } else { ("IPv6", "IPv4") };
        let message = format!("{backend} is {its}, and every VIP is {other}");
        let advice = format!("give the API server's {other} address, or an {its} VIP beside");
        return Err(Complaint::with(message, advice));
    }
    Ok(backend)
}

/// Where clients use the API server's own port, the balancer needs another one to listen on.
pub(super) fn balancer_listen(
    settings: &mut Settings,
    listen: &Setting<Listen>,
    port: &Setting<i64>,
    apiserver: Option<&ApiServer>,
) {
    let own = match listen.value {
        Some(Listen::Port(own)) => i64::from(own),
        Some(Listen::Address(address)) => {
            let message = format!(
                "{address} has an address, and the control plane's balancer listens on the VIP"
            );
            let complaint = Complaint::with(message, format!("write {}", address.port()));
            settings.complain(listen.place.clone(), listen.path, complaint);
            return;
        }
        None => return,
    };
    let Some(server) = apiserver.map(|server| i64::from(server.address.port())) else { return };
    if own == server && port.value == Some(server) {
        let message = format!("{own} is the API server's own port");
        let advice = "give another one, clients do not see it";
        settings.contradict(listen, port, Complaint::with(message, advice));
    }
}

/// On a worker: what leads nowhere, or back.
pub(super) fn proxy_backends(
    settings: &mut Settings,
    backends: &proxy::Backends,
    own: Option<SocketAddr>,
) {
    let Some(items) = &backends.value else { return };
    if items.is_empty() {
        let complaint = Complaint::with(
            "want at least one API server, the others are asked of the cluster",
            "write it as [192.0.2.11:6443]",
        );
        settings.complain(backends.place.clone(), backends.path, complaint);
    }
    for backend in items {
        if let Some((message, advice)) = proxy::fault(backend.value, own) {
            let complaint = Complaint::with(message, advice);
            settings.complain(backend.place.clone(), backends.path, complaint);
        }
    }
}

/// On a worker: the proxy's own address is not the telemetry's.
pub(super) fn proxy_listeners(
    settings: &mut Settings,
    listen: &Setting<Listen>,
    own: SocketAddr,
    telemetry: &Telemetry,
) {
    let others = [
        ("telemetry.address", Some(telemetry.address)),
        ("telemetry.metricsAddress", telemetry.metrics_address),
    ];
    for (path, other) in others {
        let Some(other) = other.filter(|other| is_same_listener(own, *other)) else { continue };
        let message = format!("{own}{} and {path} {other} are the same port", listen.origin());
        let complaint = Complaint::with(message, "give another port to one of them");
        settings.complain(listen.place.clone(), listen.path, complaint);
    }
}

pub(super) fn burst(settings: &mut Settings, burst: &Setting<Vec<Item<Duration>>>) {
    let Some(items) = &burst.value else { return };
    if items.is_empty() {
        let complaint =
            Complaint::with("want at least one announcement", "write it as [0ms, 200ms]");
        settings.complain(burst.place.clone(), burst.path, complaint);
    }
    for pair in items.windows(2) {
        if let [earlier, later] = pair
            && later.value <= earlier.value
        {
            let message = format!(
                "{} comes after {}, want them ascending",
                show(later.value),
                show(earlier.value)
            );
            let complaint = Complaint::with(message, "sort them");
            settings.complain(later.place.clone(), burst.path, complaint);
        }
    }
}

pub(super) fn telemetry(
    settings: &mut Settings,
    address: &Setting<SocketAddr>,
    metrics: &Setting<Option<SocketAddr>>,
    vips: &Vips,
) {
    let listeners = [
        (address.value, address.path, &address.place),
        (metrics.value.flatten(), metrics.path, &metrics.place),
    ];
    for (listener, path, place) in listeners {
        let Some(listener) = listener.filter(|listener| has(vips, listener.ip())) else {
            continue;
        };
        let message = format!("{listener} is on the VIP {}", listener.ip());
        let advice = "give the node's own address: the VIP may be on another node";
        settings.complain(place.clone(), path, Complaint::with(message, advice));
    }
    if let (Some(address_value), Some(metrics_value)) = (address.value, metrics.value.flatten())
        && is_same_listener(address_value, metrics_value)
    {
        let message = format!(
            "{metrics_value} and telemetry.address {address_value}{} are the same port",
            address.origin()
        );
        let advice = "give another port: telemetry.address serves /metrics as well";
        settings.contradict(metrics, address, Complaint::with(message, advice));
    }
}

fn has(vips: &Vips, address: IpAddr) -> bool {
    let address = address.to_canonical();
    vips.value.iter().flatten().any(|vip| vip.value.0 == address)
}

/// Whether two listeners would meet: a wildcard address meets every address.
fn is_same_listener(left: SocketAddr, right: SocketAddr) -> bool {
    let meets =
        left.ip() == right.ip() || left.ip().is_unspecified() || right.ip().is_unspecified();
    left.port() != 0 && left.port() == right.port() && meets
}
