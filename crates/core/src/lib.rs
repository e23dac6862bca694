//! Decides who may hold the virtual IP. A value: events and the time go in, commands, desired state
//! and one deadline come out.
//!
//! ```text
//!  Event + now --> Machine::handle --> Command (one-shot, answered by an Event)
//!                     |          \---> Desired (latest wins, on a watch channel)
//!                     \--------------> poll_timeout() = (Instant, TimerReason)
//! ```
//!
//! This crate never reads a clock, opens a socket, spawns a task, touches a file or names a
//! Kubernetes type. Decisions cannot fail; only constructors (of a [`config::Config`]) can.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![deny(clippy::wildcard_enum_match_arm)]

pub mod backend;
pub mod command;
pub mod config;
pub mod desired;
mod election;
pub mod event;
mod fence;
mod health;
pub mod lease;
pub mod machine;
pub mod probe;
pub mod server;
pub mod time;
pub mod vip;

pub use backend::{Backend, BackendState, Backends};
pub use command::{Command, LeaseWrite, Notice, WriteKind};
pub use desired::{Claim, Desired, ProbePace, Role, Status, VipDesire};
pub use event::{Event, LeaseAnswer, LeaseFailure};
pub use lease::{AttemptId, Holder, LeaseView, Observed, Version};
pub use machine::{Machine, Settings, TimerReason};
pub use probe::ProbeOutcome;
pub use server::{ClusterCa, Endpoints, Server, ServerId};
pub use time::Instant;
pub use vip::{MacAddr, Vip};
