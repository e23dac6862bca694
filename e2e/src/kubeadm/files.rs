//! The files that a host brings with it: configuration of containerd, of the pod network and of kubeadm.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

/// Not a secret: the cluster lives for minutes, in namespaces of this machine.
const TOKEN: &str = "abcdef.0123456789abcdef";
const CERTIFICATE_KEY: &str = "e6a2eb8581237ab72a4f494f30285ec12a9694d750b9785706a83bfcbbbd2204";

const CRI_SOCKET: &str = "unix:///run/containerd/containerd.sock";

/// `pause` is of `registry.k8s.io`, as kubeadm wants it. Without CAP_SYS_RESOURCE nobody may lower an
/// OOM score, and the test hosts share this machine's AppArmor.
pub(super) const CONTAINERD: &str = r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
restrict_oom_score_adj = true
disable_apparmor = true
sandbox_image = "registry.k8s.io/pause:3.10.1"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "/etc/cni/net.d"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"#;

/// Enough for nodes to be Ready, and for pods of one host to reach it.
pub(super) fn pod_network(host: usize) -> String {
    let ipam = json!({
        "type": "host-local",
        "ranges": [[{"subnet": format!("10.244.{}.0/24", host + 1)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    });
    let plugins = json!([{"type": "ptp", "ipam": ipam}]);
    json!({"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}).to_string()
}

/// Where every API server writes what the chart's pods asked for.
pub(super) const AUDIT_LOG: &str = "/var/log/audit/audit.log";

/// Who the chart's pods are to the API.
pub(super) const CHART_USER: &str = "system:serviceaccount:kube-system:pintle";

/// Nothing is written down but what the chart's pods asked for.
pub(super) fn audit_policy() -> String {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata", "users": [CHART_USER]}, {"level": "None"}],
    })
    .to_string()
}

fn node_registration(name: &str) -> Value {
    json!({"name": name, "criSocket": CRI_SOCKET, "imagePullPolicy": "Never"})
}

/// JSON is YAML. What a user would write but for the kubelet's settings, which this machine needs.
pub(super) fn init(name: &str, address: Ipv4Addr, vip: Ipv4Addr, version: &str) -> String {
    let documents = [
        json!({
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "InitConfiguration",
            "localAPIEndpoint": {"advertiseAddress": address},
            "nodeRegistration": node_registration(name),
            "bootstrapTokens": [{"token": TOKEN, "ttl": "1h0m0s"}],
            "certificateKey": CERTIFICATE_KEY,
        }),
        json!({
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "ClusterConfiguration",
            "kubernetesVersion": version,
            "controlPlaneEndpoint": format!("{vip}:6443"),
            "networking": {"podSubnet": "10.244.0.0/16"},
            "apiServer": {
                "extraArgs": [
                    {"name": "audit-policy-file", "value": "/etc/kubernetes/audit.json"},
                    {"name": "audit-log-path", "value": AUDIT_LOG},
                ],
                "extraVolumes": [
                    {
                        "name": "audit-policy", "hostPath": "/mnt/audit.json", "pathType": "File",
                        "mountPath": "/etc/kubernetes/audit.json", "readOnly": true,
                    },
                    {
                        "name": "audit-log", "hostPath": "/var/log/audit",
                        "mountPath": "/var/log/audit", "pathType": "DirectoryOrCreate",
                    },
                ],
            },
        }),
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "failCgroupV1": false,
            "cgroupDriver": "cgroupfs",
            "failSwapOn": false,
            "containerRuntimeEndpoint": CRI_SOCKET,
            // The disk is this machine's, and however full it is not the test's business.
            "evictionHard": {
                "memory.available": "0%", "nodefs.available": "0%",
                "nodefs.inodesFree": "0%", "imagefs.available": "0%",
            },
        }),
    ];
    documents.map(|document| document.to_string()).join("\n---\n")
}

/// For `kubeadm join --control-plane`.
pub(super) fn join(name: &str, address: Ipv4Addr, vip: Ipv4Addr) -> String {
    json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "JoinConfiguration",
        "discovery": {"bootstrapToken": {
            "apiServerEndpoint": format!("{vip}:6443"),
            "token": TOKEN,
            "unsafeSkipCAVerification": true,
        }},
        "controlPlane": {
            "localAPIEndpoint": {"advertiseAddress": address},
            "certificateKey": CERTIFICATE_KEY,
        },
        "nodeRegistration": node_registration(name),
    })
    .to_string()
}
