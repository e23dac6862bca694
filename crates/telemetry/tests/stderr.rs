//! The shipped logging, in a process of its own whose stderr nobody reads.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use pintle_core::config::{LogFormat, LogLevel};

/// Set in the process under test.
const CHILD: &str = "PINTLE_TEST_STDERR";

/// The process under test: does something only when the test below runs it.
#[test]
#[ignore = "run by a_process_ends_although_nobody_reads_its_stderr"]
fn logs_without_end() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let guard = pintle_telemetry::log::init(LogLevel::Info, LogFormat::Json).unwrap();
    for line in 0..100_000_u32 {
        tracing::info!(target: "pintle_test", line, "A line that nobody reads");
    }
    assert!(guard.dropped_lines() > 0, "everything was written: stderr was read");
    assert!(pintle_telemetry::log::init(LogLevel::Info, LogFormat::Json).is_err());
}

#[test]
fn a_process_ends_although_nobody_reads_its_stderr() {
    let mut child = spawn_ignored("logs_without_end");
    let deadline = Instant::now() + Duration::from_secs(30);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() >= deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("logging waits for its reader");
        }
        sleep(Duration::from_millis(20));
    };
    assert!(status.success(), "{status}");
}

#[expect(clippy::disallowed_methods, reason = "runs this test binary again, and nothing else")]
fn spawn_ignored(test: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", test, "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}
