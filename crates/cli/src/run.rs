//! `pintle run`: the one place where the command line meets the daemon.

use pintle_core::config::Configuration;
use pintle_daemon::RunError;

use crate::exit::{Exit, Failure};

/// Runs the daemon until it is asked to end; `warnings` are the first lines of its log.
///
/// # Errors
///
/// What keeps the daemon from running, with the exit code that it deserves.
pub(crate) fn run(config: Configuration, warnings: &[String]) -> Result<Exit, Failure> {
    match pintle_daemon::run(config, warnings) {
        Ok(()) => Ok(Exit::Success),
        Err(error) => {
            let exit = match &error {
                RunError::Net(_)
                | RunError::Listen(_)
                | RunError::Balancer(_)
                | RunError::Redirect(_) => Exit::Unavailable,
                RunError::Internal(_) => Exit::Internal,
            };
            Err(Failure::new(exit, format!("pintle: {:#}", anyhow::Error::from(error))))
        }
    }
}
