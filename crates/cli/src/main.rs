//! The binary `pintle`: hands over to the library and turns its answer into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    pintle_cli::exit_on_panic();
    // Not locked for good: the daemon logs to the same stream from other threads.
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    pintle_cli::main(std::env::args_os(), std::env::vars_os(), &mut out, &mut err).into()
}
