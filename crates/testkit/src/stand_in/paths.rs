//! The paths that are no resources: `/readyz`, `/livez`, `/version`; and 404 for what does not exist.

use std::future::pending;
use std::sync::Arc;

use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::access::User;
use super::behaviour::Readyz;
use super::control::{Control, Settings, Stage};
use super::health;
use super::resource::Query;
use super::response::{Body, json_response, text_response};
use super::status::ApiStatus;

/// `/readyz` and its like, `/version`, and what does not exist.
pub(super) async fn answer(
    control: &Arc<Control>,
    settings: &Settings,
    user: &User,
    path: &str,
    query: &Query,
) -> Result<Response<Body>, ApiStatus> {
    let path = path.trim_end_matches('/');
    match path {
        "/readyz" => readyz(control, settings, query).await,
        "/livez" | "/healthz" => {
            let path = &path[1..];
            let lost = control.store().quorum(|timeouts| timeouts.livez).await.is_err();
            Ok(if lost { unhealthy(path, &["etcd"]) } else { healthy(path, query) })
        }
        "/version" => Ok(json_response(StatusCode::OK, &version())),
        _ if user.is_anonymous => Err(ApiStatus::forbidden_path(path, &user.name)),
        _ => Ok(text_response(StatusCode::NOT_FOUND, "404 page not found\n".to_owned())),
    }
}

async fn readyz(
    control: &Arc<Control>,
    settings: &Settings,
    query: &Query,
) -> Result<Response<Body>, ApiStatus> {
    let lost = control.store().quorum(|timeouts| timeouts.readyz).await.is_err();
    let mut failing: Vec<&str> = if lost { vec!["etcd", "etcd-readiness"] } else { Vec::new() };
    if control.phase().stage != Stage::Serving {
        failing.push("shutdown");
    }
    match &settings.readyz {
        Readyz::Ok => {}
        Readyz::Shutdown => failing.push("shutdown"),
        Readyz::Failing(checks) => failing.extend(checks.iter().map(String::as_str)),
        Readyz::Hang => pending().await,
    }
    Ok(if failing.is_empty() { healthy("readyz", query) } else { unhealthy("readyz", &failing) })
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "35", "gitVersion": "v1.35.4", "gitCommit": "stand-in",
        "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none",
        "compiler": "none", "platform": "linux/amd64",
    })
}

fn healthy(path: &str, query: &Query) -> Response<Body> {
    let is_verbose = query.contains_key("verbose");
    let body = if is_verbose { health::passed(path) } else { "ok".to_owned() };
    text_response(StatusCode::OK, body)
}

fn unhealthy(path: &str, failing: &[&str]) -> Response<Body> {
    text_response(StatusCode::INTERNAL_SERVER_ERROR, health::failed(path, failing))
}
