//! A manifest of kube-vip's: the variables and the arguments of its container.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Foreign, Migration};
use crate::kube_vip::{flags, translate};

/// An object of kube-vip's is a page long; this bounds what a wrong file can cost.
const LARGEST: usize = 1 << 20;

pub(super) fn read(migration: &mut Migration, file: &Foreign) -> Result<(), Vec<String>> {
    if file.text.len() > LARGEST {
        return Err(vec!["is larger than 1 MiB".to_owned()]);
    }
    let objects: Vec<Value> = serde_yaml::from_multiple(&file.text)
        .map_err(|error| vec![first_line(&error.to_string())])?;
    let container = objects.iter().find_map(container);
    let container = container.ok_or_else(|| vec!["has no container of kube-vip's".to_owned()])?;
    let words = |list: &Value| -> Vec<String> {
        let words = list.as_array().into_iter().flatten().filter_map(Value::as_str);
        words.filter(|word| *word != "manager").map(str::to_owned).collect()
    };
    let (mut variables, warnings) = flags(&words(&container["args"]));
    migration.warnings.extend(warnings);
    variables.extend(literal_variables(container));
    let translation = translate(&variables);
    if !translation.refusals.is_empty() {
        return Err(translation.refusals);
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

/// The container with kube-vip's variables, of a Pod or of what makes pods.
fn container(object: &Value) -> Option<&Value> {
    let spec = match object["kind"].as_str()? {
        "Pod" => &object["spec"],
        _ => &object["spec"]["template"]["spec"],
    };
    let is_its = |container: &&Value| {
        let names = container["env"].as_array().into_iter().flatten();
        let names = || names.clone().filter_map(|variable| variable["name"].as_str());
        let image = container["image"].as_str().unwrap_or_default();
        image.contains("kube-vip") || names().any(|name| matches!(name, "vip_arp" | "cp_enable"))
    };
    spec["containers"].as_array()?.iter().find(is_its)
}

/// Those with a value; what comes from a field is the pod's own.
fn literal_variables(container: &Value) -> BTreeMap<String, String> {
    let variables = container["env"].as_array().into_iter().flatten();
    let literal = variables.filter_map(|variable| {
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
