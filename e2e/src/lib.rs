//! Whole-product tests: pintle on three hosts with a real control plane, faults, and a judge outside.
//!
//! Programs: `e2e` runs the fault table, `demo` shows three failovers, `bench-idle` prints what an idle
//! pintle costs, `bench-balancer` puts the balancer beside others. Nothing that ships depends on this
//! crate, and it links nothing of what ships: the product is a binary that is started like any other.
//!
//! ```text
//! runner --> bed (hosts, etcd, API servers, pintles)
//!    |         ^
//!    +--> scene: prober on, fault, heal, prober off  <-- rows: what breaks, what is demanded
//!              |
//!              +--> judge: evidence against rules --> results --> report
//! ```

#![forbid(unsafe_code)]

use std::path::PathBuf;

pub mod address_watch;
pub mod balance_bench;
pub mod bed;
pub mod demo;
pub mod front;
pub mod idle;
pub mod judge;
pub mod kubeadm;
pub mod machine;
pub mod pintle;
pub mod random;
pub mod report;
pub mod results;
pub mod rows;
pub mod runner;
pub mod say;
pub mod scene;

/// The checkout's root.
#[must_use]
pub fn workspace() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.clone(), PathBuf::from)
}
