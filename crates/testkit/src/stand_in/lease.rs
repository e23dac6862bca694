//! Objects as they come in: decoding with kube-apiserver's types, and validation of a Lease.
//!
//! Decoding drops what the server's types do not have, so that a field the real server would not
//! keep is not kept here either; annotations and labels are kept whatever they are called.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::resource::{Resource, Target};
use super::status::{ApiStatus, FieldError};

/// All annotations of an object together: apimachinery's `TotalAnnotationSizeLimitB`.
const MAX_ANNOTATION_BYTES: usize = 256 * 1024;

/// A DNS subdomain: RFC 1123's limit, and kube-apiserver's for names.
const MAX_NAME_BYTES: usize = 253;

const NAME_RULE: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

const METADATA_TEXTS: [&str; 6] =
    ["name", "generateName", "namespace", "uid", "resourceVersion", "creationTimestamp"];
const METADATA_MAPS: [&str; 2] = ["labels", "annotations"];
const SPEC_NUMBERS: [&str; 2] = ["leaseDurationSeconds", "leaseTransitions"];
const SPEC_TIMES: [&str; 2] = ["acquireTime", "renewTime"];

/// Decodes the body of a POST or PUT into the object that would be stored, without the fields that
/// the server fills in. `preferredHolder` and `strategy` go: their feature gate is off by default.
pub(super) fn decode(body: &[u8], target: &Target) -> Result<Value, ApiStatus> {
    let resource = target.resource;
    let kind = resource.kind();
    let Value::Object(mut object) = parse(body, kind)? else {
        let message = format!(
            "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: json: cannot unmarshal into Go value"
        );
        return Err(ApiStatus::bad_request(message));
    };
    check_kind(&object, resource)?;
    let metadata = metadata(object.remove("metadata").unwrap_or_default(), kind)?;
    check_location(&metadata, target)?;
    let spec = object.remove("spec");
    // Events have no spec, and their fields are of no concern here: kept as they came.
    let mut decoded = if resource == Resource::Lease { Map::new() } else { object };
    decoded.insert("apiVersion".to_owned(), resource.api_version().into());
    decoded.insert("kind".to_owned(), kind.into());
    decoded.insert("metadata".to_owned(), metadata.into());
    if resource == Resource::Lease {
        decoded.insert("spec".to_owned(), lease_spec(spec.unwrap_or_default())?.into());
    }
    Ok(decoded.into())
}

/// Lists every mistake that kube-apiserver would find in a Lease about to be stored.
pub(super) fn validate(lease: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let metadata = &lease["metadata"];
    match metadata["name"].as_str().unwrap_or_default() {
        "" => errors.push(FieldError::required("metadata.name", "name or generateName is required")),
        name if !is_dns_subdomain(name) => errors.push(FieldError::invalid(
            "metadata.name",
            &metadata["name"],
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        )),
        _ => {}
    }
    validate_labels(metadata["labels"].as_object(), &mut errors);
    validate_annotations(metadata["annotations"].as_object(), &mut errors);
    let spec = &lease["spec"];
    if spec["leaseDurationSeconds"].as_i64().is_some_and(|seconds| seconds <= 0) {
        let value = &spec["leaseDurationSeconds"];
        errors.push(FieldError::invalid(
            "spec.leaseDurationSeconds",
            value,
            "must be greater than 0",
        ));
    }
    if spec["leaseTransitions"].as_i64().is_some_and(|count| count < 0) {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(
            "spec.leaseTransitions",
            &spec["leaseTransitions"],
            detail,
        ));
    }
    errors
}

/// Reads `metadata.resourceVersion`; 0 when there is none.
pub(super) fn resource_version(object: &Value) -> Result<u64, ApiStatus> {
    match object["metadata"]["resourceVersion"].as_str().unwrap_or_default() {
        "" => Ok(0),
        text => text.parse().map_err(|_| {
            ApiStatus::internal(format!("strconv.ParseUint: parsing {text:?}: invalid syntax"))
        }),
    }
}

fn parse(body: &[u8], kind: &str) -> Result<Value, ApiStatus> {
    serde_json::from_slice(body).map_err(|error| {
        let shown = if body.is_empty() { "<empty>".into() } else { String::from_utf8_lossy(body) };
        // The real server quotes the whole body; the first line's worth is enough to find it.
        let shown: String = shown.chars().take(80).collect();
        ApiStatus::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: {error} ({shown})"
        ))
    })
}

