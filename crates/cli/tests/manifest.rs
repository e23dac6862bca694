//! The static pod: as it is printed, as a cluster reads it, and that its arguments are understood.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// `pintle manifest …`.
fn printing(arguments: &[&str]) -> Output {
    #[expect(clippy::disallowed_methods, reason = "runs the built binary")]
    let mut command = Command::new(env!("CARGO_BIN_EXE_pintle"));
    command.arg("manifest").args(arguments).env_clear().output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = printing(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn pintle(arguments: &[&str]) -> Output {
    printing(&[&["static-pod"], arguments].concat())
}

fn manifest(arguments: &[&str]) -> String {
    printed(&[&["static-pod"], arguments].concat())
}

fn pod(arguments: &[&str]) -> Value {
    serde_yaml::from_str(&manifest(arguments)).unwrap()
}

fn objects(yaml: &str) -> Vec<Value> {
    serde_yaml::from_multiple(yaml).unwrap()
}

/// `UPDATE=1 cargo test -p pintle-cli` writes the files anew.
#[test]
fn what_is_printed_is_what_is_in_manifests() {
    let version = env!("CARGO_PKG_VERSION");
    let vip: &[&str] = &["--vip", "192.0.2.10"];
    let worker: &[&str] =
        &["--set=role=proxy", "--set=balancer.backends=192.0.2.11:6443,192.0.2.12:6443"];
    for (kind, arguments, file) in [
        ("static-pod", vip, "static-pod.yaml"),
        ("daemonset", vip, "daemonset.yaml"),
        ("rbac", vip, "rbac.yaml"),
        ("flow-schema", vip, "flow-schema.yaml"),
        ("systemd", vip, "pintle.service"),
        ("static-pod", worker, "proxy-static-pod.yaml"),
        ("systemd", worker, "pintle-proxy.service"),
        ("rbac", &["--proxy"], "proxy-rbac.yaml"),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests").join(file);
        let text = printed(&[&[kind], arguments].concat()).replace(version, "VERSION");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &text).unwrap();
        }
        assert_eq!(text, fs::read_to_string(&path).unwrap(), "{file}");
        assert!(
            !text.contains('@') || file.ends_with(".service"),
            "a place of the template is left"
        );
    }
}

/// One truth for both: what differs is who the pod is, and what it sees of its host.
#[test]
fn the_daemonset_has_the_pod_of_the_static_pod() {
    let yaml = printed(&["daemonset", "--vip=192.0.2.10", "--interface=eth0"]);
    let objects = objects(&yaml);
    let kinds: Vec<&str> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    let (daemonset, rest) = objects.split_last().unwrap();
    assert_eq!(
        kinds,
        [
            "ServiceAccount",
            "Role",
            "RoleBinding",
            "Role",
            "RoleBinding",
            "PriorityLevelConfiguration",
            "FlowSchema",
            "DaemonSet"
        ]
    );
    assert_eq!(rest[0]["metadata"]["name"], "pintle");
    let mut spec = daemonset["spec"]["template"]["spec"].clone();
    let mut own = pod(&["--vip=192.0.2.10", "--interface=eth0"])["spec"].clone();
    assert_eq!(spec["serviceAccountName"], "pintle");
    assert_eq!(
        spec["containers"][0]["args"],
        serde_json::json!([
            "run",
            "--vip=192.0.2.10",
            "--interface=eth0",
            "--kubeconfig=",
            "--set=balancer.enabled=true"
        ])
    );
    let mounts = |spec: &Value| spec["containers"][0]["volumeMounts"].as_array().unwrap().len();
    assert_eq!((mounts(&spec), mounts(&own)), (1, 3), "no directory with kubeconfigs");
    for spec in [&mut spec, &mut own] {
        for key in [
            "serviceAccountName",
            "automountServiceAccountToken",
            "nodeSelector",
            "tolerations",
            "volumes",
        ] {
            spec.as_object_mut().unwrap().remove(key);
        }
        let container = spec["containers"][0].as_object_mut().unwrap();
        container.retain(|key, _| key != "args" && key != "volumeMounts");
    }
    assert_eq!(spec, own);
    let selector = &daemonset["spec"]["selector"]["matchLabels"];
    assert_eq!(selector, &daemonset["spec"]["template"]["metadata"]["labels"]);
}

