//! The resources a stand-in knows, and what a path asks of which.

use std::collections::HashMap;

use hyper::{Method, Uri};

use super::requests::Verb;

/// A resource, with the names that go into paths, objects and messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Resource {
    Lease,
    EndpointSlice,
    Endpoints,
    CoreEvent,
    Event,
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) resource: Resource,
    pub(super) namespace: String,
    pub(super) name: Option<String>,
}

/// A path, recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// Something of a resource that exists here.
    Resource(Target),
    /// A resource of a group that exists, but not one of ours: 404 with a Status.
    UnknownResource,
    /// `/livez`, `/readyz` and the like, `/version`; 404 in plain text for the rest.
    Path,
}

/// The decoded query; the last of equal keys counts.
pub(super) type Query = HashMap<String, String>;

// === impl Resource ===

impl Resource {
    const ALL: [Self; 5] =
        [Self::Lease, Self::EndpointSlice, Self::Endpoints, Self::CoreEvent, Self::Event];

    pub(super) fn group(self) -> &'static str {
        match self {
            Self::Lease => "coordination.k8s.io",
            Self::EndpointSlice => "discovery.k8s.io",
            Self::Endpoints | Self::CoreEvent => "",
            Self::Event => "events.k8s.io",
        }
    }

    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Lease => "leases",
            Self::EndpointSlice => "endpointslices",
            Self::Endpoints => "endpoints",
            Self::CoreEvent | Self::Event => "events",
        }
    }

    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Lease => "Lease",
            Self::EndpointSlice => "EndpointSlice",
            Self::Endpoints => "Endpoints",
            Self::CoreEvent | Self::Event => "Event",
        }
    }

    pub(super) fn api_version(self) -> String {
        match self.group() {
            "" => "v1".to_owned(),
            group => format!("{group}/v1"),
        }
    }

    /// The plural with its group, as messages have it.
    pub(super) fn qualified(self) -> String {
        qualify(self.plural(), self.group())
    }

    /// The kind with its group, as messages have it.
    pub(super) fn qualified_kind(self) -> String {
        qualify(self.kind(), self.group())
    }
}

fn qualify(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

// === impl Route ===

impl Route {
    pub(super) fn of(path: &str) -> Self {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, rest) = match segments.as_slice() {
            ["api", "v1", rest @ ..] => ("", rest),
            ["apis", group, "v1", rest @ ..] => (*group, rest),
            _ => return Self::Path,
        };
        let is_known_group = Resource::ALL.iter().any(|resource| resource.group() == group);
        let (namespace, plural, name) = match rest {
            ["namespaces", namespace, plural] => (*namespace, *plural, None),
            ["namespaces", namespace, plural, name] => {
                (*namespace, *plural, Some(percent_decode(name)))
            }
            [_, ..] if is_known_group => return Self::UnknownResource,
            _ => return Self::Path,
        };
        Resource::ALL
            .into_iter()
            .find(|resource| resource.group() == group && resource.plural() == plural)
            .map_or_else(
                || {
                    if is_known_group { Self::UnknownResource } else { Self::Path }
                },
                |resource| {
                    Self::Resource(Target { resource, namespace: namespace.to_owned(), name })
                },
            )
    }
}

// === impl Target ===

impl Target {
    /// What the request wants, or `None` when the method does not fit.
    pub(super) fn verb(&self, method: &Method, query: &Query) -> Option<Verb> {
        let is_watch = query.get("watch").is_some_and(|value| value == "true" || value == "1");
        let writable = !matches!(self.resource, Resource::EndpointSlice | Resource::Endpoints);
        match (method, &self.name) {
            (&Method::GET, None) if is_watch => Some(Verb::Watch),
            (&Method::GET, None) => Some(Verb::List),
            (&Method::GET, Some(_)) => Some(Verb::Get),
            (&Method::POST, None) if writable => Some(Verb::Create),
            (&Method::PUT, Some(_)) if self.resource == Resource::Lease => Some(Verb::Update),
            (&Method::DELETE, Some(_)) if writable => Some(Verb::Delete),
            _ => None,
        }
    }
}

pub(super) fn query_of(uri: &Uri) -> Query {
    uri.query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (percent_decode(key), percent_decode(&value.replace('+', " "))))
        .collect()
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = (*first == b'%')
            .then(|| tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_recognised() {
        let lease = Route::of("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/pintle");
        let target = Target {
            resource: Resource::Lease,
            namespace: "kube-system".to_owned(),
            name: Some("pintle".to_owned()),
        };
        assert_eq!(lease, Route::Resource(target));
        let unknown = Route::of("/apis/coordination.k8s.io/v1/namespaces/kube-system/nopes");
        assert_eq!(unknown, Route::UnknownResource);
        assert_eq!(Route::of("/api/v1/nodes"), Route::UnknownResource);
        for path in ["/readyz", "/", "", "/apis/nope/v1", "/apis/nope/v1/namespaces/a/b"] {
            assert_eq!(Route::of(path), Route::Path, "{path}");
        }
    }

    #[test]
    fn queries_are_decoded() {
        let uri: Uri =
            "/x?fieldSelector=metadata.name%3Dpr&watch=true&bad=%zz&t=%".parse().unwrap();
        let query = query_of(&uri);
        assert_eq!(query["fieldSelector"], "metadata.name=pr");
        assert_eq!(query["watch"], "true");
        assert_eq!(query["bad"], "%zz");
        assert_eq!(query["t"], "%");
    }
}
