//! Objects: what is stored, and what is refused in which words.

use hyper::Method;
use pintle_testkit::stand_in::Verb;
use serde_json::{Value, json};

use crate::bed::{Bed, LEASE, LEASES, held_by, lease};

const EVENTS: &str = "/api/v1/namespaces/kube-system/events";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const FOREIGN_UID: &str = "11111111-1111-4111-8111-111111111111";

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

async fn put(bed: &Bed, lease: &Value) -> (u16, Value) {
    bed.call(Method::PUT, LEASE, Some(lease)).await
}

#[track_caller]
fn assert_status(answer: &(u16, Value), code: u16, reason: &str, message: &str) {
    let (status, body) = answer;
    assert_eq!((*status, body["reason"].as_str().unwrap_or_default()), (code, reason), "{body}");
    assert_eq!(body["kind"], "Status");
    assert_eq!(body["apiVersion"], "v1");
    assert_eq!(body["status"], "Failure");
    assert_eq!(body["code"], code);
    assert!(body["message"].as_str().unwrap().contains(message), "{body}");
}

#[tokio::test]
async fn a_lease_is_created_read_listed_and_deleted() {
    let bed = Bed::new();
    assert_status(
        &bed.get(LEASE).await,
        404,
        "NotFound",
        "leases.coordination.k8s.io \"pintle\" not found",
    );
    let mut wanted = lease();
    wanted["metadata"]["annotations"] =
        json!({"pintle.dev/mac": "02:00:00:00:00:01", "someone/else": "x"});
    wanted["metadata"]["uid"] = FOREIGN_UID.into();
    wanted["spec"]["preferredHolder"] = "dropped: its gate is off".into();
    wanted["spec"]["unknown"] = 1.into();
    let (status, created) = bed.call(Method::POST, LEASES, Some(&wanted)).await;
    assert_eq!(status, 201);
    assert_eq!(created["metadata"]["annotations"], wanted["metadata"]["annotations"]);
    assert_eq!(created["spec"], lease()["spec"], "exactly what the server's type has");
    assert_ne!(created["metadata"]["uid"], FOREIGN_UID);
    assert_eq!(created["metadata"]["uid"].as_str().unwrap().len(), 36);
    assert!(created["metadata"]["creationTimestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!(bed.get(LEASE).await, (200, created.clone()));

    let (status, list) = bed.get(&format!("{LEASES}?fieldSelector=metadata.name%3Dpintle")).await;
    assert_eq!((status, &list["kind"]), (200, &json!("LeaseList")));
    assert_eq!(list["items"][0]["metadata"], created["metadata"]);
    assert_eq!(version(&list), bed.store.revision());
    let (_, list) = bed.get(&format!("{LEASES}?fieldSelector=metadata.name%3Dother")).await;
    assert_eq!(list["items"], json!([]));

    let again = bed.call(Method::POST, LEASES, Some(&lease())).await;
    assert_status(&again, 409, "AlreadyExists", "\"pintle\" already exists");
    let (status, deleted) = bed.call(Method::DELETE, LEASE, None).await;
    assert_eq!((status, &deleted["status"]), (200, &json!("Success")));
    assert_eq!(deleted["details"]["uid"], created["metadata"]["uid"]);
    assert_status(&bed.call(Method::DELETE, LEASE, None).await, 404, "NotFound", "not found");
}

#[tokio::test]
async fn a_put_needs_the_stored_version_and_the_stored_uid() {
    let bed = Bed::new();
    let stored = bed.stored().await;
    let (status, updated) = put(&bed, &held_by(&stored, "cp-2")).await;
    assert_eq!(status, 200);
    assert!(version(&updated) > version(&stored));
    for kept in ["uid", "creationTimestamp"] {
        assert_eq!(updated["metadata"][kept], stored["metadata"][kept]);
    }
    let stale = put(&bed, &held_by(&stored, "cp-3")).await;
    assert_status(
        &stale,
        409,
        "Conflict",
        "the object has been modified; please apply your changes",
    );

    let mut foreign = held_by(&updated, "cp-3");
    foreign["metadata"]["uid"] = FOREIGN_UID.into();
    let uid = updated["metadata"]["uid"].as_str().unwrap();
    let message = format!(
        "Precondition failed: UID in precondition: {FOREIGN_UID}, UID in object meta: {uid}"
    );
    assert_status(&put(&bed, &foreign).await, 409, "Conflict", &message);

    let without = put(&bed, &lease()).await;
    assert_status(
        &without,
        422,
        "Invalid",
        "metadata.resourceVersion: Invalid value: 0: must be specified for an update",
    );
    assert_eq!(bed.store.lease("kube-system", "pintle"), Some(updated));
}

#[tokio::test]
async fn a_put_to_nothing_creates_unless_it_carries_a_uid() {
    let bed = Bed::new();
    let mut old = lease();
    old["metadata"]["uid"] = FOREIGN_UID.into();
    old["metadata"]["resourceVersion"] = "5".into();
    assert_status(&put(&bed, &old).await, 409, "Conflict", "UID in object meta: ");
    assert_eq!(bed.store.lease("kube-system", "pintle"), None);

    old["metadata"].as_object_mut().unwrap().remove("uid");
    let (status, created) = put(&bed, &old).await;
    assert_eq!(status, 201);
    assert!(version(&created) > 5);
    assert_eq!(bed.store.lease("kube-system", "pintle"), Some(created));
}

#[tokio::test]
async fn a_put_that_changes_nothing_writes_nothing() {
    let bed = Bed::new();
    let stored = bed.stored().await;
    let revision = bed.store.revision();
    assert_eq!(put(&bed, &stored).await, (200, stored));
    assert_eq!(bed.store.revision(), revision);
}

#[tokio::test]
async fn invalid_leases_are_refused() {
    let bed = Bed::new();
    let stored = bed.stored().await;
    let with = |field: &str, value: Value| {
        let mut lease = stored.clone();
        lease["spec"][field] = value;
        lease
    };
    for (lease, code, reason, message) in [
        (
            with("leaseDurationSeconds", json!(0)),
            422,
            "Invalid",
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
        ),
        (with("leaseTransitions", json!(-1)), 422, "Invalid", "must be greater than or equal to 0"),
        (
            with("leaseDurationSeconds", json!(2_147_483_648_u64)),
            400,
            "BadRequest",
            "of type int32",
        ),
        (with("leaseDurationSeconds", json!("3")), 400, "BadRequest", "cannot unmarshal string"),
        (with("holderIdentity", json!(["cp-1"])), 400, "BadRequest", "of type string"),
        (with("renewTime", json!("2026-01-01T00:00:00Z")), 400, "BadRequest", "parsing time"),
        (json!([1]), 400, "BadRequest", "must be of type Lease"),
    ] {
        assert_status(&put(&bed, &lease).await, code, reason, message);
    }
    let mut elsewhere = stored.clone();
    elsewhere["metadata"]["name"] = "other".into();
    assert_status(
        &put(&bed, &elsewhere).await,
        400,
        "BadRequest",
        "does not match the name on the URL",
    );
    let mut garbage = stored.clone();
    garbage["metadata"]["annotations"] = json!({"a": "x".repeat(300_000)});
    assert_status(&put(&bed, &garbage).await, 422, "Invalid", "may not be more than 262144 bytes");
    garbage["metadata"]["annotations"] = json!({"a": "x".repeat(2_000_000)});
    assert_status(&put(&bed, &garbage).await, 413, "RequestEntityTooLarge", "too large");
    assert_eq!(bed.store.lease("kube-system", "pintle"), Some(stored));
}

#[tokio::test]
async fn a_delete_keeps_to_its_preconditions() {
    let bed = Bed::new();
    let stored = bed.stored().await;
    let options = |uid: &Value| json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}});
    let refused = bed.call(Method::DELETE, LEASE, Some(&options(&json!(FOREIGN_UID)))).await;
    assert_status(&refused, 409, "Conflict", "does not match the UID in record");
    let (status, _) =
        bed.call(Method::DELETE, LEASE, Some(&options(&stored["metadata"]["uid"]))).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn servers_on_one_store_are_one_cluster() {
    let bed = Bed::new();
    let other = bed.another();
    let stored = bed.stored().await;
    let mut client = bed.client_of(&other, crate::bed::Who::Admin).await;
    assert_eq!(client.call(Method::GET, LEASE, None).await, (200, stored.clone()));
    let (status, updated) = client.call(Method::PUT, LEASE, Some(&held_by(&stored, "cp-2"))).await;
    assert_eq!(status, 200);
    assert_eq!(bed.get(LEASE).await, (200, updated));
}

