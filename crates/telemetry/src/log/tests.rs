//! What is written, what is filtered, and what a reader that does not read can do: nothing.

use std::io::{Read as _, pipe};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tracing::dispatcher::with_default;

use super::*;

/// A sink that the test can read.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Page {
    fn push(&self, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written of these events.
fn written(level: LogLevel, format: LogFormat, events: impl FnOnce()) -> Vec<String> {
    let page = Page::default();
    let (dispatch, guard) = build(level, format, page.clone()).unwrap();
    with_default(&dispatch, events);
    assert_eq!(guard.dropped_lines(), 0);
    drop(guard);
    let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn text_is_a_time_a_level_a_message_and_fields() {
    let lines = written(LogLevel::Info, LogFormat::Text, || {
        tracing::info!(vip = "192.0.2.10", from = "cp-1", detect_ms = 1.5, "vip.acquired");
    });
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    let (time, rest) = line.split_once(' ').unwrap();
    assert!(time.starts_with("20") && time.ends_with('Z'), "{time:?}");
    assert_eq!(rest, r#" INFO vip.acquired vip="192.0.2.10" from="cp-1" detect_ms=1.5"#);
}

#[test]
fn json_is_one_flat_object_a_line() {
    let lines = written(LogLevel::Info, LogFormat::Json, || {
        tracing::info!(vip = "192.0.2.10", from = "two\nlines", detect_ms = 1.5, "vip.acquired");
        tracing::warn!("Second");
    });
    assert_eq!(lines.len(), 2, "{lines:?}");
    let first: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(first["message"], "vip.acquired");
    assert_eq!(first["level"], "INFO");
    assert_eq!(first["vip"], "192.0.2.10");
    assert_eq!(first["from"], "two\nlines");
    assert_eq!(first["detect_ms"], 1.5);
    assert!(first["timestamp"].is_string());
}

#[test]
fn a_line_break_in_a_field_makes_no_line_of_its_own() {
    let lines = written(LogLevel::Info, LogFormat::Text, || {
        tracing::info!(holder = "cp-1\n2026-01-01T00:00:00Z  INFO vip.lost", "Holder");
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn the_level_is_for_ours_and_dependencies_speak_up_from_warn() {
    let events = || {
        tracing::error!(target: "pintle_net", "ours error");
        tracing::debug!(target: "pintle_net::applier", "ours debug");
        tracing::trace!(target: "pintle_net", "ours trace");
        tracing::warn!(target: "kube_client", "theirs warn");
        tracing::info!(target: "kube_client", "theirs info");
    };
    let said = |level| -> String {
        let lines = written(level, LogFormat::Text, events);
        lines
            .iter()
            .map(|line| {
                format!(
                    "{}; ",
                    line.split_once("  ").map_or_else(
                        || line.splitn(3, ' ').nth(2).unwrap(),
                        |(_, rest)| rest.split_once(' ').unwrap().1,
                    )
                )
            })
            .collect()
    };
    assert_eq!(said(LogLevel::Error), "ours error; ");
    assert_eq!(said(LogLevel::Info), "ours error; theirs warn; ");
    assert_eq!(said(LogLevel::Debug), "ours error; ours debug; theirs warn; ");
    assert_eq!(said(LogLevel::Trace), "ours error; ours debug; ours trace; theirs warn; ");
}

#[test]
fn a_pipe_that_nobody_reads_stops_nobody() {
    let (mut reader, sink) = pipe().unwrap();
    let (dispatch, guard) = build(LogLevel::Info, LogFormat::Text, sink).unwrap();
    let (done, returned) = mpsc::channel();
    thread::spawn(move || {
        with_default(&dispatch, || {
            for line in 0..100_000_u32 {
                tracing::info!(line, "A line that is long enough to fill any pipe before long");
            }
        });
        let dropped = guard.dropped_lines();
        drop(guard);
        done.send(dropped).unwrap();
    });
    // A writer that waits is here for ever; this is a bound for a very slow machine.
    let dropped = returned.recv_timeout(Duration::from_secs(30)).expect("logging waits");
    assert!(dropped > 90_000, "{dropped} lines dropped");
    let mut first = [0; 4];
    reader.read_exact(&mut first).unwrap();
    assert_eq!(&first[..2], b"20", "the first lines are there for whoever reads at last");
}

#[test]
fn the_queue_is_bounded_in_bytes_too() {
    let (_reader, sink) = pipe().unwrap();
    let (dispatch, guard) = build(LogLevel::Info, LogFormat::Text, sink).unwrap();
    let long = "x".repeat(64 * 1024);
    with_default(&dispatch, || {
        for _ in 0..64 {
            tracing::info!(long, "Long");
        }
    });
    // 512 KiB hold seven; one or two more are in the writer's hands.
    assert!(guard.dropped_lines() >= 54, "{} of 64 dropped", guard.dropped_lines());
}

#[test]
fn the_guard_writes_what_is_left() {
    struct Slow(Page);
    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            thread::sleep(Duration::from_millis(2));
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let page = Page::default();
    let (dispatch, guard) = build(LogLevel::Info, LogFormat::Text, Slow(page.clone())).unwrap();
    with_default(&dispatch, || (0..50).for_each(|line| tracing::info!(line, "Line")));
    drop(guard);
    let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), 50);
}
