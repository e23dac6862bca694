//! The whole crate against stand-in API servers, over real TLS connections.

#[cfg(test)]
#[path = "adapter/bench.rs"]
mod bench;
#[cfg(test)]
#[path = "adapter/chain.rs"]
mod chain;
#[cfg(test)]
#[path = "adapter/discover.rs"]
mod discover;
#[cfg(test)]
#[path = "adapter/lease.rs"]
mod lease;
#[cfg(test)]
#[path = "adapter/log.rs"]
mod log;
#[cfg(test)]
#[path = "adapter/side.rs"]
mod side;
#[cfg(test)]
#[path = "adapter/watch.rs"]
mod watch;