#[test]
fn the_role_is_for_the_configured_lease() {
    let set = ["--set=election.lease=front", "--set=election.namespace=infra", "--vip=192.0.2.10"];
    let role = objects(&printed(&[&["rbac"][..], &set].concat()));
    assert_eq!(role[1]["metadata"]["namespace"], "infra");
    assert_eq!(role[1]["rules"][0]["resourceNames"], serde_json::json!(["front"]));
    let schema = objects(&printed(&[&["flow-schema"][..], &set].concat()));
    assert_eq!(schema[1]["spec"]["rules"][0]["resourceRules"][0]["namespaces"][0], "infra");
    // Whoever is named there has its renewals in this level: the static pod's user, too.
    let subjects = schema[1]["spec"]["rules"][0]["subjects"].as_array().unwrap();
    assert!(subjects.iter().any(|subject| subject["user"]["name"] == "kubernetes-admin"));
}

#[test]
fn each_distribution_has_its_kubeconfig_and_its_place() {
    for (name, directory, manifests, label) in [
        ("kubeadm", "/etc/kubernetes", "/etc/kubernetes/manifests", ""),
        ("k3s", "/etc/rancher/k3s", "/var/lib/rancher/k3s/agent/pod-manifests", "true"),
        ("rke2", "/etc/rancher/rke2", "/var/lib/rancher/rke2/agent/pod-manifests", "true"),
    ] {
        let arguments = ["--vip=192.0.2.10", "--distribution", name];
        assert!(manifest(&arguments).contains(manifests), "{name}");
        let pod = pod(&arguments);
        assert_eq!(pod["spec"]["containers"][0]["volumeMounts"][0]["mountPath"], directory);
        let has_argument = pod["spec"]["containers"][0]["args"].to_string().contains(directory);
        assert_eq!(has_argument, name != "kubeadm", "the default needs no argument");
        let daemonset =
            objects(&printed(&[&["daemonset"][..], &arguments].concat())).pop().unwrap();
        let selector = &daemonset["spec"]["template"]["spec"]["nodeSelector"];
        assert_eq!(selector["node-role.kubernetes.io/control-plane"], label, "{name}");
    }
}

/// Where systemd's own judge is there (hack/setup.sh does not install an init system).
#[test]
fn the_unit_is_hardened_and_well_formed() {
    let worker = ["--set=role=proxy", "--set=balancer.backends=192.0.2.11:6443"];
    for arguments in [&["--vip=192.0.2.10"][..], &worker] {
        judge_unit(&printed(&[&["systemd"], arguments].concat()), arguments);
    }
}

