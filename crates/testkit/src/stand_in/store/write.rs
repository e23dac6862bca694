//! What POST and PUT do to the state: kube-apiserver's order of checks, and its generic registry's
//! create-on-update, which Leases have.

use std::sync::Arc;

use serde_json::Value;

use super::state::{self, State};
use crate::stand_in::lease;
use crate::stand_in::resource::{Resource, Target};
use crate::stand_in::status::{ApiStatus, FieldError};

pub(super) fn create(
    state: &mut State,
    target: &Target,
    mut object: Value,
) -> Result<Arc<Value>, ApiStatus> {
    let resource = target.resource;
    if !state.has_namespace(&target.namespace) {
        return Err(ApiStatus::namespace_not_found(&target.namespace));
    }
    let metadata = &mut object["metadata"];
    metadata["namespace"] = target.namespace.as_str().into();
    // The server names and dates what it creates, whatever the client says.
    for filled in ["uid", "creationTimestamp", "resourceVersion"] {
        metadata.as_object_mut().map(|map| map.remove(filled));
    }
    if metadata["name"].is_null() {
        if let Some(prefix) = metadata["generateName"].as_str() {
            metadata["name"] = format!("{prefix}{}", state::random_suffix()).into();
        } else if let Some(map) = metadata.as_object_mut() {
            map.remove("name");
        }
    }
    let name = text(&object["metadata"], "name").to_owned();
    check_valid(resource, &name, &object)?;
    let located = Target { name: Some(name.clone()), ..target.clone() };
    if state.get(&located).is_some() {
        return Err(ApiStatus::already_exists(resource, &name));
    }
    Ok(state.put(&located, &name, object))
}

pub(super) fn replace(
    state: &mut State,
    target: &Target,
    stored: &Arc<Value>,
    mut object: Value,
) -> Result<Arc<Value>, ApiStatus> {
    let name = target.name.as_deref().unwrap_or_default();
    for kept in ["uid", "creationTimestamp", "namespace", "resourceVersion"] {
        object["metadata"][kept] = stored["metadata"][kept].clone();
    }
    check_valid(target.resource, name, &object)?;
    // A PUT that changes nothing writes nothing: no revision, no event.
    if object == **stored {
        return Ok(Arc::clone(stored));
    }
    Ok(state.put(target, name, object))
}

/// The preconditions come first: a wrong uid is a conflict even where nothing is stored.
pub(super) fn check_uid(
    target: &Target,
    stored: Option<&Value>,
    object: &Value,
) -> Result<(), ApiStatus> {
    let wanted = text(&object["metadata"], "uid");
    let found = stored.map(|stored| text(&stored["metadata"], "uid")).unwrap_or_default();
    if wanted.is_empty() || wanted == found {
        return Ok(());
    }
    let name = target.name.as_deref().unwrap_or_default();
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{}/{}/{name}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}",
        target.resource.plural(),
        target.namespace,
    );
    Err(ApiStatus::conflict(target.resource, name, &why))
}

/// A Lease has no unconditional update.
pub(super) fn check_version(
    target: &Target,
    stored: &Value,
    version: u64,
) -> Result<(), ApiStatus> {
    let (resource, name) = (target.resource, target.name.as_deref().unwrap_or_default());
    if version == 0 {
        let error = FieldError::invalid(
            "metadata.resourceVersion",
            &0.into(),
            "must be specified for an update",
        );
        return Err(ApiStatus::invalid(resource, resource.plural(), name, &[error]));
    }
    if lease::resource_version(stored)? == version {
        return Ok(());
    }
    let why = "the object has been modified; please apply your changes to the latest version and try again";
    Err(ApiStatus::conflict(resource, name, why))
}

fn check_valid(resource: Resource, name: &str, object: &Value) -> Result<(), ApiStatus> {
    let errors = match resource {
        Resource::Lease => lease::validate(object),
        Resource::CoreEvent => misplaced_event(object, "involvedObject"),
        Resource::Event => misplaced_event(object, "regarding"),
        Resource::EndpointSlice | Resource::Endpoints => Vec::new(),
    };
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiStatus::invalid(resource, resource.kind(), name, &errors))
}

/// An Event lives in the namespace of what it is about.
fn misplaced_event(event: &Value, about: &str) -> Vec<FieldError> {
    let namespace = &event[about]["namespace"];
    if namespace.is_null() || *namespace == event["metadata"]["namespace"] {
        return Vec::new();
    }
    let field = "involvedObject.namespace";
    vec![FieldError::invalid(field, namespace, "does not match event.namespace")]
}

pub(super) fn text<'a>(map: &'a Value, key: &str) -> &'a str {
    map[key].as_str().unwrap_or_default()
}
