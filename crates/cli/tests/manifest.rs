//! The static pod: as it is printed, as a cluster reads it, and that its arguments are understood.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn pintle(arguments: &[&str]) -> Output {
    #[expect(clippy::disallowed_methods, reason = "runs the built binary")]
    let mut command = Command::new(env!("CARGO_BIN_EXE_pintle"));
    command.args(["manifest", "static-pod"]).args(arguments).env_clear().output().unwrap()
}

fn manifest(arguments: &[&str]) -> String {
    let output = pintle(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn pod(arguments: &[&str]) -> Value {
    serde_yaml::from_str(&manifest(arguments)).unwrap()
}

/// `UPDATE=1 cargo test -p pintle-cli` writes the file anew.
#[test]
fn the_pod_is_the_golden_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/static-pod.yaml");
    let version = env!("CARGO_PKG_VERSION");
    let printed = manifest(&["--vip", "192.0.2.10"]).replace(version, "VERSION");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &printed).unwrap();
    }
    assert_eq!(printed, fs::read_to_string(&path).unwrap());
}

#[test]
fn the_pod_may_do_what_it_must_and_no_more() {
    let pod = pod(&["--vip", "192.0.2.10"]);
    assert_eq!((&pod["apiVersion"], &pod["kind"]), (&"v1".into(), &"Pod".into()));
    assert_eq!(pod["metadata"]["namespace"], "kube-system");
    let spec = &pod["spec"];
    assert_eq!(spec["hostNetwork"], true);
    assert_eq!(spec["priorityClassName"], "system-node-critical");
    assert_eq!(spec["terminationGracePeriodSeconds"], 10);
    assert_eq!(spec["securityContext"]["runAsUser"], 0);
    assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(spec["hostAliases"], Value::Null);
    let container = &spec["containers"][0];
    assert_eq!(container["image"], concat!("pintle.dev/pintle:", env!("CARGO_PKG_VERSION")));
    assert_eq!(container["imagePullPolicy"], "IfNotPresent");
    assert_eq!(
        container["securityContext"],
        serde_json::json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
        })
    );
    assert_eq!(container["env"][0]["valueFrom"]["fieldRef"]["fieldPath"], "spec.nodeName");
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let path = if probe == "readinessProbe" { "/readyz" } else { "/livez" };
        let get = serde_json::json!({"host": "127.0.0.1", "port": 9810, "path": path});
        assert_eq!(container[probe]["httpGet"], get);
    }
    // Each mount has its volume, and everything of the host is read-only.
    let mounts = container["volumeMounts"].as_array().unwrap();
    let volumes = spec["volumes"].as_array().unwrap();
    assert!(mounts.iter().all(|mount| mount["readOnly"] == true));
    let names = |list: &[Value]| list.iter().map(|item| item["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(mounts), names(volumes));
    // Never the directory with the CA's key under its own name.
    assert!(volumes.iter().all(|volume| volume["hostPath"]["path"] != "/etc/kubernetes/pki"));
    assert!(mounts.iter().any(|mount| mount["mountPath"] == "/etc/kubernetes/pki"));
}

#[test]
fn what_differs_from_a_default_becomes_an_argument() {
    let pod = pod(&[
        "--vip=192.0.2.10",
        "--vip=2001:db8::10",
        "--interface=eth0",
        "--priority=0",
        "--on-api-loss=release",
        "--set=announce.refresh=30s",
        "--set=announce.burst=0ms, 1s",
        "--set=apiserver.probe.path=/readyz?a:'b'",
        "--telemetry-address=[::]:9999",
        "--kubeconfig=/etc/rancher/k3s/k3s.yaml",
        "--image=example.test/pintle@sha256:0123",
        "--image-pull-policy=Never",
    ]);
    let container = &pod["spec"]["containers"][0];
    assert_eq!(
        container["args"],
        serde_json::json!([
            "run",
            "--vip=192.0.2.10",
            "--vip=2001:db8::10",
            "--interface=eth0",
            "--on-api-loss=release",
            "--kubeconfig=/etc/rancher/k3s/k3s.yaml",
            "--set=apiserver.probe.path=/readyz?a:'b'",
            "--set=announce.burst=0ms, 1s",
            "--set=announce.refresh=30s",
            "--telemetry-address=[::]:9999",
        ])
    );
    assert_eq!(container["image"], "example.test/pintle@sha256:0123");
    assert_eq!(container["imagePullPolicy"], "Never");
    let get = serde_json::json!({"host": "::1", "port": 9999, "path": "/livez"});
    assert_eq!(container["livenessProbe"]["httpGet"], get);
    let paths: Vec<&str> = container["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mount| mount["mountPath"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["/etc/rancher/k3s", "/etc/machine-id"]);
    // The pod's own arguments give the same pod again: `run` understands what `manifest` writes.
    let arguments: Vec<&str> = container["args"].as_array().unwrap()[1..]
        .iter()
        .map(|argument| argument.as_str().unwrap())
        .chain(["--image=example.test/pintle@sha256:0123", "--image-pull-policy=Never"])
        .collect();
    assert_eq!(self::pod(&arguments), pod);
}

#[test]
fn a_pod_that_could_not_work_is_not_printed() {
    let cases: &[(&[&str], &str)] = &[
        (&[], "command line: vips: is missing"),
        (&["--vip=192.0.2.10/24"], "flag --vip: vips: \"192.0.2.10/24\" has a prefix length"),
        (&["--vip=192.0.2.10", "--image="], "--image: \"\" is no name of an image"),
        (&["--vip=192.0.2.10", "--image=a\nb"], "--image: \"a\\nb\" is no name of an image"),
        (&["--vip=192.0.2.10", "--kubeconfig="], "a static pod has no service account"),
        (&["--vip=192.0.2.10", "--kubeconfig=/etc/admin.conf"], "would show the pod all of /etc"),
        (&["--vip=192.0.2.10", "--telemetry-address=127.0.0.1:0"], "port 0"),
    ];
    for (arguments, expected) in cases {
        let output = pintle(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(64), 0), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}
