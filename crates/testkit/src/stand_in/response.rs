//! Responses with the headers that kube-apiserver sets.

use std::convert::Infallible;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Response, StatusCode, header};
use serde_json::Value;

use super::status::ApiStatus;

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

pub(super) fn refusal(status: &ApiStatus) -> Response<Body> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut refusal = json_response(code, &status.body);
    if matches!(status.code, 429 | 503 | 504) {
        refusal.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    refusal
}

pub(super) fn json_response(code: StatusCode, body: &Value) -> Response<Body> {
    let body = Bytes::from(format!("{body}\n"));
    response(code, "application/json", Full::new(body).boxed_unsync())
}

pub(super) fn text_response(code: StatusCode, body: String) -> Response<Body> {
    let body = Full::new(Bytes::from(body));
    response(code, "text/plain; charset=utf-8", body.boxed_unsync())
}

pub(super) fn response(code: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-cache, private"));
    response
}
