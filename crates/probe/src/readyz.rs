//! Reads an answer of `/readyz`: from status and body to an outcome.
//!
//! The body is kube-apiserver's list of checks, one a line: `[+]ping ok`, `[-]etcd failed: reason
//! withheld` (k8s.io/apiserver, pkg/server/healthz). Anything else is taken in stride: the status
//! decides, and the body only says more.

use hyper::StatusCode;
use pintle_core::ProbeOutcome;

/// What is read of a body. A healthy API server's list is about 2 KiB.
pub(crate) const BODY_LIMIT: usize = 16 * 1024;

/// Failed checks that are reported: enough for a log line, whatever the server makes up.
const MAX_CHECKS: usize = 16;

/// Bytes of a check's name. The longest real one (`poststarthook/…`) has 57.
const MAX_NAME: usize = 64;

/// The check that fails while the server is asked to stop.
const SHUTDOWN: &[u8] = b"shutdown";

/// What an answer with this status and (the beginning of) this body means.
pub(crate) fn outcome(status: StatusCode, body: &[u8]) -> ProbeOutcome {
    match status {
        StatusCode::OK => ProbeOutcome::Ready,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ProbeOutcome::Unauthorised,
        StatusCode::INTERNAL_SERVER_ERROR if failed_checks(body).any(|name| name == SHUTDOWN) => {
            ProbeOutcome::Draining
        }
        other => {
            let mut checks: Vec<String> = failed_checks(body).take(MAX_CHECKS).map(text).collect();
            if checks.is_empty() {
                checks.push(format!("status {}", other.as_u16()));
            }
            ProbeOutcome::NotReady(checks)
        }
    }
}

/// The names of the failed checks, in order.
fn failed_checks(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split(|byte| *byte == b'\n').filter_map(|line| {
        let rest = line.strip_prefix(b"[-]")?;
        // Names end up in logs and in metrics' neighbourhood: printable ASCII is all they may be.
        let end = rest.iter().position(|byte| !byte.is_ascii_graphic()).unwrap_or(rest.len());
        Some(&rest[..end.min(MAX_NAME)]).filter(|name| !name.is_empty())
    })
}

fn text(name: &[u8]) -> String {
    name.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As kube-apiserver 1.35 says it while it is asked to stop.
    const DRAINING: &str = "[+]ping ok\n[+]log ok\n[+]etcd ok\n[+]etcd-readiness ok\n\
        [+]informer-sync ok\n[+]poststarthook/start-apiserver-admission-initializer ok\n\
        [-]shutdown failed: reason withheld\nreadyz check failed\n";

    fn not_ready(checks: &[&str]) -> ProbeOutcome {
        ProbeOutcome::NotReady(checks.iter().map(|check| (*check).to_owned()).collect())
    }

    fn of(status: u16, body: &str) -> ProbeOutcome {
        outcome(StatusCode::from_u16(status).unwrap(), body.as_bytes())
    }

    #[test]
    fn each_answer_has_its_outcome() {
        let etcd = "[+]ping ok\n[-]etcd failed: reason withheld\n[-]etcd-readiness failed: x\n";
        let table = [
            (200, "ok", ProbeOutcome::Ready),
            (200, "[-]etcd failed: reason withheld", ProbeOutcome::Ready),
            (401, "", ProbeOutcome::Unauthorised),
            (403, "{}", ProbeOutcome::Unauthorised),
            (500, DRAINING, ProbeOutcome::Draining),
            (500, etcd, not_ready(&["etcd", "etcd-readiness"])),
            (500, "[-]shutdown-hook failed", not_ready(&["shutdown-hook"])),
            (500, " [-]shutdown indented", not_ready(&["status 500"])),
            (500, "", not_ready(&["status 500"])),
            (503, "[-]shutdown failed", not_ready(&["shutdown"])),
            (429, "Too many requests", not_ready(&["status 429"])),
            (404, "", not_ready(&["status 404"])),
            (301, "", not_ready(&["status 301"])),
        ];
        for (status, body, expected) in table {
            assert_eq!(of(status, body), expected, "{status} {body:?}");
        }
    }

    #[test]
    fn a_drain_is_seen_past_any_number_of_failed_checks() {
        let body = "[-]x failed\n".repeat(1000) + "[-]shutdown failed\n";
        assert_eq!(of(500, &body), ProbeOutcome::Draining);
    }

    fn bodies() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            any::<Vec<u8>>(),
            "\\[-\\][a-z/\\PC]{0,200}".prop_map(String::into_bytes),
            Just(b"[-]shutdown failed: reason withheld".to_vec()),
            Just(b"[-]".to_vec()),
        ];
        prop::collection::vec(line, 0..64).prop_map(|lines| lines.join(&b'\n'))
    }

    proptest! {
        #[test]
        fn no_body_makes_more_of_itself_than_allowed(status in 100_u16..600, body in bodies()) {
            let status = StatusCode::from_u16(status).unwrap();
            let outcome = outcome(status, &body);
            prop_assert_eq!(outcome == ProbeOutcome::Ready, status == StatusCode::OK);
            if let ProbeOutcome::NotReady(checks) = outcome {
                prop_assert!((1..=MAX_CHECKS).contains(&checks.len()));
                for check in checks {
                    prop_assert!((1..=MAX_NAME).contains(&check.len()));
                    prop_assert!(check.chars().all(|c| c.is_ascii_graphic() || c == ' '));
                }
            }
        }
    }
}
