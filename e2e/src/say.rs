//! What the programs of this crate tell the person in front of them.
//!
//! Progress goes to standard error, so that standard output holds only what was asked for.

use std::fmt::Display;
use std::io::Write as _;
use std::time::Duration;

/// Tells progress: one line on standard error.
pub fn say(line: impl Display) {
    // Nobody is left to be told when standard error is closed.
    let _closed = writeln!(std::io::stderr().lock(), "{line}");
}

/// Prints a result: one line, or several, on standard output.
pub fn print(text: impl Display) {
    let _closed = writeln!(std::io::stdout().lock(), "{text}");
}

/// Milliseconds with one decimal, the resolution that a probe each 5 ms deserves.
#[must_use]
pub fn millis(length: Duration) -> f64 {
    (length.as_secs_f64() * 1e4).round() / 10.0
}

/// Sends the crate's own warnings to standard error; `PINTLE_E2E_LOG=debug` shows more.
pub fn log_to_stderr() {
    let level = std::env::var("PINTLE_E2E_LOG").unwrap_or_else(|_unset| "warn".to_owned());
    let level = level.parse().unwrap_or(tracing::Level::WARN);
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).init();
}
