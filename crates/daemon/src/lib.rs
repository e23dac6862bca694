//! Wires core, the adapters and telemetry into the running pintle. Decides nothing.
//!
//! Threads (ARCHITECTURE.md says why): `control` with the event loop and every adapter, and the
//! caller's, which serves HTTP and waits for signals. Tasks are named in the modules `control` and `wiring`.

#![forbid(unsafe_code)]

mod board;
mod check;
mod clock;
mod control;
mod error;
mod front;
mod incarnation;
mod notice;
mod outputs;
mod privileges;
mod proxy;
mod registry;
mod run;
mod servers;
mod service_manager;
mod states;
mod wiring;

pub use check::{Finding, Level, check};
pub use clock::now;
pub use error::RunError;
pub use run::run;
