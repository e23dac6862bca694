//! The status in words. Reads what it knows and leaves out what is not there: the daemon that answers
//! may be a version older or newer than this command.

use serde_json::Value;

/// Describes a status for people.
pub(super) fn describe(status: &Value) -> String {
    let mut text = String::new();
    let mut line = |name: &str, words: String| {
        if !words.is_empty() {
            text.push_str(&format!("{name:<12} {words}\n"));
        }
    };
    line("node", join(&[&word(&status["node"]), &word(&status["role"])]));
    line("holder", holder(status));
    for vip in items(&status["vips"]) {
        line("vip", named(vip, "address"));
    }
    let probe = &status["probe"];
    line("probe", if probe.is_object() { fields(probe) } else { word(probe) });
    for server in items(&status["apiservers"]).chain(items(&status["backends"])) {
        line("api server", named(server, "address"));
    }
    line("failover", fields(&status["lastFailover"]));
    if text.is_empty() {
        text.push_str("pintle answers, and has nothing to say yet\n");
    }
    text
}

fn holder(status: &Value) -> String {
    let holder = word(&status["holder"]);
    let holder = if holder.is_empty() { "nobody".to_owned() } else { holder };
    let since = word(&status["since"]);
    let reason = word(&status["reason"]);
    let since = if since.is_empty() { since } else { format!("since {since}") };
    let reason = if reason.is_empty() { reason } else { format!("({reason})") };
    if status.get("holder").is_none() { String::new() } else { join(&[&holder, &since, &reason]) }
}

/// An object as its name and its other fields, anything else as one word.
fn named(value: &Value, name: &str) -> String {
    match value {
        Value::Object(object) => {
            let mut rest = object.clone();
            let head = rest.remove(name).as_ref().map(word).unwrap_or_default();
            join(&[&head, &fields(&Value::Object(rest))])
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            word(value)
        }
    }
}

/// `name=value` for each field that says something.
fn fields(value: &Value) -> String {
    let object = value.as_object().into_iter().flatten();
    let fields = object.filter(|(_, value)| !word(value).is_empty());
    fields
        .map(|(name, value)| format!("{}={}", clean(name), word(value)))
        .collect::<Vec<_>>()
        .join(" ")
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => clean(text),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(items) => items.iter().map(word).collect::<Vec<_>>().join(","),
        Value::Object(_) => format!("({})", fields(value)),
        Value::Number(number) => number.to_string(),
    }
}

/// Names come from the cluster: nothing in them may drive the terminal.
fn clean(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn join(words: &[&str]) -> String {
    words.iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_described() {
        let status = serde_json::json!({
            "node": "cp-1", "role": "leader", "holder": "cp-1", "since": "2026-11-22T10:00:00Z",
            "reason": "expired",
            "vips": [{"address": "192.0.2.10", "bound": true}],
            "probe": {"outcome": "ready"},
            "apiservers": [{"address": "172.30.0.11:6443", "ready": true}],
            "backends": [],
            "lastFailover": {"detect_ms": 2400, "lease_ms": 3, "bind_ms": 1, "announce_ms": 0},
        });
        let expected = "\
node         cp-1  leader
holder       cp-1  since 2026-11-22T10:00:00Z  (expired)
vip          192.0.2.10  bound=yes
probe        outcome=ready
api server   172.30.0.11:6443  ready=yes
failover     announce_ms=0 bind_ms=1 detect_ms=2400 lease_ms=3
";
        assert_eq!(describe(&status), expected);
    }

    #[test]
    fn what_is_not_there_is_left_out_and_what_is_strange_is_harmless() {
        assert_eq!(describe(&serde_json::json!({"holder": null})), "holder       nobody\n");
        assert_eq!(
            describe(&serde_json::json!([1, 2])),
            "pintle answers, and has nothing to say yet\n"
        );
        let told = describe(&serde_json::json!({"node": "a\u{1b}[2Jb", "vips": ["192.0.2.10", 7]}));
        assert_eq!(told, "node         a[2Jb\nvip          192.0.2.10\nvip          7\n");
    }
}
