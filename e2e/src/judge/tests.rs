//! Each rule: what it lets pass, and what it catches.

use super::*;

fn good() -> Evidence {
    Evidence { owners_at_end: vec!["cp-2".to_owned()], ..Evidence::default() }
}

fn failing(rules: &Rules, seen: &Evidence) -> Vec<Check> {
    judge(rules, seen).into_iter().map(|failure| failure.check).collect()
}

fn power_loss() -> Rules {
    Rules {
        gap: Some(GapLimit { client: Client::Tcp, ms: 2700.0, with_etcd_leader_ms: 700.0 }),
        ..Rules::default()
    }
}

#[test]
fn a_gap_is_bounded_and_the_bound_is_wider_with_the_etcd_leader() {
    let mut seen = Evidence { gap_tcp_ms: 2700.0, ..good() };
    assert_eq!(failing(&power_loss(), &seen), []);
    seen.gap_tcp_ms = 2700.1;
    assert_eq!(failing(&power_loss(), &seen), [Check::Gap]);
    seen.etcd_leader_on_holder = true;
    assert_eq!(failing(&power_loss(), &seen), []);
    seen.gap_tcp_ms = 3400.1;
    assert_eq!(failing(&power_loss(), &seen), [Check::Gap]);
}

#[test]
fn the_gap_that_counts_is_that_of_the_rows_client() {
    let mut rules = power_loss();
    let seen = Evidence { gap_https_ms: 9000.0, ..good() };
    assert_eq!(failing(&rules, &seen), []);
    if let Some(limit) = &mut rules.gap {
        limit.client = Client::Https;
    }
    assert_eq!(failing(&rules, &seen), [Check::Gap]);
}

#[test]
fn an_address_that_stays_neither_moves_nor_falls_silent() {
    let rules = Rules { stays: Some(SILENCE_LIMIT_MS), ..Rules::default() };
    assert_eq!(failing(&rules, &good()), []);
    let away = Evidence { silence_ms: 251.0, ..good() };
    assert_eq!(failing(&rules, &away), [Check::Stays]);
    let moved = Evidence { moved: true, moves: 1, ..good() };
    assert_eq!(failing(&rules, &moved), [Check::Stays]);
    let there_and_back = Evidence { moves: 2, ..good() };
    assert_eq!(failing(&rules, &there_and_back), [Check::Stays, Check::Flapping]);
}

#[test]
fn no_connect_fails_where_none_may() {
    let seen = Evidence { failed_connects: 1, ..good() };
    assert_eq!(failing(&Rules::default(), &seen), []);
    let rules = Rules { connects: true, ..Rules::default() };
    assert_eq!(failing(&rules, &seen), [Check::Connects]);
}

#[test]
fn two_holders_are_bounded_in_every_row() {
    let mut seen = Evidence { two_holders_ms: 700.0, ..good() };
    assert_eq!(failing(&Rules::default(), &seen), []);
    seen.two_holders_ms = 700.1;
    assert_eq!(failing(&Rules::default(), &seen), [Check::TwoHolders]);
}

#[test]
fn after_the_heal_not_one_answer_of_a_second_host_passes() {
    let mut seen = Evidence { two_after_heal_ms: Some(0.0), ..good() };
    assert_eq!(failing(&Rules::default(), &seen), [Check::TwoAfterHeal]);
    let graceful = Rules { heal_grace_ms: 1000.0, ..Rules::default() };
    assert_eq!(failing(&graceful, &seen), []);
    seen.two_after_heal_ms = Some(1000.0);
    assert_eq!(failing(&graceful, &seen), [Check::TwoAfterHeal]);
}

#[test]
fn the_end_has_exactly_one_holder() {
    let nobody = Evidence::default();
    assert_eq!(failing(&Rules::default(), &nobody), [Check::OneHolder]);
    let two = Evidence {
        owners_at_end: vec!["cp-1".to_owned(), "cp-2".to_owned()],
        ..Evidence::default()
    };
    assert_eq!(failing(&Rules::default(), &two), [Check::OneHolder]);
}

#[test]
fn only_what_a_late_machine_explains_is_doubtful() {
    let doubtful = |seen: &Evidence, more: &[Failure]| {
        let mut failures = judge(&power_loss(), seen);
        failures.extend_from_slice(more);
        is_doubtful(&power_loss(), seen, &failures)
    };
    let mut seen = Evidence { gap_tcp_ms: 2760.0, stall_ms: 60.0, ..good() };
    assert!(doubtful(&seen, &[]));
    let of_its_own = Failure { check: Check::Alive, text: "ended".to_owned() };
    assert!(!doubtful(&seen, &[of_its_own]));
    seen.stall_ms = 59.0;
    assert!(!doubtful(&seen, &[]));
    assert!(!doubtful(&good(), &[]));
    // Connects were as slow when nothing was wrong.
    seen.noise_ms = 60.0;
    assert!(doubtful(&seen, &[]));
    // The gap had begun before the fault.
    seen.noise_ms = 20.0;
    assert!(!doubtful(&Evidence { lead_ms: 0.5, ..seen.clone() }, &[]));
    assert!(doubtful(&Evidence { lead_ms: 1.0, ..seen }, &[]));
}
