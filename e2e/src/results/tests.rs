//! Medians, what is still to be done, and a file that survives a round trip.

use super::*;
use crate::judge::Check;
use crate::rows::ROWS;

pub(crate) fn run(number: usize, headline_ms: f64) -> RunRecord {
    RunRecord {
        number,
        seed: 7,
        passed: true,
        headline_ms: Some(headline_ms),
        phase_ms: 123.4,
        evidence: Evidence {
            gap_tcp_ms: headline_ms,
            owners_at_end: vec!["cp-2".to_owned()],
            ..Evidence::default()
        },
        figures: BTreeMap::new(),
        failures: Vec::new(),
    }
}

#[test]
fn a_median_is_the_middle_or_the_mean_of_two() {
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[3.0]), Some(3.0));
    assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), Some(3.0));
}

#[test]
fn only_runs_that_are_not_there_are_missing() {
    let mut results = Results::default();
    assert_eq!(results.missing("sigterm", 3), [0, 1, 2]);
    results.add(&ROWS[0], run(1, 10.0));
    assert_eq!(results.missing("sigterm", 3), [0, 2]);
    assert_eq!(results.missing("sigkill", 1), [0]);
    assert!(results.missing("sigterm", 0).is_empty());
}

#[test]
fn a_run_made_again_takes_the_place_of_the_first() {
    let mut results = Results::default();
    let mut failed = run(0, 500.0);
    failed.passed = false;
    failed.failures.push(Failure { check: Check::Gap, text: "too long".to_owned() });
    results.add(&ROWS[0], failed);
    results.add(&ROWS[0], run(1, 20.0));
    let row = results.row("sigterm").unwrap();
    assert_eq!((row.passed(), row.worst_ms), (false, Some(500.0)));
    results.add(&ROWS[0], run(0, 30.0));
    let row = results.row("sigterm").unwrap();
    assert_eq!((row.passed(), row.worst_ms, row.median_ms), (true, Some(30.0), Some(25.0)));
    assert_eq!(row.runs.len(), 2);
}

#[test]
fn only_the_rows_that_are_named_begin_anew() {
    let mut results = Results::default();
    results.add(&ROWS[0], run(0, 1.0));
    results.add(&ROWS[1], run(0, 1.0));
    results.forget(&[&ROWS[0]]);
    let left: Vec<&str> = results.rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(left, [ROWS[1].id]);
}

#[test]
fn a_row_without_runs_has_not_passed() {
    assert!(!RowResults::new(&ROWS[0]).passed());
}

#[test]
fn figures_of_another_build_do_not_stand_beside_new_ones() {
    let versions = Versions { pintle_build: "a".to_owned(), ..Versions::default() };
    let results = Results::new(Machine::default(), versions.clone(), 1);
    assert!(results.is_of(&Machine::default(), &versions));
    assert!(!results.is_of(&Machine::default(), &Versions::default()));
}

#[test]
fn what_is_written_is_read_again() {
    let directory = std::env::temp_dir().join(format!("pintle-results-{}", std::process::id()));
    let path = directory.join("results.json");
    assert_eq!(Results::read(&path).unwrap(), None);
    let mut results = Results::new(Machine::here(), Versions::default(), u64::MAX);
    results.add(&ROWS[0], run(0, 12.5));
    results.write(&path).unwrap();
    assert_eq!(Results::read(&path).unwrap(), Some(results));
    fs::write(&path, "{").unwrap();
    assert!(Results::read(&path).is_err());
    fs::remove_dir_all(&directory).unwrap();
}
