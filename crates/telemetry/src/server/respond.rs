//! The answers: from a method and a path to a response. No I/O, no waiting.

use std::fmt::Write as _;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};

use super::Sources;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// As demanded by OpenMetrics 1.0.
const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Which paths a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Everything,
    MetricsAlone,
}

/// Answers requests.
pub(super) struct Responder {
    sources: Sources,
    scope: Scope,
}

type Answer = (StatusCode, HeaderValue, String);

// === impl Scope ===

impl Scope {
    const fn paths(self) -> &'static [&'static str] {
        match self {
            Self::Everything => &["/livez", "/readyz", "/metrics", "/status"],
            Self::MetricsAlone => &["/metrics"],
        }
    }
}

// === impl Responder ===

impl Responder {
    pub(super) const fn new(sources: Sources, scope: Scope) -> Self {
        Self { sources, scope }
    }

    /// The answer to HEAD is the answer to GET: hyper leaves the body out.
    pub(super) fn respond(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let is_known = self.scope.paths().contains(&path);
        let is_allowed = *method == Method::GET || *method == Method::HEAD;
        let (status, content_type, body) = match path {
            _ if !is_known => self.not_found(),
            _ if !is_allowed => {
                (StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD are served\n".to_owned())
            }
            "/livez" => self.livez(),
            "/readyz" => self.readyz(),
            "/metrics" => (StatusCode::OK, OPENMETRICS, self.sources.metrics.encode()),
            _ => self.status(),
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }

    fn livez(&self) -> Answer {
        let now = (self.sources.now)();
        if self.sources.heartbeat.is_fresh(now) {
            return (StatusCode::OK, TEXT, "ok\n".to_owned());
        }
        let age = self.sources.heartbeat.age(now).as_millis();
        let body = format!("the control loop has not turned for {age} ms\n");
        (StatusCode::SERVICE_UNAVAILABLE, TEXT, body)
    }

    /// In the form of kube-apiserver's own `/readyz`.
    fn readyz(&self) -> Answer {
        let checks = self.sources.status.checks();
        if checks.iter().all(|(_, is_passed)| *is_passed) {
            return (StatusCode::OK, TEXT, "ok\n".to_owned());
        }
        let mut body = String::new();
        for (name, is_passed) in checks {
            let line = if is_passed { ("+", "ok") } else { ("-", "failed") };
            // Writing into a String cannot fail.
            let _ = writeln!(body, "[{}]{name} {}", line.0, line.1);
        }
        body.push_str("readyz check failed\n");
        (StatusCode::SERVICE_UNAVAILABLE, TEXT, body)
    }

    fn status(&self) -> Answer {
        match self.sources.status.body((self.sources.now)()) {
            Ok(body) => (StatusCode::OK, JSON, body + "\n"),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
        }
    }

    fn not_found(&self) -> Answer {
        let body = format!("served here: {}\n", self.scope.paths().join(" "));
        (StatusCode::NOT_FOUND, TEXT, body)
    }
}
