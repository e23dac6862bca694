//! `bench-idle`: what pintle costs while nothing happens. Needs root, and `hack/tools.sh` run once.
//!
//! Exit codes: 0 within the limits; 1 over one; 64 bad arguments.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use pintle_e2e::machine::{Machine, Versions};
use pintle_e2e::say::{print, say};
use pintle_e2e::{front, idle};
use pintle_e2e::{pintle, workspace};

/// Watches an idle holder and two idle followers on the real control plane.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long, in seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..))]
    seconds: u64,
    /// Where the figures go [default: target/e2e]
    #[arg(long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments: Arguments = match front::arguments() {
        Ok(arguments) => arguments,
        Err(exit) => return exit,
    };
    front::end("bench-idle", run(&arguments))
}

fn run(arguments: &Arguments) -> Result<bool> {
    let binary = pintle::binary()?;
    let length = Duration::from_secs(arguments.seconds);
    say(format!("starting three hosts, then watching them do nothing for {length:?}"));
    let mut idle = idle::measure(&binary, length)?;
    idle.machine = Machine::here();
    idle.versions = Versions::of(&binary)?;
    let output = arguments.output.clone();
    let output = output.unwrap_or_else(|| workspace().join("target/e2e"));
    std::fs::create_dir_all(&output)?;
    std::fs::write(output.join("idle.json"), serde_json::to_string_pretty(&idle)? + "\n")?;
    print(idle::table(&idle));
    Ok(idle.failures().is_empty())
}