/// A body may leave out what it is: the path says it.
fn check_kind(object: &Map<String, Value>, resource: Resource) -> Result<(), ApiStatus> {
    let given = |key: &str, default: &str| {
        object
            .get(key)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .unwrap_or(default)
            .to_owned()
    };
    let (kind, api_version) =
        (given("kind", resource.kind()), given("apiVersion", &resource.api_version()));
    if kind == resource.kind() && api_version == resource.api_version() {
        return Ok(());
    }
    let reason = format!(
        "no kind {kind:?} is registered for version {api_version:?} in scheme \"pkg/runtime/scheme.go:111\""
    );
    Err(unfit(&kind, resource.kind(), &reason))
}

fn check_location(metadata: &Map<String, Value>, target: &Target) -> Result<(), ApiStatus> {
    let text = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or_default();
    let (name, namespace) = (text("name"), text("namespace"));
    if let Some(expected) = &target.name {
        if name.is_empty() {
            return Err(ApiStatus::bad_request(format!(
                "the name of the object ({expected} based on URL) was undeterminable: name must be provided"
            )));
        }
        if name != expected {
            return Err(ApiStatus::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({expected})"
            )));
        }
    }
    if !namespace.is_empty() && namespace != target.namespace {
        return Err(ApiStatus::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

fn metadata(value: Value, kind: &str) -> Result<Map<String, Value>, ApiStatus> {
    let mut given = match value {
        Value::Object(map) => map,
        Value::Null => Map::new(),
        other => return Err(wrong_type(kind, &other, "metadata", "v1.ObjectMeta")),
    };
    let mut metadata = Map::new();
    for key in METADATA_TEXTS {
        match given.remove(key) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if text.is_empty() => {}
            Some(Value::String(text)) => drop(metadata.insert(key.to_owned(), text.into())),
            Some(other) => {
                return Err(wrong_type(
                    kind,
                    &other,
                    &format!("ObjectMeta.metadata.{key}"),
                    "string",
                ));
            }
        }
    }
    for key in METADATA_MAPS {
        let map = match given.remove(key) {
            None | Some(Value::Null) => continue,
            Some(Value::Object(map)) => map,
            Some(other) => {
                return Err(wrong_type(
                    kind,
                    &other,
                    &format!("ObjectMeta.metadata.{key}"),
                    "map[string]string",
                ));
            }
        };
        if let Some(other) = map.values().find(|value| !value.is_string()) {
            return Err(wrong_type(kind, other, &format!("ObjectMeta.metadata.{key}"), "string"));
        }
        if !map.is_empty() {
            metadata.insert(key.to_owned(), map.into());
        }
    }
    Ok(metadata)
}

fn lease_spec(value: Value) -> Result<Map<String, Value>, ApiStatus> {
    let mut given = match value {
        Value::Object(map) => map,
        Value::Null => Map::new(),
        other => return Err(wrong_type("Lease", &other, "Lease.spec", "v1.LeaseSpec")),
    };
    let mut spec = Map::new();
    let field = |key: &str| format!("LeaseSpec.spec.{key}");
    match given.remove("holderIdentity").unwrap_or_default() {
        Value::Null => {}
        Value::String(holder) => drop(spec.insert("holderIdentity".to_owned(), holder.into())),
        other => {
            return Err(wrong_type("Lease", &other, &field("holderIdentity"), "string"));
        }
    }
    for key in SPEC_NUMBERS {
        let value = given.remove(key).unwrap_or_default();
        if value.is_null() {
            continue;
        }
        let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
        let number = number.ok_or_else(|| wrong_type("Lease", &value, &field(key), "int32"))?;
        spec.insert(key.to_owned(), number.into());
    }
    for key in SPEC_TIMES {
        match given.remove(key).unwrap_or_default() {
            Value::Null => {}
            Value::String(text) => {
                let time = micro_time(&text).ok_or_else(|| {
                    let reason = format!(
                        "parsing time {text:?} as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse {text:?} as \"2006\""
                    );
                    unfit("Lease", "Lease", &reason)
                })?;
                spec.insert(key.to_owned(), time.into());
            }
            other => return Err(wrong_type("Lease", &other, &field(key), "string")),
        }
    }
    Ok(spec)
}

/// Reads a `MicroTime`: exactly six digits of a second, `Z` or an offset; written back in UTC.
fn micro_time(text: &str) -> Option<String> {
    let (date, rest) = text.split_at_checked(20)?;
    let (fraction, zone) = rest.split_at_checked(6)?;
    let has_shape = date
        .bytes()
        .zip("0000-00-00T00:00:00.".bytes())
        .all(|(byte, model)| if model == b'0' { byte.is_ascii_digit() } else { byte == model })
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
        && (zone == "Z" || (zone.len() == 6 && zone.starts_with(['+', '-'])));
    let time: Timestamp = has_shape.then(|| text.parse().ok()).flatten()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
}

fn validate_labels(labels: Option<&Map<String, Value>>, errors: &mut Vec<FieldError>) {
    for (key, value) in labels.into_iter().flatten() {
        if !is_qualified_name(key) {
            errors.push(FieldError::invalid("metadata.labels", &key.as_str().into(), NAME_RULE));
        }
        let is_valid = value.as_str().is_some_and(|text| text.is_empty() || is_name_part(text));
        if !is_valid {
            let detail = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
            errors.push(FieldError::invalid("metadata.labels", value, detail));
        }
    }
}

fn validate_annotations(annotations: Option<&Map<String, Value>>, errors: &mut Vec<FieldError>) {
    let Some(annotations) = annotations else {
        return;
    };
    for key in annotations.keys().filter(|key| !is_qualified_name(key)) {
        errors.push(FieldError::invalid("metadata.annotations", &key.as_str().into(), NAME_RULE));
    }
    let size: usize =
        annotations.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if size > MAX_ANNOTATION_BYTES {
        errors.push(FieldError {
            field: "metadata.annotations".to_owned(),
            reason: "FieldValueTooLong",
            message: format!("Too long: may not be more than {MAX_ANNOTATION_BYTES} bytes"),
        });
    }
}

fn is_qualified_name(key: &str) -> bool {
    let (prefix, name) =
        key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(|prefix| is_dns_subdomain(&prefix.to_ascii_lowercase())) && is_name_part(name)
}

fn is_name_part(name: &str) -> bool {
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    bytes.len() <= 63
        && is_edge(bytes.first())
        && is_edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES
        && name.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        })
}

