//! The status in words. Reads what it knows and leaves out what is not there: the daemon that answers
//! may be a version older or newer than this command.

use std::fmt::Write as _;

use serde_json::Value;

/// Describes a status for people.
pub(super) fn describe(status: &Value) -> String {
    let mut text = String::new();
    let mut line = |name: &str, words: String| {
        if !words.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<12} {words}");
        }
    };
    line("node", node(status));
    if let Some(holder) = status.get("holder") {
        line("holder", if holder.is_null() { "nobody".to_owned() } else { word(holder) });
    }
    line("interface", word(&status["interface"]));
    line("listen", word(&status["listen"]));
    for vip in items(&status["vips"]) {
        line(
            "vip",
            join(&[word(&vip["address"]), either(&vip["bound"], "bound here", "not here")]),
        );
    }
    if status["occupied"] == true {
        line(
            "warning",
            "another machine answers for a VIP: find it and take the address away".to_owned(),
        );
    }
    if status["watching"] == false {
        line("warning", "the watch on the Lease is not established".to_owned());
    }
    if status["usable"] == false {
        line(
            "warning",
            "no API server can be used: look at them, and at the network to them".to_owned(),
        );
    }
    if status["discovery"] == "refused" {
        line(
            "warning",
            "not allowed to read the API servers' addresses: apply `pintle manifest rbac --proxy`"
                .to_owned(),
        );
    }
    for server in items(&status["apiservers"]) {
        let outcome = word(&server["outcome"]);
        let outcome = if outcome.is_empty() { "not probed yet".to_owned() } else { outcome };
        let backend = word(&server["backend"]);
        let backend = if backend.is_empty() { backend } else { format!("backend {backend}") };
        let words = [word(&server["target"]), word(&server["address"]), outcome, backend];
        line("api server", join(&words));
    }
    line("failover", failover(&status["last_failover"]));
    if text.is_empty() {
        text.push_str("pintle answers, and has nothing to say yet\n");
    }
    text
}

/// `cp-1  leader for 12m 3s  (expired)`
fn node(status: &Value) -> String {
    let role = word(&status["role"]);
    let role = match status["since"].as_f64() {
        Some(seconds) if !role.is_empty() => format!("{role} for {}", length(seconds)),
        Some(_) | None => role,
    };
    let reason = word(&status["reason"]);
    let reason = if reason.is_empty() { reason } else { format!("({reason})") };
    join(&[word(&status["node"]), role, reason])
}

/// `acquired  from cp-2  to cp-1  (expired)  detect 2400 ms, lease 3 ms, …`
fn failover(change: &Value) -> String {
    let named = |name: &str| {
        let text = word(&change[name]);
        if text.is_empty() { text } else { format!("{name} {text}") }
    };
    let phases: Vec<String> = ["detect", "lease", "bind", "announce"]
        .iter()
        .filter_map(|phase| {
            change[format!("{phase}_ms")].as_f64().map(|ms| format!("{phase} {ms} ms"))
        })
        .collect();
    let reason = word(&change["reason"]);
    let reason = if reason.is_empty() { reason } else { format!("({reason})") };
    join(&[word(&change["direction"]), named("from"), named("to"), reason, phases.join(", ")])
}

/// Seconds as people say them, in two units at most.
fn length(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from float saturates, and a length is shown in whole seconds"
    )]
    let seconds = seconds as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

fn either(value: &Value, yes: &str, no: &str) -> String {
    value.as_bool().map_or_else(String::new, |value| if value { yes } else { no }.to_owned())
}

/// A text or a number; anything else says nothing to people.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => clean(text),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

/// Names come from the cluster: nothing in them may drive the terminal.
fn clean(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn join(words: &[String]) -> String {
    let words = words.iter().filter(|word| !word.is_empty());
    words.map(String::as_str).collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_described() {
        let status = serde_json::json!({
            "version": "0.1.0", "node": "cp-1", "role": "leader", "holder": "cp-1", "since": 723.4,
            "reason": "expired", "interface": "eth0", "watching": true, "occupied": false,
            "vips": [
                {"address": "192.0.2.10", "bound": true},
                {"address": "2001:db8::10", "bound": false},
            ],
            "apiservers": [
                {"target": "local", "address": "127.0.0.1:6443", "outcome": "ready", "ready": true},
                {"target": "peer-1", "address": "172.30.0.12:6443", "outcome": null, "ready": false},
            ],
            "last_failover": {
                "direction": "acquired", "from": "cp-2", "to": "cp-1", "reason": "expired",
                "detect_ms": 2400.5, "lease_ms": 3.0, "bind_ms": 0.4, "announce_ms": 0.125,
            },
        });
        let expected = "\
node         cp-1  leader for 12m 3s  (expired)
holder       cp-1
interface    eth0
vip          192.0.2.10  bound here
vip          2001:db8::10  not here
api server   local  127.0.0.1:6443  ready
api server   peer-1  172.30.0.12:6443  not probed yet
failover     acquired  from cp-2  to cp-1  (expired)  detect 2400.5 ms, lease 3 ms, bind 0.4 ms, announce 0.125 ms
";
        assert_eq!(describe(&status), expected);
    }

    #[test]
    fn trouble_is_told_and_what_is_not_there_is_left_out() {
        let status = serde_json::json!({"holder": null, "occupied": true, "watching": false});
        let expected = "\
holder       nobody
warning      another machine answers for a VIP: find it and take the address away
warning      the watch on the Lease is not established
";
        assert_eq!(describe(&status), expected);
    }

    #[test]
    fn a_worker_s_proxy_is_described() {
        let status = serde_json::json!({
            "version": "0.1.0", "node": "worker-1", "role": "proxy", "since": 61.0,
            "listen": "127.0.0.1:6443", "usable": true, "discovery": "endpoints",
            "apiservers": [
                {"target": "peer-1", "address": "192.0.2.11:6443", "outcome": "ready", "ready": true,
                 "backend": "up"},
            ],
        });
        let expected = "\
node         worker-1  proxy for 1m 1s
listen       127.0.0.1:6443
api server   peer-1  192.0.2.11:6443  ready  backend up
";
        assert_eq!(describe(&status), expected);
        let told = describe(&serde_json::json!({"usable": false, "discovery": "refused"}));
        assert_eq!(told.matches("warning").count(), 2, "{told}");
    }

    #[test]
    fn what_is_strange_is_harmless() {
        assert_eq!(
            describe(&serde_json::json!([1, 2])),
            "pintle answers, and has nothing to say yet\n"
        );
        let told = describe(&serde_json::json!({"node": "a\u{1b}[2Jb", "vips": ["192.0.2.10", 7]}));
        assert_eq!(told, "node         a[2Jb\n");
    }

    #[test]
    fn lengths_are_told_in_two_units() {
        let cases =
            [(0.9, "0s"), (59.0, "59s"), (60.0, "1m 0s"), (3661.0, "1h 1m"), (90_000.0, "1d 1h")];
        for (seconds, expected) in cases {
            assert_eq!(length(seconds), expected);
        }
        assert_eq!(length(-1.0), "0s");
    }
}
