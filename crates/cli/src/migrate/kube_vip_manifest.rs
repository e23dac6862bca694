//! A manifest of kube-vip's: the variables and the arguments of its container.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Foreign, Migration};
use crate::kube_vip::{ADMIN, Flags, flags, translate};

/// An object of kube-vip's is a page long; this bounds what a wrong file can cost.
const LARGEST: usize = 1 << 20;

pub(super) fn read(migration: &mut Migration, file: &Foreign) -> Result<(), Vec<String>> {
    if file.text.len() > LARGEST {
        return Err(vec!["is larger than 1 MiB".to_owned()]);
    }
    let objects: Vec<Value> = serde_yaml::from_multiple(&file.text)
        .map_err(|error| vec![first_line(&error.to_string())])?;
    let pod = objects.iter().find_map(pod);
    let (spec, container) = pod.ok_or_else(|| vec!["has no container of kube-vip's".to_owned()])?;
    let words = |list: &Value| -> Vec<String> {
        let words = list.as_array().into_iter().flatten().filter_map(Value::as_str);
        words.filter(|word| *word != "manager").map(str::to_owned).collect()
    };
    let Flags { mut variables, warnings, mut refusals } = flags(&words(&container["args"]));
    migration.warnings.extend(warnings);
    refusals.extend(from_elsewhere(container));
    variables.extend(literal_variables(container));
    // The path is the container's, and pintle's own defaults find kubeadm's files by themselves.
    let inside = variables.remove("k8s_config_file").unwrap_or_else(|| ADMIN.to_owned());
    let kubeconfig = on_the_host(spec, container, &inside);
    let translation = translate(&variables);
    refusals.extend(translation.refusals);
    if !refusals.is_empty() {
        return Err(refusals);
    }
    if let Some(path) = kubeconfig.filter(|path| !path.starts_with("/etc/kubernetes/")) {
        migration.set(&file.name, &inside, "apiserver.kubeconfigs", &path);
    }
    for argument in translation.arguments {
        // The pod learns its node from the kubelet.
        if argument.key == "node" {
            migration.note(&file.name, &argument.flag, "the pod's own, from the kubelet");
            continue;
        }
        for value in argument.values.iter().flat_map(|value| value.split(',')) {
            migration.set(&file.name, &argument.flag, &argument.key, value.trim());
        }
    }
    for warning in &translation.warnings {
        migration.notes.push(format!("{}: {warning}", file.name));
    }
    migration.warnings.extend(translation.warnings);
    migration.notes.push(format!(
        "{}: while kube-vip runs on other nodes, both keep to the same Lease and its times; when none is \
         left, `pintle manifest static-pod --vip …` has pintle's own, with a failover in 2.5 s",
        file.name
    ));
    Ok(())
}

/// The pod's specification and kube-vip's container in it, of a Pod or of what makes pods.
fn pod(object: &Value) -> Option<(&Value, &Value)> {
    let spec = match object["kind"].as_str()? {
        "Pod" => &object["spec"],
        _ => &object["spec"]["template"]["spec"],
    };
    let is_its = |container: &&Value| {
        let names = items(&container["env"]).filter_map(|variable| variable["name"].as_str());
        let image = container["image"].as_str().unwrap_or_default();
        image.contains("kube-vip")
            || names.into_iter().any(|name| matches!(name, "vip_arp" | "cp_enable"))
    };
    items(&spec["containers"]).find(is_its).map(|container| (spec, container))
}

/// Values that are somewhere else: what they set would be lost. The node's name is the pod's own.
fn from_elsewhere(container: &Value) -> Vec<String> {
    let variables = items(&container["env"]).filter(|variable| !variable["valueFrom"].is_null());
    let names = variables.filter_map(|variable| variable["name"].as_str());
    let lost = names
        .filter(|name| *name != "vip_nodename")
        .map(|name| format!("{name} has its value from somewhere else: write it into the file"));
    let whole = items(&container["envFrom"])
        .map(|_| "envFrom: the variables are somewhere else: write them into the file".to_owned());
    lost.chain(whole).collect()
}

/// What a path of the container is on its host, by the mounts of single files and of directories.
fn on_the_host(spec: &Value, container: &Value, path: &str) -> Option<String> {
    items(&container["volumeMounts"]).find_map(|mount| {
        let rest = path.strip_prefix(mount["mountPath"].as_str()?)?;
        let volume = items(&spec["volumes"]).find(|volume| volume["name"] == mount["name"])?;
        let host = volume["hostPath"]["path"].as_str()?;
        (rest.is_empty() || rest.starts_with('/')).then(|| format!("{host}{rest}"))
    })
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Those with a value; what comes from a field is the pod's own.
fn literal_variables(container: &Value) -> BTreeMap<String, String> {
    let literal = items(&container["env"]).filter_map(|variable| {
        let value = match &variable["value"] {
            Value::String(text) => text.clone(),
            Value::Null => return None,
            other => other.to_string(),
        };
        Some((variable["name"].as_str()?.to_owned(), value))
    });
    literal.collect()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
