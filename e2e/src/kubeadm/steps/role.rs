//! The chart's role: every verb in it is used, nothing else is asked for, and without any one of them
//! something is refused. Read from the API servers' audit logs.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::chart::{INSTANCE, chart_is_well};
use crate::bed::HOSTS;
use crate::kubeadm::bench::{Bench, wait};
use crate::kubeadm::cluster::Cluster;
use crate::kubeadm::files::{AUDIT_LOG, CHART_USER};
use crate::kubeadm::look::{SOON, flow_schema_is_used};
use crate::say::say;

/// One thing that may be done: `GROUP/RESOURCE VERB`.
type Right = String;

/// What the pods do in the course of a life is what they may do.
pub(super) fn is_what_is_used(bench: &mut Bench) -> Result<()> {
    begin_anew(&bench.cluster)?;
    let granted: BTreeSet<Right> = rights(&roles(&bench.cluster)?);
    let look = || {
        let (used, refused) = asked(&bench.cluster)?;
        ensure!(refused.is_empty(), "refused: {refused:?}");
        ensure!(used == granted, "granted {granted:?}, used {used:?}");
        Ok(())
    };
    wait(SOON, "every right is used", look)?;
    bench.note("rights of the chart's role, each of them used", granted.len());
    flow_schema_is_used(&bench.cluster, "kube-system-pintle")?;
    chart_is_well(bench)
}

/// One verb after the other is taken away, and missed.
pub(super) fn is_minimal(bench: &mut Bench) -> Result<()> {
    let roles = roles(&bench.cluster)?;
    let granted = rights(&roles);
    for right in &granted {
        let without: Vec<Value> = roles.iter().map(|role| without(role, right)).collect();
        apply(&bench.cluster, &without)?;
        begin_anew(&bench.cluster)?;
        let look = || {
            let (_used, refused) = asked(&bench.cluster)?;
            ensure!(refused.contains(right), "refused: {refused:?}");
            Ok(())
        };
        let ((), took) = wait(SOON, "the right is missed", look).with_context(|| right.clone())?;
        say(format!("    without {right}: refused after {:.1} s", took.as_secs_f64()));
        apply(&bench.cluster, &roles)?;
    }
    begin_anew(&bench.cluster)?;
    bench.note("rights of the chart's role, each of them missed", granted.len());
    chart_is_well(bench)
}

/// Empties the audit logs, and lets the pods begin without a Lease.
fn begin_anew(cluster: &Cluster) -> Result<()> {
    for host in 0..HOSTS {
        cluster.host(host).run(&["truncate", "--size=0", AUDIT_LOG])?;
    }
    // The VIP may be gone: the local API server is asked.
    let pods = ["delete", "pod", "-n", "kube-system", INSTANCE, "--wait=false"];
    cluster.kubectl_local(0, &pods)?;
    let lease = ["delete", "lease", "-n", "kube-system", "pintle", "--ignore-not-found"];
    cluster.kubectl_local(0, &lease).map(drop)
}

/// What the chart's pods asked for, and what of it they were refused.
fn asked(cluster: &Cluster) -> Result<(BTreeSet<Right>, BTreeSet<Right>)> {
    let (mut used, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for host in 0..HOSTS {
        let log = cluster.host(host).run(&["cat", AUDIT_LOG])?;
        // The last line may be half written.
        let entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        for entry in entries.filter(|entry| entry["user"]["username"] == CHART_USER) {
            let object = &entry["objectRef"];
            let right =
                right(text(&object["apiGroup"]), text(&object["resource"]), text(&entry["verb"]));
            if entry["responseStatus"]["code"] == 403 {
                refused.insert(right.clone());
            }
            used.insert(right);
        }
    }
    Ok((used, refused))
}

fn roles(cluster: &Cluster) -> Result<Vec<Value>> {
    let list = ["get", "role", "-A", INSTANCE, "-o", "json"];
    let mut list: Value = serde_json::from_str(&cluster.kubectl_local(0, &list)?)?;
    let roles = list["items"].as_array_mut().context("no list of roles")?;
    for role in roles.iter_mut() {
        // With the revision that was read, a second change would be refused.
        if let Some(metadata) = role["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
        }
    }
    Ok(std::mem::take(roles))
}

fn apply(cluster: &Cluster, roles: &[Value]) -> Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": roles});
    std::fs::write(cluster.host(0).files().join("roles.json"), list.to_string())?;
    let replace = ["replace", "-f", "/mnt/roles.json"];
    cluster.kubectl_local(0, &replace).map(drop)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn right(group: &str, resource: &str, verb: &str) -> Right {
    format!("{group}/{resource} {verb}")
}

/// Every right of the rules, whatever names they are bound to.
fn rights(roles: &[Value]) -> BTreeSet<Right> {
    let rules = roles.iter().flat_map(|role| items(&role["rules"]));
    rules.flat_map(of_rule).collect()
}

fn of_rule(rule: &Value) -> Vec<Right> {
    let (group, resource) = (text(&rule["apiGroups"][0]), text(&rule["resources"][0]));
    items(&rule["verbs"]).map(|verb| right(group, resource, text(verb))).collect()
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// The role without one right.
fn without(role: &Value, missing: &Right) -> Value {
    let mut role = role.clone();
    for rule in role["rules"].as_array_mut().into_iter().flatten() {
        let (group, resource) =
            (text(&rule["apiGroups"][0]).to_owned(), text(&rule["resources"][0]).to_owned());
        if let Some(verbs) = rule["verbs"].as_array_mut() {
            verbs.retain(|verb| right(&group, &resource, text(verb)) != *missing);
        }
    }
    // A rule without verbs is refused by the API.
    if let Some(rules) = role["rules"].as_array_mut() {
        rules.retain(|rule| items(&rule["verbs"]).next().is_some());
    }
    role
}
