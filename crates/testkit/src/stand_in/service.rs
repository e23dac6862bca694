//! One request, one answer: who asks, whether they may, how the server was told to behave, then the
//! store. It decides nothing about objects.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::access::{authenticate, authorise, text_header};
use super::behaviour::{Behaviour, WatchBehaviour};
use super::control::{Control, Settings};
use super::requests::Verb;
use super::resource::{self, Query, Resource, Route, Target};
use super::response::{Body, json_response, refusal, response};
use super::selector::Selector;
use super::status::ApiStatus;
use super::store::DeletePreconditions;
use super::tls::Peer;
use super::{lease, paths, watch};

/// A Lease with all the annotations it may have is a third of it. (kube-apiserver takes 3 MiB.)
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// kube-apiserver waits so long for its cache to reach a revision from the future.
const FRESHNESS_TIMEOUT: Duration = Duration::from_secs(3);

/// A request on its way.
struct Call {
    control: Arc<Control>,
    settings: Settings,
    query: Query,
    verb: Verb,
    body: Bytes,
    content_type: String,
}

/// Answers a request, or never returns where the server was told so.
pub(super) async fn answer(
    control: Arc<Control>,
    peer: Arc<Peer>,
    request: Request<Incoming>,
) -> Response<Body> {
    let uri = request.uri().clone();
    let route = Route::of(uri.path());
    let query = resource::query_of(&uri);
    let verb = match &route {
        Route::Resource(target) => target.verb(request.method(), &query),
        Route::UnknownResource | Route::Path => None,
    };
    let path = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let is_lease = matches!(&route, Route::Resource(target) if target.resource == Resource::Lease);
    let id = control.requests().arrived(verb.unwrap_or(Verb::Path), path, is_lease);
    let response = match respond(&control, &peer, route, verb, query, request).await {
        Ok(response) => response,
        Err(status) => refusal(&status),
    };
    control.requests().answered(id, response.status().as_u16());
    response
}

async fn respond(
    control: &Arc<Control>,
    peer: &Peer,
    route: Route,
    verb: Option<Verb>,
    query: Query,
    request: Request<Incoming>,
) -> Result<Response<Body>, ApiStatus> {
    let settings = control.settings();
    let user = authenticate(&settings, peer, &request)?;
    let target = match route {
        Route::Resource(target) => target,
        Route::UnknownResource => return Err(ApiStatus::unknown_resource()),
        Route::Path => {
            return paths::answer(control, &settings, &user, request.uri().path(), &query).await;
        }
    };
    let verb = verb.ok_or_else(ApiStatus::method_not_allowed)?;
    let selector = Selector::of(&query, &target.namespace)?;
    authorise(&settings, &user, verb, &target, target.name.as_deref().or_else(|| selector.name()))?;
    let content_type = text_header(&request, header::CONTENT_TYPE);
    let body = if verb.is_write() { read_body(request).await? } else { Bytes::new() };
    let call = Call { control: Arc::clone(control), settings, query, verb, body, content_type };
    match verb {
        Verb::Watch => call.watch(&target, &selector),
        Verb::Get | Verb::List => {
            call.behave(&call.settings.reads, || call.read(&target, &selector)).await
        }
        Verb::Create | Verb::Update | Verb::Delete => {
            call.behave(&call.settings.writes, || call.write(&target)).await
        }
        Verb::Path => Err(ApiStatus::method_not_allowed()),
    }
}

async fn read_body(request: Request<Incoming>) -> Result<Bytes, ApiStatus> {
    match Limited::new(request.into_body(), MAX_BODY_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("Request entity too large: limit is {MAX_BODY_BYTES}");
            Err(ApiStatus::new(413, "RequestEntityTooLarge", message))
        }
        Err(error) => Err(ApiStatus::bad_request(format!("the body could not be read: {error}"))),
    }
}

// === impl Call ===

impl Call {
    /// Applies and answers as the server was told to. What is slept through is applied only if the
    /// server is not frozen, as a stopped process applies nothing.
    async fn behave(
        &self,
        behaviour: &Behaviour,
        apply: impl Fn() -> Result<Response<Body>, ApiStatus>,
    ) -> Result<Response<Body>, ApiStatus> {
        match behaviour {
            Behaviour::Delay(delay) => sleep(*delay).await,
            Behaviour::Hang => pending().await,
            Behaviour::Status(code) => return Err(ApiStatus::of_code(*code)),
            Behaviour::Normal | Behaviour::DelayAnswer(_) | Behaviour::DropAnswer => {}
        }
        // A read from the watch cache (resourceVersion=0) needs no etcd.
        let is_cached = !self.verb.is_write()
            && self.query.get("resourceVersion").is_some_and(|version| version == "0");
        if !is_cached && self.control.store().quorum(|timeouts| timeouts.requests).await.is_err() {
            return Err(ApiStatus::internal("etcdserver: request timed out"));
        }
        if self.is_from_the_future() {
            sleep(FRESHNESS_TIMEOUT).await;
        }
        self.control.gate().opened().await;
        let response = apply();
        match behaviour {
            Behaviour::DelayAnswer(delay) => sleep(*delay).await,
            Behaviour::DropAnswer => pending().await,
            _ => {}
        }
        response
    }

