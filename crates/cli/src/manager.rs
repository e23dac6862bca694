//! `pintle manager`: from kube-vip's variables and flags to a configuration.

use std::collections::BTreeMap;

use pintle_core::config::Config;

use crate::exit::{Exit, Failure};
use crate::kube_vip::{Flags, flags, translate};
use crate::{Environment, load, refused};

/// The configuration, and what to warn of once there is a log.
///
/// # Errors
///
/// Everything that pintle would have to pretend, else every mistake in the values.
pub(crate) fn configuration(
    arguments: &[String],
    environment: Environment,
) -> Result<(Config, Vec<String>), Failure> {
    let Flags { mut variables, mut warnings, mut refusals } = flags(arguments);
    let set =
        environment.iter().map(|(name, value)| (name.to_string_lossy(), value.to_string_lossy()));
    let set: BTreeMap<String, String> = set
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    variables.extend(set);
    let translation = translate(&variables);
    refusals.extend(translation.refusals);
    warnings.extend(translation.warnings);
    let config = load::load_control_plane(environment, translation.arguments);
    if refusals.is_empty() {
        return Ok((config.map_err(|mistakes| refused(&mistakes))?, warnings));
    }
    let mut message = format!("pintle: kube-vip's settings are refused\n{}", refusals.join("\n"));
    if let Err(mistakes) = config {
        message = format!("{message}\n{mistakes}");
    }
    Err(Failure::new(Exit::BadConfig, message))
}