fn wrong_type(kind: &str, value: &Value, field: &str, wanted: &str) -> ApiStatus {
    let found = match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(number) if wanted == "int32" => format!("number {number}"),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    };
    let reason =
        format!("json: cannot unmarshal {found} into Go struct field {field} of type {wanted}");
    unfit(kind, kind, &reason)
}

fn unfit(kind: &str, wanted: &str, reason: &str) -> ApiStatus {
    ApiStatus::bad_request(format!(
        "{kind} in version \"v1\" cannot be handled as a {wanted}: {reason}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micro_times_have_six_digits() {
        for (text, expected) in [
            ("2026-01-01T00:00:00.123456Z", Some("2026-01-01T00:00:00.123456Z")),
            ("2026-01-01T01:00:00.123456+01:00", Some("2026-01-01T00:00:00.123456Z")),
            ("2026-01-01T00:00:00.000000Z", Some("2026-01-01T00:00:00.000000Z")),
            ("2026-01-01T00:00:00Z", None),
            ("2026-01-01T00:00:00.123Z", None),
            ("2026-01-01T01:00:00.123456789+01:00", None),
            ("2026-13-01T00:00:00.123456Z", None),
            ("yesterday", None),
            ("", None),
            ("é026-01-01T00:00:00.123456Z", None),
        ] {
            assert_eq!(micro_time(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn names_are_checked() {
        for name in ["pintle", "a.b-c", "0"] {
            assert!(is_dns_subdomain(name), "{name}");
        }
        for name in ["Bad_Name", "", "-a", "a.", &"a".repeat(254)] {
            assert!(!is_dns_subdomain(name), "{name}");
        }
        for key in ["a", "pintle.dev/lease-duration", "A_b.c"] {
            assert!(is_qualified_name(key), "{key}");
        }
        for key in ["a b", "", "/a", "a/", "a/b/c"] {
            assert!(!is_qualified_name(key), "{key}");
        }
    }
}
