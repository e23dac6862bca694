//! Sets up `tracing`: one line per event on stderr, as text or JSON, never waiting for a reader.

mod lossy;

use std::io::{self, Write};

use pintle_core::config::{LogFormat, LogLevel};
use thiserror::Error;
use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::Registry;

pub use self::lossy::Guard;
use self::lossy::Lossy;

/// Every crate of ours, and the binary: the targets that the configured level is for.
const OURS: &str = "pintle";

/// Why logging cannot start.
#[derive(Debug, Error)]
pub enum InitError {
    /// The writer's thread.
    #[error("cannot start the thread that writes the log")]
    Thread(#[source] io::Error),
    /// There is a subscriber already.
    #[error("logging is set up already")]
    Repeated,
}

/// Sends every event of this process to stderr. Lines in flight are written when the guard is
/// dropped, as far as somebody reads them.
///
/// # Errors
/// When it was called before, or the system has no thread left.
pub fn init(level: LogLevel, format: LogFormat) -> Result<Guard, InitError> {
    let (dispatch, guard) = build(level, format, io::stderr()).map_err(InitError::Thread)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| InitError::Repeated)?;
    Ok(guard)
}

fn build(
    level: LogLevel,
    format: LogFormat,
    sink: impl Write + Send + 'static,
) -> io::Result<(Dispatch, Guard)> {
    let (lossy, guard) = Lossy::start(sink)?;
    let lines = fmt::layer().with_writer(lossy).with_ansi(false).log_internal_errors(false);
    let lines: Box<dyn Layer<_> + Send + Sync> = match format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
        }
    };
    let subscriber = Registry::default().with(filter(level)).with(lines);
    Ok((Dispatch::new(subscriber), guard))
}

/// Ours at the level, dependencies from `warn` on.
fn filter(level: LogLevel) -> Targets {
    let ours = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_target(OURS, ours).with_default(ours.min(LevelFilter::WARN))
}

#[cfg(test)]
mod tests;
