//! Trees, variables and flags made by chance: read or refused with places, never a panic.

use std::time::Duration;

use proptest::prelude::*;

use crate::config::*;

fn any_scalar() -> impl Strategy<Value = Scalar> {
    let style = prop_oneof![Just(Style::Plain), Just(Style::Quoted), Just(Style::Argument)];
    let likely = prop_oneof![
        "[0-9.]{0,6}(ms|s|m|h|)",
        "[0-9a-f:.]{0,20}(/[0-9]{1,3})?",
        Just("true".to_owned()),
        Just("~".to_owned()),
        Just("192.0.2.10".to_owned()),
        "(?s).{0,12}",
    ];
    (likely, style).prop_map(|(text, style)| Scalar { text, style })
}

fn any_key() -> impl Strategy<Value = String> {
    let known: Vec<String> = KEYS
        .iter()
        .flat_map(|key| key.path.split('.'))
        .chain(["apiVersion", "kind", "leaseDuratoin", "<<"])
        .map(str::to_owned)
        .collect();
    prop_oneof![8 => proptest::sample::select(known), 1 => "(?s).{0,10}"]
}

fn any_mark() -> impl Strategy<Value = Mark> {
    (1..1000usize, 1..100usize).prop_map(|(line, column)| Mark { line, column })
}

fn any_node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        9 => any_scalar().prop_map(Value::Scalar),
        1 => Just(Value::Refused("an alias")),
    ];
    let leaf = (any_mark(), leaf).prop_map(|(mark, value)| Node { mark, value });
    leaf.prop_recursive(4, 60, 8, |inner| {
        let word = any_scalar().prop_map(Value::Scalar);
        let key = prop_oneof![
            20 => any_key().prop_map(|text| Value::Scalar(Scalar { text, style: Style::Plain })),
            1 => word,
            1 => Just(Value::Seq(Vec::new())),
        ];
        let key = (any_mark(), key).prop_map(|(mark, value)| Node { mark, value });
        let entry = (key, inner.clone()).prop_map(|(key, value)| Entry { key, value });
        let value = prop_oneof![
            3 => proptest::collection::vec(entry, 0..8).prop_map(Value::Map),
            1 => proptest::collection::vec(inner, 0..4).prop_map(Value::Seq),
        ];
        (any_mark(), value).prop_map(|(mark, value)| Node { mark, value })
    })
}

fn any_sources() -> impl Strategy<Value = Sources> {
    let variables: Vec<String> = KEYS.iter().map(Key::variable).collect();
    let variable =
        (prop_oneof![proptest::sample::select(variables), "PINTLE_[A-Z_]{0,9}"], "(?s).{0,12}");
    let flag = (prop_oneof![Just("vips".to_owned()), any_key(), "(?s).{0,9}"], any_scalar());
    let argument = flag.prop_map(|(key, scalar)| Argument {
        flag: format!("--set {key}"),
        key,
        values: vec![scalar.text],
    });
    (
        proptest::option::of(any_node()),
        proptest::collection::vec(variable, 0..4),
        proptest::collection::vec(argument, 0..4),
        ".{0,8}",
    )
        .prop_map(|(root, environment, arguments, host_name)| Sources {
            document: root.map(|root| Ok(Document { name: "f".to_owned(), root })),
            environment,
            arguments,
            host_name,
        })
}

proptest! {
    #[test]
    fn any_sources_are_read_or_refused_with_places(sources in any_sources()) {
        match Config::read(&sources) {
            Ok(config) => check_relations(&config),
            Err(mistakes) => {
                prop_assert!(mistakes.count() > 0);
                for mistake in mistakes.iter() {
                    prop_assert!(!mistake.message.is_empty());
                    let line = mistake.to_string();
                    prop_assert!(!line.contains(char::is_control) && line.len() < 4096, "{line:?}");
                    if let Place::File { mark: None, .. } = &mistake.place {
                        prop_assert!(line.contains("the file is empty"), "{line}");
                    }
                }
            }
        }
    }
}

/// What a [`Config`] promises to those who use it.
fn check_relations(config: &Config) {
    let Election { lease_duration, renew_deadline, retry_period, priority, .. } = config.election;
    assert!(lease_duration >= renew_deadline + Duration::from_millis(100));
    assert!(renew_deadline >= retry_period * 2 && retry_period >= Duration::from_millis(50));
    assert!((-4..=4).contains(&priority));
    assert!((1..=2).contains(&config.vips.len()));
    assert!(!config.announce.burst.is_empty() && config.announce.burst.is_sorted());
}
