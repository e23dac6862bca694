//! Any answer of `/readyz`: an outcome whose texts are few, short and printable.
#![no_main]

use hyper::StatusCode;
use libfuzzer_sys::fuzz_target;
use pintle_core::ProbeOutcome;

#[path = "../../crates/probe/src"]
#[allow(dead_code, reason = "probe's own module, of which this calls one function")]
mod probe {
    pub(crate) mod readyz;
}

fuzz_target!(|input: (u16, &[u8])| {
    let (number, body) = input;
    let Ok(status) = StatusCode::from_u16(number) else {
        return;
    };
    let outcome =
        probe::readyz::outcome(status, &body[..body.len().min(probe::readyz::BODY_LIMIT)]);
    assert_eq!(outcome == ProbeOutcome::Ready, status == StatusCode::OK);
    if let ProbeOutcome::NotReady(checks) = outcome {
        assert!((1..=16).contains(&checks.len()), "{} checks", checks.len());
        for check in checks {
            let is_printable = check.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            assert!(is_printable && check.len() <= 64, "{check:?}");
        }
    }
});
