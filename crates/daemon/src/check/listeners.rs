//! Whether the ports that `pintle run` listens on are free. They are free again afterwards.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use pintle_core::config::Telemetry;

use super::finding::{Finding, fail, ok, warn};

/// A finding for each address that `run` would listen on.
pub(super) fn listeners(telemetry: &Telemetry) -> Vec<Finding> {
    let everything = "/livez, /readyz, /metrics and /status";
    let mut findings = vec![listener(telemetry.address, everything, "telemetry.address")];
    let metrics = telemetry.metrics_address;
    findings
        .extend(metrics.map(|address| listener(address, "/metrics", "telemetry.metricsAddress")));
    findings
}

pub(super) fn listener(address: SocketAddr, paths: &str, key: &str) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => ok(format!("{address} is free for {paths}")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => warn(
            format!("{address} is taken"),
            &format!("nothing if that is the pintle of this host; else set {key}"),
        ),
        Err(error) => fail(format!("cannot listen on {address}: {error}"), &format!("set {key}")),
    }
}

#[cfg(test)]
mod tests {
    use pintle_core::config::{LogFormat, LogLevel};

    use super::super::Level;
    use super::*;

    #[test]
    fn taken_ports_are_named_both() {
        let taken = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [address, metrics] = taken.each_ref().map(|port| port.local_addr().unwrap());
        let mut telemetry = Telemetry {
            address,
            metrics_address: Some(metrics),
            log: LogLevel::Info,
            format: LogFormat::Text,
        };
        let findings = listeners(&telemetry);
        let expected = [(address, "telemetry.address"), (metrics, "telemetry.metricsAddress")];
        assert_eq!(findings.len(), expected.len());
        for (finding, (address, key)) in findings.iter().zip(expected) {
            assert_eq!(finding.level, Level::Warn);
            assert_eq!(finding.what, format!("{address} is taken"));
            assert!(finding.then.ends_with(key), "{finding:?}");
        }
        drop(taken);
        assert!(listeners(&telemetry).iter().all(|finding| finding.level == Level::Ok));
        telemetry.metrics_address = None;
        assert_eq!(listeners(&telemetry).len(), 1);
    }
}
