//! `bench-balancer`: pintle's balancer beside HAProxy and nginx. Needs root, and `hack/setup.sh balancers`.
//!
//! Exit codes: 0 everything was measured; 1 something was not, or a control was not noticed; 64 bad
//! arguments.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use pintle_e2e::balance_bench::{
    BackendArguments, Contender, Cores, Phase, Plan, Programs, Size, backend, controls, load,
    measure, table, write_json,
};
use pintle_e2e::say::print;
use pintle_e2e::{front, pintle, workspace};

/// Measures pintle's balancer, HAProxy and nginx in turn, in the same namespaces on the same cores.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often each is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    /// Only these rows (repeatable) [default: all]
    #[arg(long = "row", value_name = "NAME")]
    rows: Vec<RowName>,
    /// Only these balancers beside pintle (repeatable) [default: all]
    #[arg(long = "peer", value_name = "NAME")]
    peers: Vec<PeerName>,
    /// Seconds instead of minutes: does everything work?
    #[arg(long)]
    quick: bool,
    /// Breaks something in each run instead, which must be noticed
    #[arg(long)]
    controls: bool,
    /// Puts the table into this page
    #[arg(long, value_name = "FILE")]
    write_docs: Option<PathBuf>,
    /// Even if the run was short, the machine busy, or something failed
    #[arg(long)]
    preliminary: bool,
    /// Where the figures go [default: target/bench-balancer]
    #[arg(long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What the bench starts of itself.
#[derive(Debug, Subcommand)]
enum Part {
    /// A backend
    #[command(hide = true)]
    Backend(BackendArguments),
    /// Clients
    #[command(hide = true)]
    Load {
        /// What to do, in JSON
        order: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RowName {
    Downloads,
    Connections,
    RoundTrips,
    Memory,
    Killed,
    Hung,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PeerName {
    Haproxy,
    HaproxySplice,
    Nginx,
    Direct,
}

fn main() -> ExitCode {
    let arguments: Arguments = match front::arguments() {
        Ok(arguments) => arguments,
        Err(exit) => return exit,
    };
    front::end("bench-balancer", run(&arguments))
}

fn run(arguments: &Arguments) -> Result<bool> {
    match &arguments.part {
        Some(Part::Backend(told)) => return backend::serve(told).map(|()| true),
        Some(Part::Load { order }) => return load::work(order).map(|()| true),
        None => {}
    }
    let programs = Programs::find(&pintle::binary()?)?;
    let cores = Cores::here()?;
    if arguments.controls {
        return controls::run(&programs, &cores);
    }
    let results = measure(&plan(arguments)?, &programs, &cores)?;
    let output = arguments.output.clone();
    write_json(&output.unwrap_or_else(|| workspace().join("target/bench-balancer")), &results)?;
    print(table::terminal(&results));
    if let Some(page) = &arguments.write_docs {
        table::write_docs(page, &results, arguments.preliminary)?;
    }
    Ok(results.failures.is_empty())
}

fn plan(arguments: &Arguments) -> Result<Plan> {
    let phase = |row: &RowName| match row {
        RowName::Downloads => Phase::Downloads,
        RowName::Connections => Phase::Connections,
        RowName::RoundTrips => Phase::RoundTrips,
        RowName::Memory => Phase::Memory,
        RowName::Killed => Phase::Killed,
        RowName::Hung => Phase::Hung,
    };
    let phases = if arguments.rows.is_empty() {
        Phase::ALL.to_vec()
    } else {
        arguments.rows.iter().map(phase).collect()
    };
    let is_wanted = |contender: &Contender| {
        let name = match contender {
            Contender::Pintle => return true,
            Contender::Haproxy => PeerName::Haproxy,
            Contender::HaproxySplice => PeerName::HaproxySplice,
            Contender::Nginx => PeerName::Nginx,
            Contender::Direct => PeerName::Direct,
        };
        arguments.peers.is_empty() || arguments.peers.contains(&name)
    };
    Ok(Plan {
        rounds: usize::try_from(arguments.rounds)?,
        size: if arguments.quick { Size::QUICK } else { Size::FULL },
        phases,
        contenders: Contender::ALL.into_iter().filter(is_wanted).collect(),
    })
}