#[tokio::test]
async fn a_hand_can_write_what_the_server_would_refuse() {
    let bed = Bed::new();
    let stored = bed.stored().await;
    let edited = bed.store.edit_lease("kube-system", "pintle", |lease| {
        lease["spec"] = json!({"holderIdentity": "", "leaseDurationSeconds": 2_147_483_647, "renewTime": 7});
    });
    assert!(edited);
    let (_, read) = bed.get(LEASE).await;
    assert_eq!(read["spec"]["renewTime"], 7);
    assert_eq!(read["metadata"]["uid"], stored["metadata"]["uid"]);
    assert!(version(&read) > version(&stored));
    assert!(bed.store.delete_lease("kube-system", "pintle"));
    assert!(!bed.store.delete_lease("kube-system", "pintle"));
    assert!(!bed.store.edit_lease("kube-system", "pintle", |_| {}));
}

#[tokio::test]
async fn events_are_accepted_and_bounded() {
    let bed = Bed::new();
    let mut client = bed.client(crate::bed::Who::Admin).await;
    let event = json!({
        "metadata": {"generateName": "pintle-"}, "reason": "VipAcquired",
        "involvedObject": {"kind": "Lease", "name": "pintle", "namespace": "kube-system"},
    });
    for _ in 0..300 {
        let (status, _) = client.call(Method::POST, EVENTS, Some(&event)).await;
        assert_eq!(status, 201);
    }
    let events = bed.store.events();
    assert_eq!(events.len(), 256);
    assert!(events.iter().all(|event| event["reason"] == "VipAcquired"));
    let new_style = "/apis/events.k8s.io/v1/namespaces/kube-system/events";
    assert_eq!(client.call(Method::POST, new_style, Some(&event)).await.0, 201);
    let nowhere = client.call(Method::POST, "/api/v1/namespaces/nope/events", Some(&event)).await;
    assert_status(&nowhere, 404, "NotFound", "namespaces \"nope\" not found");
}

