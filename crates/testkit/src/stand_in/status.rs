//! Status objects in kube-apiserver's words. The texts are the real server's: clients match on them.

use serde_json::{Value, json};

use super::resource::{Resource, Target};

/// An answer that is no object: its HTTP status and its Status object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiStatus {
    pub(super) code: u16,
    pub(super) body: Value,
}

/// One mistake in an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldError {
    pub(super) field: String,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

// === impl ApiStatus ===

impl ApiStatus {
    pub(super) fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message.into(), "code": code,
        });
        if !reason.is_empty() {
            body["reason"] = reason.into();
        }
        Self { code, body }
    }

    fn with_details(mut self, details: Value) -> Self {
        self.body["details"] = details;
        self
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    pub(super) fn not_found(resource: Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.qualified());
        Self::new(404, "NotFound", message).with_details(details(resource, name))
    }

    pub(super) fn namespace_not_found(name: &str) -> Self {
        Self::new(404, "NotFound", format!("namespaces \"{name}\" not found"))
            .with_details(json!({"name": name, "kind": "namespaces"}))
    }

    pub(super) fn unknown_resource() -> Self {
        let message = "the server could not find the requested resource";
        Self::new(404, "NotFound", message).with_details(json!({}))
    }

    pub(super) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message).with_details(json!({}))
    }

    pub(super) fn already_exists(resource: Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.qualified());
        Self::new(409, "AlreadyExists", message).with_details(details(resource, name))
    }

    pub(super) fn conflict(resource: Resource, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified());
        Self::new(409, "Conflict", message).with_details(details(resource, name))
    }

    /// A precondition of a DELETE that does not hold; it names the kind where others name the plural.
    pub(super) fn delete_conflict(resource: Resource, name: &str, why: &str) -> Self {
        let kind = resource.qualified_kind();
        let message = format!("Operation cannot be fulfilled on {kind} \"{name}\": {why}");
        let mut details = details(resource, name);
        details["kind"] = resource.kind().into();
        Self::new(409, "Conflict", message).with_details(details)
    }

    /// An invalid object. `kind` is the kind, or the plural where the server has only that.
    pub(super) fn invalid(
        resource: Resource,
        kind: &str,
        name: &str,
        errors: &[FieldError],
    ) -> Self {
        let texts: Vec<String> =
            errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
        let text = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let causes: Vec<Value> = errors
            .iter()
            .map(|error| json!({"reason": error.reason, "message": error.message, "field": error.field}))
            .collect();
        let qualified = match resource.group() {
            "" => kind.to_owned(),
            group => format!("{kind}.{group}"),
        };
        let mut details = details(resource, name);
        details["kind"] = kind.into();
        details["causes"] = causes.into();
        Self::new(422, "Invalid", format!("{qualified} \"{name}\" is invalid: {text}"))
            .with_details(details)
    }

    pub(super) fn unauthorised() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(super) fn forbidden(target: &Target, name: Option<&str>, user: &str, verb: &str) -> Self {
        let (resource, namespace) = (target.resource, &target.namespace);
        let quoted = name.map(|name| format!(" \"{name}\"")).unwrap_or_default();
        let message = format!(
            "{}{quoted} is forbidden: User \"{user}\" cannot {verb} resource \"{}\" in API group \"{}\" in the namespace \"{namespace}\"",
            resource.qualified(),
            resource.plural(),
            resource.group(),
        );
        Self::new(403, "Forbidden", message)
            .with_details(details(resource, name.unwrap_or_default()))
    }

    pub(super) fn forbidden_path(path: &str, user: &str) -> Self {
        let message = format!("forbidden: User \"{user}\" cannot get path \"{path}\"");
        Self::new(403, "Forbidden", message).with_details(json!({}))
    }

    pub(super) fn expired(asked: u64, current: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({current})"))
    }

    /// What a test asked for by its HTTP status alone.
    pub(super) fn of_code(code: u16) -> Self {
        let (reason, message) = match code {
            400 => ("BadRequest", "the server rejected our request for an unknown reason"),
            401 => return Self::unauthorised(),
            403 => ("Forbidden", "forbidden"),
            404 => ("NotFound", "the server could not find the requested resource"),
            409 => ("Conflict", "the server reported a conflict"),
            410 => ("Expired", "The provided continue parameter is too old"),
            422 => ("Invalid", "the server rejected our request due to an error in our request"),
            429 => ("TooManyRequests", "too many requests, please try again later"),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
            504 => (
                "Timeout",
                "Timeout: request did not complete within requested timeout - context deadline exceeded",
            ),
            _ => ("InternalError", "Internal error occurred"),
        };
        Self::new(code, reason, message)
    }
}

// === impl FieldError ===

impl FieldError {
    pub(super) fn invalid(field: &str, value: &Value, detail: &str) -> Self {
        let message = format!("Invalid value: {value}: {detail}");
        Self { field: field.to_owned(), reason: "FieldValueInvalid", message }
    }

    pub(super) fn required(field: &str, detail: &str) -> Self {
        let message = format!("Required value: {detail}");
        Self { field: field.to_owned(), reason: "FieldValueRequired", message }
    }
}

fn details(resource: Resource, name: &str) -> Value {
    let mut details = json!({"kind": resource.plural()});
    if !name.is_empty() {
        details["name"] = name.into();
    }
    if !resource.group().is_empty() {
        details["group"] = resource.group().into();
    }
    details
}
