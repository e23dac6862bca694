//! One connection from its accept to its end.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Shared;
use crate::accept::Room;
use crate::copy::{Meter, pump};
use crate::open::Opening;
use crate::stream::reset;
use crate::table::Session;
use crate::totals::CloseReason;

/// One side has said all, and the other says nothing for so long: nobody waits for an end any more.
const HALF_CLOSED_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves a connection; its place is given back at the end.
pub(crate) async fn serve(client: TcpStream, from: SocketAddr, room: Room) {
    let shared = &room.shared;
    let reason = match Opening::new(shared, &client, from.ip()).open().await {
        Ok((server, seat)) => tokio::select! {
            reason = both_ways(shared, &seat.session, &client, &server) => reason,
            () = seat.session.end.cancelled() => {
                if seat.session.is_shed.load(Relaxed) {
                    CloseReason::Shed
                } else {
                    reset(&server);
                    CloseReason::BackendDown
                }
            }
        },
        Err(reason) => reason,
    };
    match reason {
        // What was no orderly end must not look like one.
        CloseReason::BackendDown | CloseReason::NoBackend => reset(&client),
        CloseReason::Ended
        | CloseReason::Handshake
        | CloseReason::HalfClosed
        | CloseReason::Shed
        | CloseReason::Full => {}
    }
    shared.counters.closed(reason);
}

async fn both_ways(
    shared: &Shared,
    session: &Session,
    client: &TcpStream,
    server: &TcpStream,
) -> CloseReason {
    let own = &session.moved;
    let (up, down) = (&shared.counters.bytes_in, &shared.counters.bytes_out);
    let mut inward = pin!(pump(client, server, &shared.pipes, Meter { total: up, own }));
    let mut outward = pin!(pump(server, client, &shared.pipes, Meter { total: down, own }));
    tokio::select! {
        ended = &mut inward => the_other(ended, outward, own).await,
        ended = &mut outward => the_other(ended, inward, own).await,
    }
}

/// One way has ended: in order, and then the other goes on for as long as it carries anything; or not.
async fn the_other(
    ended: io::Result<()>,
    mut other: Pin<&mut impl Future<Output = io::Result<()>>>,
    moved: &AtomicU64,
) -> CloseReason {
    if ended.is_err() {
        return CloseReason::Ended;
    }
    loop {
        let before = moved.load(Relaxed);
        match timeout(HALF_CLOSED_TIMEOUT, &mut other).await {
            Ok(_) => return CloseReason::Ended,
            Err(_) if moved.load(Relaxed) == before => return CloseReason::HalfClosed,
            Err(_) => {}
        }
    }
}