#[tokio::test]
async fn endpoint_slices_name_the_api_servers() {
    let bed = Bed::new();
    bed.store.set_api_servers(
        &["192.0.2.1:6443", "192.0.2.2:6443", "[2001:db8::1]:6443"].map(|a| a.parse().unwrap()),
    );
    let (status, list) =
        bed.get(&format!("{SLICES}?labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes")).await;
    assert_eq!((status, &list["kind"]), (200, &json!("EndpointSliceList")));
    let slices = list["items"].as_array().unwrap();
    assert_eq!(slices.len(), 2);
    assert_eq!(slices[0]["metadata"]["name"], "kubernetes");
    assert_eq!(
        slices[0]["endpoints"][1],
        json!({"addresses": ["192.0.2.2"], "conditions": {"ready": true}})
    );
    assert_eq!(slices[0]["ports"], json!([{"name": "https", "port": 6443, "protocol": "TCP"}]));
    assert_eq!(slices[1]["addressType"], "IPv6");
    let (_, none) =
        bed.get(&format!("{SLICES}?labelSelector=kubernetes.io%2Fservice-name%3Dx")).await;
    assert_eq!(none["items"], json!([]));

    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("{SLICES}?watch=true&resourceVersion={version}");
    let mut watch = bed.watch_on(&bed.server, &path).await;
    bed.store.set_api_servers(&["192.0.2.2:6443".parse().unwrap()]);
    let event = watch.next().await.unwrap();
    assert_eq!(event["type"], "MODIFIED");
    assert_eq!(event["object"]["endpoints"].as_array().unwrap().len(), 1);
    assert_eq!(watch.next().await.unwrap()["type"], "DELETED");
}

#[tokio::test]
async fn requests_are_logged_and_counted() {
    let bed = Bed::new();
    bed.stored().await;
    bed.get(LEASE).await;
    bed.get("/readyz").await;
    let _watch = bed.watch("fieldSelector=metadata.name%3Dpintle").await;
    let requests = bed.server.requests();
    let seen: Vec<_> = requests.iter().map(|request| (request.verb, request.status)).collect();
    assert_eq!(
        seen,
        [
            (Verb::Create, Some(201)),
            (Verb::Get, Some(200)),
            (Verb::Path, Some(200)),
            (Verb::Watch, Some(200))
        ]
    );
    assert_eq!(requests[1].path, LEASE);
    assert!(requests.is_sorted_by_key(|request| request.at));
    let counts = bed.server.request_counts();
    assert_eq!(
        (counts.reads, counts.writes, counts.watches, counts.paths, counts.leases),
        (1, 1, 1, 1, 3)
    );
    bed.server.clear_requests();
    assert_eq!(bed.server.requests(), []);
    assert_eq!(bed.server.request_counts().leases, 0);
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let bed = Bed::new();
    assert_eq!(bed.get("/nope").await, (404, json!("404 page not found\n")));
    let unknown = bed.get("/apis/coordination.k8s.io/v1/namespaces/kube-system/nopes").await;
    assert_status(&unknown, 404, "NotFound", "the server could not find the requested resource");
    let patch = bed.call(Method::PATCH, LEASE, Some(&json!({}))).await;
    assert_status(&patch, 405, "MethodNotAllowed", "does not allow this method");
    assert_eq!(bed.get("/version").await.1["gitVersion"], "v1.35.4");
}
