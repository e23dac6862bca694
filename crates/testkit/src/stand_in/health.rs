//! The bodies of `/readyz` and `/livez`, check by check, as kube-apiserver writes them.

/// The checks of kube-apiserver 1.35 in their order; the post-start hooks in between are cut to two.
const CHECKS: [&str; 8] = [
    "ping",
    "log",
    "etcd",
    "etcd-readiness",
    "informer-sync",
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/rbac/bootstrap-roles",
    "shutdown",
];

/// Those that only readiness has.
const READY_ONLY: [&str; 3] = ["etcd-readiness", "informer-sync", "shutdown"];

/// Writes the body of a failed `/readyz` or `/livez` (`path` without the slash).
pub(super) fn failed(path: &str, failing: &[&str]) -> String {
    let is_ready = path == "readyz";
    let known = CHECKS.iter().filter(|check| is_ready || !READY_ONLY.contains(check));
    let unknown = failing.iter().filter(|check| !CHECKS.contains(check));
    let mut body = String::new();
    for check in known.chain(unknown) {
        let line = if failing.contains(check) {
            format!("[-]{check} failed: reason withheld\n")
        } else {
            format!("[+]{check} ok\n")
        };
        body.push_str(&line);
    }
    body.push_str(path);
    body.push_str(" check failed\n");
    body
}

/// Writes the body of a good one, asked for with `?verbose`.
pub(super) fn passed(path: &str) -> String {
    let is_ready = path == "readyz";
    let checks = CHECKS.iter().filter(|check| is_ready || !READY_ONLY.contains(check));
    let lines: String = checks.map(|check| format!("[+]{check} ok\n")).collect();
    format!("{lines}{path} check passed\n")
}
