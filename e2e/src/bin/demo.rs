//! `demo`: three failovers in a minute, seen by a client. Needs root; `--real` needs `hack/tools.sh`
//! run once.
//!
//! Exit codes: 0 each failover stayed within its limit; 1 one did not; 64 bad arguments.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use pintle_e2e::bed::{Bed, PORT, VIP};
use pintle_e2e::demo::{self, Stage, StandIns};
use pintle_e2e::say::print;
use pintle_e2e::{front, pintle};

/// Shows three failovers: orderly stop, crash, power loss.
#[derive(Debug, Parser)]
struct Arguments {
    /// Real etcd and kube-apiserver instead of stand-ins
    #[arg(long)]
    real: bool,
}

fn main() -> ExitCode {
    let arguments: Arguments = match front::arguments() {
        Ok(arguments) => arguments,
        Err(exit) => return exit,
    };
    front::end("demo", run(&arguments))
}

fn run(arguments: &Arguments) -> Result<bool> {
    let started = Instant::now();
    let binary = pintle::binary()?;
    print(format!(
        "Three control-plane hosts and a client, in network namespaces on one bridge. Each host runs pintle;\n\
         one of them holds {VIP}. The client opens a TCP connection to {VIP}:{PORT} each 5 ms, asks\n\
         for /livez over HTTPS each 50 ms, and asks each 5 ms by ARP who has the address."
    ));
    let mut stage = if arguments.real {
        print("The API servers are real: etcd and kube-apiserver on each host.");
        Stage::Real(Box::new(Bed::start(&binary, Vec::new())?))
    } else {
        print(
            "The API servers are stand-ins inside this program that share one store (there is no etcd here);\n\
             `make demo REAL=1` shows the same with real ones.",
        );
        Stage::StandIn(Box::new(StandIns::start(&binary)?))
    };
    let is_good = demo::play(&mut stage)?;
    drop(stage);
    print(format!("{} s; nothing is left behind", started.elapsed().as_secs()));
    Ok(is_good)
}
