//! What the programs of this crate have in common: arguments in, exit code out.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::say::{log_to_stderr, say};

/// Reads the arguments and sets up the log; or says how to end: 64 for bad arguments, 0 for `--help`.
///
/// # Errors
/// The exit code to end with; everything was said.
pub fn arguments<A: Parser>() -> Result<A, ExitCode> {
    let arguments = A::try_parse().map_err(|error| {
        let _closed = error.print();
        ExitCode::from(if error.use_stderr() { 64 } else { 0 })
    })?;
    log_to_stderr();
    Ok(arguments)
}

/// The end of `program`: 0 when it found all well, 1 when not or when it could not go on.
#[must_use]
pub fn end(program: &str, outcome: Result<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(format!("{program}: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
