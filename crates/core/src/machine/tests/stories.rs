//! The fault table of the design as one machine lives through it.

mod balanced;
mod candidate;
mod hold;
mod lead;
mod leave;

use super::{Bench, ms};
use crate::command::{Direction, Reason};
use crate::{Command, Event, Instant, LeaseAnswer, LeaseFailure, Role, VipDesire};

fn role(bench: &Bench) -> Role {
    bench.machine.desired().status.role
}

fn reported(bench: &mut Bench) -> Vec<(Direction, Reason)> {
    let reports = bench.take().into_iter().filter_map(|command| match command {
        Command::Report(transition) => Some((transition.direction, transition.reason)),
        _ => None,
    });
    reports.collect()
}

fn hold_until(bench: &Bench) -> Option<Instant> {
    match bench.machine.desired().vips {
        VipDesire::Owned { hold_until, .. } => Some(hold_until),
        _ => None,
    }
}

/// Fails every attempt under way and to come for `length`.
fn all_fail(bench: &mut Bench, failure: LeaseFailure, length: std::time::Duration) {
    let end = bench.now + length;
    while bench.now < end {
        bench.pass(ms(10));
        for command in bench.take() {
            let (Command::ReadLease { attempt, .. } | Command::WriteLease { attempt, .. }) =
                command
            else {
                continue;
            };
            bench.event(Event::LeaseAnswered { attempt, answer: LeaseAnswer::Failed(failure) });
        }
    }
}
