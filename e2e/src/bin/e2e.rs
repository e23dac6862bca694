//! `e2e`: the fault table on the real control plane. Needs root, and `hack/tools.sh` run once.
//!
//! Exit codes: 0 every run passed; 1 one did not, or a control passed that must fail; 64 bad
//! arguments.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use pintle_e2e::machine::{Machine, Versions};
use pintle_e2e::report::Columns;
use pintle_e2e::results::{Results, RowResults};
use pintle_e2e::rows::{self, ROLLING, ROWS, Row};
use pintle_e2e::runner::Runner;
use pintle_e2e::say::{print, say};
use pintle_e2e::{front, pintle, report, workspace};

/// Of a row that failed its only run.
const SECOND_LOOK_RUNS: usize = 3;

/// Runs the fault table: three hosts with etcd, kube-apiserver and pintle each, and a client.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many runs each row has in the end; those that are there already are not made again
    #[arg(long, default_value_t = 10)]
    runs: usize,
    /// Each row once, beginning anew, with results of its own; a row that fails, twice more, and both
    /// must pass
    #[arg(long, conflicts_with_all = ["runs", "resume"])]
    once: bool,
    /// Only this row; may be given several times
    #[arg(long = "row", value_name = "ID")]
    rows: Vec<String>,
    /// Goes on with the results that are there (the default)
    #[arg(long)]
    resume: bool,
    /// Begins anew; with --row, only the rows that are named
    #[arg(long, conflicts_with = "resume")]
    fresh: bool,
    /// Each row's control instead: the judge must fail it
    #[arg(long)]
    controls: bool,
    /// With the balancer on, and results of their own
    #[arg(long)]
    balanced: bool,
    /// Repeats the choices of an earlier call, where none of its results are gone on with
    #[arg(long)]
    seed: Option<u64>,
    /// Stops at the first failure and leaves everything running until interrupted
    #[arg(long)]
    keep: bool,
    /// Where results and the logs of failed runs go [default: target/e2e]
    #[arg(long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
    /// Prints the rows and ends
    #[arg(long)]
    list: bool,
    /// Prints the results that are there as the README's table and ends
    #[arg(long)]
    markdown: bool,
    /// Puts them between the markers in this file and ends
    #[arg(long, value_name = "FILE")]
    write_readme: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments: Arguments = match front::arguments() {
        Ok(arguments) => arguments,
        Err(exit) => return exit,
    };
    let rows: Vec<Row> = match selected(&arguments.rows, arguments.balanced) {
        Ok(rows) if arguments.balanced => rows.iter().map(|row| row.with_balancer()).collect(),
        Ok(rows) => rows.into_iter().copied().collect(),
        Err(error) => {
            say(format!("e2e: {error:#}"));
            return ExitCode::from(64);
        }
    };
    front::end("e2e", run(&arguments, &rows.iter().collect::<Vec<_>>()))
}

fn run(arguments: &Arguments, rows: &[&Row]) -> Result<bool> {
    if arguments.list {
        print(report::aligned(&rows.iter().copied().map(listed).collect::<Vec<_>>()));
        return Ok(true);
    }
    let output = arguments.output.clone();
    let mut output = output.unwrap_or_else(|| workspace().join("target/e2e"));
    if arguments.markdown || arguments.write_readme.is_some() {
        let read = |directory: &Path| -> Result<Results> {
            let results = Results::read(&directory.join("results.json"))?;
            results.context("there are no results yet: run `make e2e`")
        };
        let (plain, balanced) = (read(&output)?, read(&output.join("balanced"))?);
        let columns = Columns { plain: &plain, balanced: &balanced };
        match &arguments.write_readme {
            Some(path) => columns.write(path)?,
            None => print(columns.markdown()),
        }
        return Ok(true);
    }
    if arguments.balanced {
        output = output.join("balanced");
    }
    let binary = pintle::binary()?;
    if arguments.once {
        // The figures of ten runs are not thrown away for those of one.
        output = output.join("once");
    }
    let runs = if arguments.once { 1 } else { arguments.runs };
    let seed = arguments.seed.unwrap_or_else(|| std::process::id().into());
    let mut results = if arguments.once {
        Results::new(Machine::here(), Versions::of(&binary)?, seed)
    } else {
        prepare(&output, &binary, seed)?
    };
    if arguments.fresh {
        results.forget(rows);
    }
    let mut runner =
        Runner::new(&binary, &output, results.seed, arguments.keep).balanced(arguments.balanced);
    if arguments.controls {
        return run_controls(&mut runner, rows);
    }
    for row in rows {
        runner.run_row(row, runs, &mut results)?;
        if arguments.once && results.row(row.id).is_some_and(is_worth_a_second_look) {
            say(format!("    {} failed: twice more, and both must pass", row.id));
            runner.run_row(row, SECOND_LOOK_RUNS, &mut results)?;
        }
    }
    drop(runner);
    print(report::table(&results));
    let stood_second_look =
        |row: &RowResults| row.failed() == 1 && row.runs.len() == SECOND_LOOK_RUNS;
    let passed = |row: &RowResults| row.passed() || (arguments.once && stood_second_look(row));
    Ok(rows.iter().all(|row| results.row(row.id).is_some_and(passed)))
}

/// One run says little on a machine that loses tenths of a second to its neighbours.
fn is_worth_a_second_look(row: &RowResults) -> bool {
    !row.passed() && row.may_be_slowness()
}

fn run_controls(runner: &mut Runner, rows: &[&Row]) -> Result<bool> {
    let mut blind = Vec::new();
    for row in rows {
        if !runner.run_control(row)? {
            blind.push(row.id);
        }
    }
    if blind.is_empty() {
        print(format!("{} controls failed as they must", rows.len()));
    } else {
        print(format!("the judge is blind in these rows: {}", blind.join(", ")));
    }
    Ok(blind.is_empty())
}

/// The results to go on with: those that are there, if they are of this build on this machine.
fn prepare(output: &Path, binary: &Path, seed: u64) -> Result<Results> {
    let (machine, versions) = (Machine::here(), Versions::of(binary)?);
    let path = output.join("results.json");
    if let Some(results) = Results::read(&path)? {
        if results.is_of(&machine, &versions) {
            let runs: usize = results.rows.iter().map(|row| row.runs.len()).sum();
            say(format!("going on with the {runs} runs in {}", path.display()));
            return Ok(results);
        }
        let kept = output.join(format!("results-{}.json", results.versions.pintle_build));
        std::fs::rename(&path, &kept)?;
        say(format!(
            "another pintle or another machine: earlier results are in {}",
            kept.display()
        ));
    }
    Ok(Results::new(machine, versions, seed))
}

/// The rows of these names, or all of them; the rolling ones need the balancer.
fn selected(ids: &[String], balanced: bool) -> Result<Vec<&'static Row>> {
    if ids.is_empty() {
        let more = if balanced { ROLLING } else { &[] };
        return Ok(ROWS.iter().chain(more).collect());
    }
    let find = |id: &String| {
        let row = rows::row(id).with_context(|| format!("no row {id}: see --list"))?;
        ensure!(balanced || !row.is_rolling(), "{id} needs the balancer: add --balanced");
        Ok(row)
    };
    ids.iter().map(find).collect()
}

fn listed(row: &Row) -> Vec<String> {
    [row.id, row.title, row.limit].map(str::to_owned).to_vec()
}
