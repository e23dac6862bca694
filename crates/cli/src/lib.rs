//! The command line of pintle: arguments, environment and a YAML file in; a checked configuration,
//! a manifest or a status out.
//!
//! ```text
//!  arguments --args--> command --+-- run, check: load --> Config --> daemon
//!                                +-- manifest:  Config --> YAML
//!                                +-- status:    HTTP GET --> text or JSON
//! ```
//!
//! Nothing here binds a port, talks to Kubernetes or changes the network, and nothing decides: it
//! refuses what is wrong before anything else runs, and says everything that is wrong at once.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};

use clap::Parser;
use clap::error::ErrorKind as UsageKind;
use pintle_core::config::{Configuration, Mistakes};

use crate::args::{Cli, Command, ConfigArgs, Manifest, OutputFormat};

mod args;
pub mod check;
mod exit;
mod kube_vip;
mod load;
mod manager;
mod manifest;
mod migrate;
mod run;
mod setting_args;
mod status;
mod yaml;

pub use exit::{Exit, Failure, exit_on_panic};
pub use load::load;

type Environment = Vec<(OsString, OsString)>;

/// Runs one command. Everything it prints goes to `out` and `err`; a reader that has gone away is
/// not worth a word.
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Exit {
    let outcome = match Cli::try_parse_from(arguments) {
        Ok(Cli { command }) => dispatch(command, environment.into_iter().collect(), out, err),
        Err(error) => match error.kind() {
            UsageKind::DisplayHelp | UsageKind::DisplayVersion => {
                print(out, &error.render().to_string()).map(|()| Exit::Success)
            }
            _ => Err(Failure::new(Exit::BadConfig, error.render().to_string().trim_end())),
        },
    };
    outcome.unwrap_or_else(|failure| {
        if !failure.message.is_empty() {
            // Where standard error cannot be written there is nowhere left to say so.
            let _ = writeln!(err, "{failure}");
        }
        failure.exit
    })
}

fn dispatch(
    command: Command,
    environment: Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit, Failure> {
    match command {
        Command::Run(config) => {
            let config = load_config(&config, environment)?;
            run::run(config, &[])
        }
        Command::Check(config) => {
            let config = load_config(&config, environment)?;
            let findings =
                pintle_daemon::check(&config).map_err(|error| internal(&error.into()))?;
            check::print(&findings, out)
                .or_else(|error| ignore_gone(&error).map(|()| Exit::Success))
        }
        Command::Manifest(manifest) => {
            print(out, &printed(&manifest, err)?).map(|()| Exit::Success)
        }
        Command::Status(arguments) => {
            let text = status::status(&arguments, &environment)?;
            print(out, &text).map(|()| Exit::Success)
        }
        Command::Version { output } => print(out, &version(output)).map(|()| Exit::Success),
        Command::Handover(_) => Err(not_yet(
            "handover",
            "stop pintle on the holder (SIGTERM) to move the VIP until then",
        )),
        Command::Manager(arguments) => {
            let (config, warnings) = manager::configuration(&arguments.flags, environment)?;
            run::run(Configuration::ControlPlane(Box::new(config)), &warnings)
        }
    }
}

fn printed(manifest: &Manifest, err: &mut dyn Write) -> Result<String, Failure> {
    match manifest {
        Manifest::StaticPod(args) => {
            let migration = load::migration(&args.from)?;
            let yaml = manifest::static_pod(&args.pod, &migration)?;
            for warning in &migration.warnings {
                // Where standard error cannot be written there is nowhere left to say so.
                let _ = writeln!(err, "pintle: {warning}");
            }
            Ok(yaml)
        }
        Manifest::Daemonset(args) => manifest::daemonset(args),
        Manifest::Rbac(args) if args.proxy => Ok(manifest::rbac_of_proxies()),
        Manifest::Rbac(args) => manifest::rbac(&args.settings),
        Manifest::FlowSchema(settings) => manifest::flow_schema(settings),
        Manifest::Systemd(args) => manifest::systemd(&args.settings, args.distribution),
    }
}

fn load_config(config: &ConfigArgs, environment: Environment) -> Result<Configuration, Failure> {
    load(config.file.as_deref(), environment, config.settings.arguments())
        .map_err(|mistakes| refused(&mistakes))
}

fn refused(mistakes: &Mistakes) -> Failure {
    let noun = if mistakes.count() == 1 { "mistake" } else { "mistakes" };
    let head = format!("pintle: {} {noun} in the configuration", mistakes.count());
    Failure::new(Exit::BadConfig, format!("{head}\n{mistakes}"))
}

fn not_yet(command: &str, advice: &str) -> Failure {
    let message = format!("pintle: `pintle {command}` comes with a later version; {advice}");
    Failure::new(Exit::BadConfig, message)
}

fn internal(error: &anyhow::Error) -> Failure {
    Failure::new(Exit::Internal, format!("pintle: {error:#}"))
}

fn version(output: OutputFormat) -> String {
    let version = env!("CARGO_PKG_VERSION");
    match output {
        OutputFormat::Text => format!("pintle {version}\n"),
        OutputFormat::Json => {
            let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
            format!("{}\n", serde_json::json!({"version": version, "os": os, "arch": arch}))
        }
    }
}

fn print(out: &mut dyn Write, text: &str) -> Result<(), Failure> {
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.or_else(|error| ignore_gone(&error))
}

/// `pintle … | head` closes the pipe early: the reader has what it wanted.
fn ignore_gone(error: &io::Error) -> Result<(), Failure> {
    if error.kind() == ErrorKind::BrokenPipe {
        return Ok(());
    }
    Err(Failure::new(Exit::Internal, format!("pintle: the output cannot be written: {error}")))
}
