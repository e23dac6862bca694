//! Who is let in, and what `/readyz` says.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Request, header};
use pintle_testkit::stand_in::{Auth, Readyz};
use serde_json::{Value, json};

use crate::bed::{Bed, LEASE, LEASES, Who, read};

const EVENTS: &str = "/api/v1/namespaces/kube-system/events";

async fn get_as(bed: &Bed, who: Who, path: &str) -> (u16, Value) {
    bed.client(who).await.call(Method::GET, path, None).await
}

async fn get_with_token(bed: &Bed, token: &str) -> u16 {
    let mut client = bed.client(Who::Nobody).await;
    let request = Request::get(LEASE)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Full::new(Bytes::new()))
        .unwrap();
    read(client.sender.send_request(request).await.unwrap()).await.0
}

#[tokio::test]
async fn clients_are_known_by_their_certificates() {
    let bed = Bed::new();
    bed.stored().await;
    for (who, lease, readyz) in [
        (Who::Admin, 200, 200),
        (Who::Pintle, 200, 200),
        (Who::Nobody, 403, 200),
        (Who::Stranger, 401, 401),
    ] {
        assert_eq!(get_as(&bed, who, LEASE).await.0, lease, "{who:?}");
        assert_eq!(get_as(&bed, who, "/readyz").await.0, readyz, "{who:?}");
    }
    let (_, body) = get_as(&bed, Who::Nobody, LEASE).await;
    assert_eq!(
        body["message"],
        "leases.coordination.k8s.io \"pintle\" is forbidden: User \"system:anonymous\" cannot get resource \"leases\" in API group \"coordination.k8s.io\" in the namespace \"kube-system\""
    );
    let (_, body) = get_as(&bed, Who::Stranger, LEASE).await;
    assert_eq!(
        (&body["reason"], &body["message"]),
        (&json!("Unauthorized"), &json!("Unauthorized"))
    );
}

#[tokio::test]
async fn a_token_is_as_good_as_a_certificate() {
    let bed = Bed::new();
    bed.stored().await;
    assert_eq!(get_with_token(&bed, "secret").await, 401);
    bed.server.set_token(Some("secret"));
    assert_eq!(get_with_token(&bed, "secret").await, 200);
    assert_eq!(get_with_token(&bed, "other").await, 401);
}

#[tokio::test]
async fn access_can_be_taken_away() {
    let bed = Bed::new();
    bed.stored().await;
    for (auth, admin, pintle) in [
        (Auth::Allow, 200, 200),
        (Auth::MastersOnly, 200, 403),
        (Auth::Forbidden, 403, 403),
        (Auth::Unauthorised, 401, 401),
        (Auth::ForbiddenResources(vec!["events".to_owned()]), 200, 200),
    ] {
        bed.server.set_auth(auth.clone());
        assert_eq!(get_as(&bed, Who::Admin, LEASE).await.0, admin, "{auth:?}");
        assert_eq!(get_as(&bed, Who::Pintle, LEASE).await.0, pintle, "{auth:?}");
        let readyz = if auth == Auth::Unauthorised { 401 } else { 200 };
        assert_eq!(get_as(&bed, Who::Pintle, "/readyz").await.0, readyz, "{auth:?}");
    }
    let (status, body) =
        bed.call(Method::POST, EVENTS, Some(&json!({"metadata": {"name": "a"}}))).await;
    assert_eq!((status, &body["reason"]), (403, &json!("Forbidden")));
    let message = body["message"].as_str().unwrap();
    assert!(
        message.starts_with("events is forbidden: User \"kubernetes-admin\" cannot create"),
        "{message}"
    );
    bed.server.set_auth(Auth::MastersOnly);
    let (_, body) = get_as(
        &bed,
        Who::Pintle,
        &format!("{LEASES}?watch=1&fieldSelector=metadata.name%3Dpintle"),
    )
    .await;
    assert!(body["message"].as_str().unwrap().contains("\"pintle\" cannot watch"), "{body}");
}

#[tokio::test]
async fn readyz_names_what_fails() {
    let bed = Bed::new();
    assert_eq!(bed.get("/readyz").await, (200, json!("ok")));
    assert_eq!(bed.get("/livez").await, (200, json!("ok")));
    let (_, verbose) = bed.get("/readyz?verbose").await;
    assert!(
        verbose.as_str().unwrap().ends_with("[+]shutdown ok\nreadyz check passed\n"),
        "{verbose}"
    );
    for (readyz, line) in [
        (Readyz::Shutdown, "[+]etcd ok\n"),
        (Readyz::Shutdown, "[-]shutdown failed: reason withheld\nreadyz check failed\n"),
        (Readyz::Failing(vec!["etcd".to_owned()]), "[-]etcd failed: reason withheld\n"),
        (
            Readyz::Failing(vec!["poststarthook/x".to_owned()]),
            "[-]poststarthook/x failed: reason withheld\n",
        ),
    ] {
        bed.server.set_readyz(readyz);
        let (status, body) = bed.get("/readyz").await;
        assert_eq!(status, 500);
        assert!(body.as_str().unwrap().contains(line), "{body}");
        assert_eq!(bed.get("/livez").await.0, 200);
    }
    bed.server.set_readyz(Readyz::Hang);
    bed.client(Who::Admin).await.assert_silent(Method::GET, "/readyz", None).await;
    assert_eq!(bed.get("/livez").await.0, 200);
}
