//! A thread a core, each with a runtime and listeners of its own. A connection stays with the thread that accepted
//! it, and none wakes another: to wake a thread costs more than to move a message.

use std::io;
use std::net::TcpListener;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use crate::Shared;
use crate::accept::accept;

/// More threads than this move bytes no faster: the kernel does the work in the network's own.
const MAX_THREADS: usize = 4;

/// How many there are to be.
pub(crate) fn count() -> usize {
    available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS)
}

/// Starts one for each group of listeners; each ends, and its connections with it, when `end` is cancelled.
pub(crate) fn start(
    shared: &Arc<Shared>,
    groups: Vec<Vec<TcpListener>>,
    end: &CancellationToken,
) -> io::Result<()> {
    for listeners in groups {
        let (shared, end) = (Arc::clone(shared), end.clone());
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let work = move || serve(&runtime, shared, listeners, &end);
        let _detached = std::thread::Builder::new().name("balancer".into()).spawn(work)?;
    }
    Ok(())
}

fn serve(
    runtime: &Runtime,
    shared: Arc<Shared>,
    listeners: Vec<TcpListener>,
    end: &CancellationToken,
) {
    runtime.block_on(async {
        for listener in listeners {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => drop(tokio::spawn(accept(Arc::clone(&shared), listener))),
                Err(error) => tracing::error!(%error, "Not listening"),
            }
        }
        end.cancelled().await;
    });
}
