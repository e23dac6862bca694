//! Exit codes, and how a command ends without success. The codes are contract (design §5).

use std::fmt;
use std::process::ExitCode;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Success = 0,
    /// The command line, the configuration or the environment is wrong (EX_USAGE of sysexits.h).
    BadConfig = 64,
    /// A needed privilege, link, port or service is missing (EX_UNAVAILABLE).
    Unavailable = 69,
    /// pintle itself is wrong (EX_SOFTWARE).
    Internal = 70,
}

/// A command's end without success: what to print, and the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// What the operator reads; empty when everything was said already.
    pub message: String,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Failure {
    /// Ends with `exit` and a message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Makes a panic in any thread end the process with [`Exit::Internal`], whichever way panics were
/// compiled: a supervisor sees the same code from every build, and no half of the program goes on.
pub fn exit_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        #[expect(clippy::exit, reason = "the one place where a panic becomes an exit code")]
        std::process::exit(Exit::Internal as i32);
    }));
}
