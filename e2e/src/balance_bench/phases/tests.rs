use super::super::load::{Attempt, Held};
use super::*;

const NAMES: [&str; 4] = ["failed", "until", "longest", "held"];

fn at(millis: u64) -> Duration {
    Duration::from_secs(100) + Duration::from_millis(millis)
}

fn attempt(began: u64, ended: u64, error: Option<&str>) -> Attempt {
    Attempt { began: at(began), ended: at(ended), error: error.map(str::to_owned) }
}

/// Broken at 500, watched until 2500.
fn observed(attempts: Vec<Attempt>) -> Observed {
    let held = |backend, ended: Option<u64>| Held { backend, ended: ended.map(at) };
    Observed { attempts, held: vec![held(0, None), held(2, Some(510)), held(2, Some(900))] }
}

fn judged(observed: &Observed) -> Result<Figures> {
    judge(observed, at(500), 2000, NAMES)
}

#[test]
fn failures_and_stalls_count_from_the_fault() {
    let attempts = vec![
        attempt(0, 1, None),
        attempt(505, 506, Some("refused")),
        attempt(700, 1700, None),
        attempt(900, 901, None),
    ];
    let figures = judged(&observed(attempts)).unwrap();
    assert_eq!(NAMES.map(|name| figures[name]), [1.0, 200.0, 1000.0, 400.0]);
}

#[test]
fn an_attempt_that_the_fault_met_counts() {
    let attempts = vec![attempt(0, 1, None), attempt(499, 3499, Some("no answer"))];
    let figures = judged(&observed(attempts)).unwrap();
    assert_eq!((figures["failed"], figures["until"], figures["longest"]), (1.0, 0.0, 3000.0));
}

#[test]
fn a_session_that_is_never_ended_is_as_long_as_was_watched() {
    let mut seen = observed(vec![attempt(0, 1, None), attempt(600, 601, None)]);
    seen.held[1].ended = None;
    assert_eq!(judged(&seen).unwrap()["held"], 2000.0);
}

#[test]
fn what_says_nothing_about_the_fault_is_no_figure() {
    let good = || vec![attempt(0, 1, None), attempt(600, 601, None)];
    assert!(judged(&observed(good())).is_ok());
    let mut bad_before = good();
    bad_before.insert(1, attempt(2, 3, Some("refused")));
    let mut nobody_s = observed(good());
    nobody_s.held.retain(|held| held.backend == 0);
    let mut others = observed(good());
    others.held[0].ended = Some(at(700));
    for (number, seen) in
        [observed(bad_before), nobody_s, others, observed(Vec::new())].into_iter().enumerate()
    {
        assert!(judged(&seen).is_err(), "{number}");
    }
    let wrong = Report { done: 10, errors: 1, ..Report::default() };
    assert!(faultless(&wrong).is_err() && faultless(&Report::default()).is_err());
}
