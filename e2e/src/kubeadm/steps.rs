//! What an operator does with a cluster, step by step, each asserted from outside.
//!
//! Every step but the first begins and ends with a cluster in which all is well.

mod bootstrap;
mod certificates;
mod chart;
mod kube_vip;
mod power;
mod refusals;
mod role;
mod streams;
mod upgrade;

use anyhow::{Context as _, Result};

use super::bench::Bench;
use crate::say::say;

/// One step.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// What it is asked for by.
    pub name: &'static str,
    /// Whether every change has to pass it.
    pub is_core: bool,
    work: fn(&mut Bench) -> Result<()>,
}

const fn step(name: &'static str, work: fn(&mut Bench) -> Result<()>) -> Step {
    Step { name, is_core: false, work }
}

const fn core(name: &'static str, work: fn(&mut Bench) -> Result<()>) -> Step {
    Step { name, is_core: true, work }
}

/// Every step, in their order.
pub const STEPS: [Step; 18] = [
    core("bootstrap", bootstrap::bootstrap),
    core("crash", power::crash_of_the_holder),
    core("chart", chart::install),
    core("chart-role", role::is_what_is_used),
    step("chart-role-minimal", role::is_minimal),
    step("chart-upgrade", chart::upgrade),
    core("chart-uninstall", chart::uninstall),
    step("reboot", power::reboot_in_turn),
    step("cold-start", power::cold_start),
    step("apiservers", upgrade::api_servers_in_turn),
    step("streams", streams::idle_and_go_on),
    step("certificates", certificates::renewed),
    step("credentials", certificates::replaced),
    step("certificate-without-vip", certificates::without_the_vip),
    step("image", upgrade::image_in_place),
    step("removal", upgrade::manifest_removed),
    step("kube-vip", kube_vip::with_another_image),
    step("refusals", refusals::refusals),
];

/// Does one step.
///
/// # Errors
/// With what is not as it should be.
pub fn run(bench: &mut Bench, step: &Step) -> Result<()> {
    say(format!("==> {}", step.name));
    (step.work)(bench).with_context(|| step.name)
}