    fn is_from_the_future(&self) -> bool {
        let asked =
            self.query.get("resourceVersion").and_then(|version| version.parse::<u64>().ok());
        !self.verb.is_write() && asked.is_some_and(|asked| asked > self.control.store().revision())
    }

    fn read(&self, target: &Target, selector: &Selector) -> Result<Response<Body>, ApiStatus> {
        let resource = target.resource;
        let asked = watch::resource_version(&self.query);
        if let Some(name) = &target.name {
            asked.map_err(ApiStatus::internal)?;
            let object = self.control.store().get(target);
            let object = object.ok_or_else(|| ApiStatus::not_found(resource, name))?;
            return Ok(json_response(StatusCode::OK, &object));
        }
        let asked = asked.map_err(|message| {
            ApiStatus::bad_request(format!("invalid resource version: {message}"))
        })?;
        let (revision, objects) = self.control.store().list(target, selector);
        if asked > revision {
            let message =
                format!("Timeout: Too large resource version: {asked}, current: {revision}");
            return Err(ApiStatus::new(504, "Timeout", message));
        }
        let items: Vec<Value> = objects.iter().map(|object| item(object)).collect();
        let list = json!({
            "kind": format!("{}List", resource.kind()), "apiVersion": resource.api_version(),
            "metadata": {"resourceVersion": revision.to_string()}, "items": items,
        });
        Ok(json_response(StatusCode::OK, &list))
    }

    fn write(&self, target: &Target) -> Result<Response<Body>, ApiStatus> {
        if self.query.contains_key("dryRun") {
            return Err(ApiStatus::bad_request("the stand-in does not know dryRun"));
        }
        if !matches!(self.content_type.split(';').next(), Some("" | "application/json")) {
            let message = "the body of the request was in an unknown format - accepted media types include: application/json";
            return Err(ApiStatus::new(415, "UnsupportedMediaType", message));
        }
        let store = self.control.store();
        match self.verb {
            Verb::Delete => {
                let deleted = store.delete(target, &self.preconditions()?)?;
                let name = target.name.as_deref().unwrap_or_default();
                Ok(json_response(StatusCode::OK, &deletion(target.resource, name, &deleted)))
            }
            Verb::Update => {
                let (object, created) = store.update(target, lease::decode(&self.body, target)?)?;
                let code = if created { StatusCode::CREATED } else { StatusCode::OK };
                Ok(json_response(code, &object))
            }
            _ => {
                let object = store.create(target, lease::decode(&self.body, target)?)?;
                Ok(json_response(StatusCode::CREATED, &object))
            }
        }
    }

    fn watch(self, target: &Target, selector: &Selector) -> Result<Response<Body>, ApiStatus> {
        if let WatchBehaviour::Status(code) = self.settings.watches {
            return Err(ApiStatus::of_code(code));
        }
        let body = watch::open(&self.control, target, selector, &self.query)?;
        Ok(response(StatusCode::OK, "application/json", body))
    }

    fn preconditions(&self) -> Result<DeletePreconditions, ApiStatus> {
        if self.body.is_empty() {
            return Ok(DeletePreconditions::default());
        }
        let options: Value = serde_json::from_slice(&self.body)
            .map_err(|error| ApiStatus::bad_request(format!("DeleteOptions: {error}")))?;
        let text = |key: &str| options["preconditions"][key].as_str().map(str::to_owned);
        Ok(DeletePreconditions { uid: text("uid"), resource_version: text("resourceVersion") })
    }
}

fn item(object: &Value) -> Value {
    let mut item = object.clone();
    // The list says once what its items are.
    if let Some(map) = item.as_object_mut() {
        map.remove("apiVersion");
        map.remove("kind");
    }
    item
}

fn deletion(resource: Resource, name: &str, deleted: &Value) -> Value {
    let mut details = json!({
        "name": name, "kind": resource.plural(), "uid": deleted["metadata"]["uid"],
    });
    if !resource.group().is_empty() {
        details["group"] = resource.group().into();
    }
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
    })
}
