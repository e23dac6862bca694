//! `pintle status`: asks the pintle of this node, by HTTP, and says it in words.

use std::net::SocketAddr;

use pintle_core::config::{Fallback, Key, key};

use crate::Environment;
use crate::args::{OutputFormat, StatusArgs};
use crate::exit::{Exit, Failure};

mod http;
mod words;

/// The status as text, or as the JSON that the daemon sent.
///
/// # Errors
///
/// When nobody answers, or answers something else.
pub(crate) fn status(arguments: &StatusArgs, environment: &Environment) -> Result<String, Failure> {
    let address = address(arguments.address, environment)?;
    let body = http::get(address, "/status").map_err(|error| {
        let advice = "is pintle running on this node, with this telemetry.address? \
                      `--address` asks elsewhere";
        Failure::new(Exit::Unavailable, format!("pintle: {address}: {error}; {advice}"))
    })?;
    let status: serde_json::Value = serde_json::from_slice(&body).map_err(|error| {
        let message = format!("pintle: {address} answers something that is no status: {error}");
        Failure::new(Exit::Unavailable, message)
    })?;
    Ok(match arguments.output {
        OutputFormat::Json => format!("{status:#}\n"),
        OutputFormat::Text => words::describe(&status),
    })
}

/// Flag over environment over default, as everywhere.
fn address(flag: Option<SocketAddr>, environment: &Environment) -> Result<SocketAddr, Failure> {
    if let Some(address) = flag {
        return Ok(address);
    }
    let Some(key) = key("telemetry.address") else {
        return Err(Failure::new(Exit::Internal, "pintle: there is no key telemetry.address"));
    };
    let variable = key.variable();
    let given = environment.iter().find(|(name, _)| *name == *variable);
    let text =
        given.map_or_else(|| fallback(key), |(_, value)| value.to_string_lossy().into_owned());
    text.parse().map_err(|_| {
        let message = format!("pintle: {variable}: {text:?} is not ADDRESS:PORT");
        Failure::new(Exit::BadConfig, message)
    })
}

fn fallback(key: &Key) -> String {
    match key.fallback {
        Fallback::Text(text) => text.to_owned(),
        Fallback::Required(_) | Fallback::Found { .. } => String::new(),
    }
}