fn judge_unit(unit: &str, arguments: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pintle.service");
    let balances = if arguments.len() == 1 { " --set=balancer.enabled=true" } else { "" };
    let command =
        format!("ExecStart=/usr/local/bin/pintle run {}{balances}\n", arguments.join(" "));
    assert!(unit.contains(&command), "{unit}");
    // `verify` wants the program to be there.
    fs::write(&path, unit.replace("/usr/local/bin/pintle", env!("CARGO_BIN_EXE_pintle"))).unwrap();
    let analyze = |words: &[&str]| {
        #[expect(clippy::disallowed_methods, reason = "systemd's own judge")]
        let mut command = Command::new("systemd-analyze");
        command.args(words).arg(&path).output()
    };
    let Ok(security) = analyze(&["security", "--offline=true", "--threshold=29", "--no-pager"])
    else {
        return;
    };
    let said = String::from_utf8_lossy(&security.stdout);
    assert!(security.status.success(), "more exposed than 2.9: {said}");
    let verify = analyze(&["verify", "--man=no"]).unwrap();
    let said = String::from_utf8_lossy(&verify.stderr);
    assert!(verify.status.success() && !said.contains("pintle.service:"), "{said}");
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
fn a_worker_s_pod_has_no_privilege() {
    let yaml = printed(&[
        "static-pod",
        "--set=role=proxy",
        "--set=balancer.backends=192.0.2.11:6443",
        "--set=balancer.listen=7443",
        // The default of this role, and the other role's.
        "--kubeconfig=/etc/kubernetes/kubelet.conf",
    ]);
    assert!(yaml.contains("to https://127.0.0.1:7443 "), "{yaml}");
    let pod: Value = serde_yaml::from_str(&yaml).unwrap();
    let spec = &pod["spec"];
    assert_eq!(
        (&spec["hostNetwork"], &spec["automountServiceAccountToken"]),
        (&true.into(), &false.into())
    );
    let container = &spec["containers"][0];
    assert_eq!(
        container["securityContext"],
        serde_json::json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        })
    );
    assert_eq!(
        container["args"],
        serde_json::json!([
            "run",
            "--set=role=proxy",
            "--set=balancer.listen=7443",
            "--set=balancer.backends=192.0.2.11:6443",
        ])
    );
    let mounts = container["volumeMounts"].as_array().unwrap();
    assert!(mounts.iter().all(|mount| mount["readOnly"] == true));
    let paths: Vec<&str> =
        mounts.iter().map(|mount| mount["mountPath"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/etc/kubernetes", "/etc/kubernetes/pki", "/var/lib/kubelet/pki"]);
    // What `run` gets is the default again: 6444 is the other role's.
    let other = printed(&[
        "static-pod",
        "--set=role=proxy",
        "--set=balancer.backends=192.0.2.11:6443",
        "--set=balancer.listen=6444",
    ]);
    assert!(other.contains("--set=balancer.listen=6444"), "{other}");
}

#[test]
fn what_a_worker_has_no_use_for_is_not_printed() {
    let worker = ["--set=role=proxy", "--set=balancer.backends=192.0.2.11:6443"];
    let cases: &[(&[&str], &str)] = &[
        (&["static-pod", "--vip=192.0.2.10"], "vips: a worker's proxy has no VIP"),
        (&["static-pod", "--distribution=k3s"], "have a load balancer of their own"),
        (&["static-pod", "--kubeconfig="], "a static pod has no service account"),
        (&["daemonset"], "role: a proxy has no place here"),
        (&["flow-schema"], "role: a proxy has no place here"),
    ];
    for (arguments, expected) in cases {
        let output = printing(&[*arguments, &worker].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(64), 0), "{said}");
        assert!(said.contains(expected), "{said}");
    }
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
            "--set=balancer.enabled=true",
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
fn the_balancer_is_one_flag_away() {
    let pod = pod(&["--vip=192.0.2.10", "--set=balancer.enabled=false"]);
    assert!(!pod["spec"]["containers"][0]["args"].to_string().contains("balancer"), "{pod}");
}

#[test]
fn another_front_door_s_files_are_settings_and_comments() {
    let directory = tempfile::tempdir().unwrap();
    let keepalived = directory.path().join("keepalived.conf");
    let text = "vrrp_instance a {\n interface eth0\n notify /x.sh\n virtual_ipaddress {\n 192.0.2.10/24\n }\n}\n";
    fs::write(&keepalived, text).unwrap();
    let keepalived = keepalived.to_str().unwrap();
    let output = pintle(&["--from", keepalived, "--interface=eth1"]);
    assert_eq!(output.status.code(), Some(0));
    let yaml = String::from_utf8(output.stdout).unwrap();
    let comment = format!("# {keepalived}:2: interface eth0 -> interface: eth0\n");
    assert!(yaml.contains(&comment), "{yaml}");
    let pod: Value = serde_yaml::from_str(&yaml).unwrap();
    assert_eq!(
        pod["spec"]["containers"][0]["args"],
        serde_json::json!([
            "run",
            "--vip=192.0.2.10",
            "--interface=eth1",
            "--set=balancer.enabled=true"
        ]),
        "a flag wins"
    );
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with(&format!("pintle: {keepalived}:3: notify: no scripts are run")),
        "{said}"
    );

    let output = pintle(&["--from", "/nowhere.conf", keepalived]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(64), 0), "{said}");
    assert!(said.contains("--from: /nowhere.conf: does not exist"), "{said}");
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
