//! What clients of the balancer see when the VIP goes to another host.

use std::io::{ErrorKind, Read as _};
use std::time::{Duration, Instant};

use pintle_testkit::plain::Caller;

use super::bed::{SOON, wait};
use super::scene::{FRONT, HOSTS, Scene};

/// A planned take-over is done in 100 ms (README).
const SLACK: Duration = Duration::from_secs(2);

/// They say nothing: without a word from the former holder they would wait for hours.
#[test]
fn idle_clients_are_told_at_once_and_find_the_next_holder() {
    let mut scene = Scene::with_porters("enabled: true");
    let client = scene.bed.topology.client_ns().clone();
    let mut callers: Vec<_> = (0..2 * HOSTS).map(|_| scene.call(&client)).collect();
    let former = scene.holder;
    let began = Instant::now();
    scene.pintles[former].stop();
    for caller in &mut callers {
        let end = caller.stream.read(&mut [0]).unwrap_err();
        assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    }
    assert!(began.elapsed() < SLACK, "{:?}", began.elapsed());
    wait(SOON, "the next holder serves them", || Caller::call_from(&client, FRONT, SLACK).ok());
    assert_ne!(scene.bed.wait_holder(), former);
}
