//! The searches: each goes far in one direction.

use pintle_core::config::ApiLoss;

use crate::bounds::{Bounds, Start};
use crate::check::{FIRST_LEADS, HELD_BESIDE_ENTITLED, LIVE_HOLDER_LOSES, SECOND_LEADS, check};

const NARROW: Bounds = Bounds {
    nodes: 2,
    start: Start::Released,
    on_api_loss: ApiLoss::Hold,
    lease: 2,
    ticks: 2,
    patience: 2,
    victims: 1,
    slow: 0,
    news: 1,
    naps: 0,
    restarts: 0,
    flaps: 0,
};

#[test]
fn two_nodes() {
    let bounds = Bounds { slow: 1, ..NARROW };
    check(bounds, &[FIRST_LEADS, SECOND_LEADS, LIVE_HOLDER_LOSES, HELD_BESIDE_ENTITLED]);
}

/// Each sender gives up at the next tick, and what it asked for may be carried out all the same.
#[test]
fn two_nodes_whose_requests_outlive_the_wait() {
    let bounds = Bounds { slow: 1, patience: 1, ..NARROW };
    check(bounds, &[FIRST_LEADS, SECOND_LEADS, LIVE_HOLDER_LOSES, HELD_BESIDE_ENTITLED]);
}

#[test]
fn two_nodes_that_do_not_always_run() {
    let bounds = Bounds { naps: 1, ..NARROW };
    check(bounds, &[FIRST_LEADS, SECOND_LEADS, LIVE_HOLDER_LOSES, HELD_BESIDE_ENTITLED]);
}

#[test]
fn two_nodes_and_a_process_that_starts_again() {
    let bounds = Bounds { start: Start::Led, restarts: 1, ..NARROW };
    check(bounds, &[FIRST_LEADS, SECOND_LEADS, HELD_BESIDE_ENTITLED]);
}

#[test]
fn three_nodes() {
    let bounds = Bounds { nodes: 3, start: Start::Led, victims: 3, ..NARROW };
    check(bounds, &[FIRST_LEADS, SECOND_LEADS, HELD_BESIDE_ENTITLED]);
}

#[test]
fn two_nodes_and_a_link_that_fails() {
    let bounds = Bounds { start: Start::Led, ticks: 1, flaps: 1, ..NARROW };
    check(bounds, &[FIRST_LEADS, SECOND_LEADS]);
}

/// On the default's timing: what was sent before the departure is still on its way after it, and the
/// release, too. Without *held*, which would end a right early, and hide one that is too long.
#[test]
fn two_nodes_and_a_departure() {
    let on_api_loss = ApiLoss::Release;
    let bounds =
        Bounds { start: Start::Departing, on_api_loss, lease: 5, ticks: 5, slow: 1, ..NARROW };
    check(bounds, &[FIRST_LEADS, SECOND_LEADS]);
}
