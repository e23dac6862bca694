use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Bytes, Frame};
use serde_json::json;

use super::memory::Memory;
use super::*;

fn set(addresses: &[&str]) -> BTreeSet<SocketAddr> {
    addresses.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn addresses_of_both_families_are_taken_ready_or_not() {
    let slices: Vec<EndpointSlice> = serde_json::from_value(json!([
        {"addressType": "IPv4",
         "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": false}},
                       {"addresses": ["192.0.2.2", "not an address"]}],
         "ports": [{"name": "metrics", "port": 9}, {"name": "https", "port": 6443}]},
        {"addressType": "IPv6", "endpoints": [{"addresses": ["2001:db8::1"]}],
         "ports": [{"name": "https", "port": 443}, {"name": "https", "port": 70000}]},
        {"addressType": "FQDN", "endpoints": null, "ports": null},
    ]))
    .unwrap();
    let expected = set(&["192.0.2.1:6443", "192.0.2.2:6443", "[2001:db8::1]:443"]);
    assert_eq!(addresses(&slices), expected);
}

#[test]
fn what_a_list_lacks_is_remembered_for_ten_minutes() {
    let now = Instant::now();
    let mut memory = Memory::default();
    memory.learn(set(&["192.0.2.1:6443", "192.0.2.2:6443"]), now);
    memory.learn(set(&["192.0.2.1:6443"]), now + Duration::from_secs(599));
    assert_eq!(memory.endpoints().known.len(), 2);
    memory.learn(set(&["192.0.2.1:6443"]), now + Duration::from_secs(600));
    assert_eq!(memory.endpoints().known, ["192.0.2.1:6443".parse().unwrap()]);
}

#[test]
fn at_most_sixteen_are_kept_the_newest_first() {
    let now = Instant::now();
    let mut memory = Memory::default();
    memory.learn(set(&["192.0.2.200:6443"]), now);
    let many: BTreeSet<SocketAddr> =
        (1..=16).map(|host| SocketAddr::from(([192, 0, 2, host], 6443))).collect();
    memory.learn(many.clone(), now + Duration::from_secs(1));
    assert_eq!(memory.endpoints().known, many.into_iter().collect::<Vec<_>>());
}

/// What comes from a server that was stopped with SIGSTOP.
struct Silence;

impl hyper::body::Body for Silence {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_shortly_after_its_server_should_have_ended_it() {
    let server = SocketAddr::from(([192, 0, 2, 1], 6443));
    let started = Instant::now();
    let answer = tower::service_fn(|_: hyper::Request<Body>| async {
        Ok::<_, Infallible>(hyper::Response::new(Silence))
    });
    let request = hyper::Request::new(Body::empty());
    let response = kube::Client::new(answer, "default").send(request).await.unwrap();
    let watching = watch_until_change(response.into_body(), server);
    timeout(Duration::from_secs(600), watching).await.expect("it ends by itself");
    assert_eq!(started.elapsed(), Duration::from_secs(11), "and not before the server ends it");
}
