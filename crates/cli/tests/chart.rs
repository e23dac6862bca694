//! The Helm chart, rendered by the real helm: what it makes is what `pintle manifest daemonset` prints, its
//! configuration is one that pintle reads, and wrong values are refused.
//!
//! `hack/chart-test.sh` gives `HELM`, and lints.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pintle_core::config::Configuration;
use serde_json::{Value, json};

const VIP: &str = "--set=vips={192.0.2.10}";
/// The oldest that is supported. Without it helm takes what its linker was told, and one that `go build` made
/// takes v1.20, which the chart refuses.
const CLUSTER: &str = "--kube-version=v1.28.0";

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/chart")
}

fn helm(arguments: &[&str]) -> Output {
    let program = std::env::var_os("HELM").expect("hack/chart-test.sh sets HELM");
    #[expect(clippy::disallowed_methods, reason = "runs the real helm")]
    let mut command = Command::new(program);
    command.args(["template", "pintle"]).arg(chart()).args(["--namespace=kube-system", CLUSTER]);
    command.args(arguments).output().unwrap()
}

/// By kind and name.
fn rendered(arguments: &[&str]) -> BTreeMap<String, Value> {
    let output = helm(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    by_name(&String::from_utf8(output.stdout).unwrap())
}

fn printed(kind: &str) -> BTreeMap<String, Value> {
    #[expect(clippy::disallowed_methods, reason = "runs the built binary")]
    let mut command = Command::new(env!("CARGO_BIN_EXE_pintle"));
    let output = command.args(["manifest", kind, "--vip=192.0.2.10"]).output().unwrap();
    by_name(&String::from_utf8(output.stdout).unwrap())
}

fn by_name(yaml: &str) -> BTreeMap<String, Value> {
    let objects: Vec<Value> = serde_yaml::from_multiple(yaml).unwrap();
    let key = |object: &Value| {
        format!(
            "{}/{}",
            object["kind"].as_str().unwrap(),
            object["metadata"]["name"].as_str().unwrap()
        )
    };
    objects
        .into_iter()
        .filter(|object| !object.is_null())
        .map(|object| (key(&object), object))
        .collect()
}

#[test]
#[ignore = "needs helm: hack/chart-test.sh"]
fn it_makes_what_pintle_prints() {
    let (chart, own) =
        (rendered(&[VIP, "--set=flowSchema.users={kubernetes-admin}"]), printed("daemonset"));
    for (name, part) in [
        ("Role/pintle", "rules"),
        ("Role/pintle-apiservers", "rules"),
        ("RoleBinding/pintle", "subjects"),
        ("RoleBinding/pintle", "roleRef"),
        ("RoleBinding/pintle-apiservers", "subjects"),
    ] {
        assert_eq!(chart[name][part], own[name][part], "{name}");
    }
    let level = &chart["PriorityLevelConfiguration/kube-system-pintle"]["spec"];
    assert_eq!(*level, own["PriorityLevelConfiguration/pintle"]["spec"]);
    let schema = &chart["FlowSchema/kube-system-pintle"]["spec"];
    assert_eq!(schema["rules"], own["FlowSchema/pintle"]["spec"]["rules"]);

    let spec = |objects: &BTreeMap<String, Value>| {
        let mut spec = objects["DaemonSet/pintle"]["spec"]["template"]["spec"].clone();
        spec.as_object_mut().unwrap().remove("volumes");
        let container = spec["containers"][0].as_object_mut().unwrap();
        container.retain(|key, _| key != "args" && key != "volumeMounts");
        spec
    };
    assert_eq!(spec(&chart), spec(&own));
    for key in ["updateStrategy", "minReadySeconds"] {
        assert_eq!(chart["DaemonSet/pintle"]["spec"][key], own["DaemonSet/pintle"]["spec"][key]);
    }
}

#[test]
#[ignore = "needs helm: hack/chart-test.sh"]
fn its_configuration_is_one_that_pintle_reads() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yaml");
    let read = |arguments: &[&str]| {
        let objects = rendered(arguments);
        let text = objects["ConfigMap/pintle"]["data"]["config.yaml"].as_str().unwrap();
        fs::write(&path, text).unwrap();
        match pintle_cli::load(Some(&path), [], Vec::new()).unwrap() {
            Configuration::ControlPlane(config) => (config, objects),
            Configuration::Proxy(config) => panic!("another role: {config:?}"),
        }
    };
    let (config, objects) = read(&[VIP]);
    assert_eq!(config.vips[0].to_string(), "192.0.2.10");
    assert!(config.apiserver.kubeconfigs.is_empty(), "it has its service account");
    assert!(
        !objects.keys().any(|name| name.contains("Monitor") || name.contains("Rule/")),
        "{objects:?}"
    );

    let (config, objects) = read(&[
        "--set=vips={192.0.2.10,2001:db8::10}",
        "--set=interface=eth0",
        "--set=config.election.lease=front,config.election.namespace=infra,config.telemetry.log=debug",
        "--set=config.telemetry.address=127.0.0.1:9999",
        "--set=podMonitor.enabled=true,prometheusRule.enabled=true",
    ]);
    assert_eq!((config.vips.len(), config.interface.as_deref()), (2, Some("eth0")));
    assert_eq!(config.telemetry.metrics_address.unwrap().to_string(), "[::]:9811");
    assert_eq!(objects["Role/pintle"]["metadata"]["namespace"], "infra");
    assert_eq!(objects["Role/pintle"]["rules"][0]["resourceNames"], json!(["front"]));
    let container = &objects["DaemonSet/pintle"]["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["livenessProbe"]["httpGet"]["port"], 9999);
    assert_eq!(container["ports"][0]["containerPort"], 9811);
    assert_eq!(objects["PodMonitor/pintle"]["spec"]["podMetricsEndpoints"][0]["port"], "metrics");
}

/// An alert on a metric that does not exist never fires.
#[test]
#[ignore = "needs helm: hack/chart-test.sh"]
fn its_alerts_are_about_metrics_that_exist() {
    let objects = rendered(&[VIP, "--set=prometheusRule.enabled=true"]);
    let rules =
        objects["PrometheusRule/pintle"]["spec"]["groups"][0]["rules"].as_array().unwrap().clone();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../telemetry/src/metrics/families.rs");
    let registered = fs::read_to_string(source).unwrap();
    for rule in &rules {
        let expression = rule["expr"].as_str().unwrap();
        let mut words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let metric = words.find_map(|word| word.strip_prefix("pintle_")).unwrap();
        let name = format!("\"{}\",", metric.trim_end_matches("_total"));
        assert!(registered.contains(&name), "{expression}: nothing registers {name}");
    }
    assert!(rules.len() >= 4);
}

#[test]
#[ignore = "needs helm: hack/chart-test.sh"]
fn wrong_values_are_refused() {
    for (values, named) in [
        (&[][..], "vips"),
        (&["--set=vips={192.0.2.10/24}"], "vips"),
        (&[VIP, "--set=intreface=eth0"], "intreface"),
        (&[VIP, "--set=image.tagg=1"], "tagg"),
        (&[VIP, "--set=image.pullPolicy=never"], "pullPolicy"),
        (&[VIP, "--set=config.vips={192.0.2.11}"], "config"),
    ] {
        let output = helm(values);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(named), "{values:?}: {said}");
    }
}

#[test]
fn its_versions_are_this_one_s() {
    let text = fs::read_to_string(chart().join("Chart.yaml")).unwrap();
    let chart: Value = serde_yaml::from_str(&text).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!((&chart["version"], &chart["appVersion"]), (&json!(version), &json!(version)));
}

#[test]
fn every_value_is_explained() {
    let text = fs::read_to_string(chart().join("values.yaml")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let is_value = |line: &str| line.contains(':') && !line.trim_start().starts_with(['#', '-']);
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| is_value(line)) {
        let above = index.checked_sub(1).map_or("", |index| lines[index]).trim_start();
        assert!(above.starts_with('#'), "no comment above {line:?}");
    }
}
