//! One connection from its accept to its end.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustix::net::{Shutdown, shutdown};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::Shared;
use crate::accept::Room;
use crate::copy::{Broken, Meter, pump};
use crate::open::Opening;
use crate::patience::follow_readers;
use crate::session::Session;
use crate::stream::{reset, reset_when_told};
use crate::totals::CloseReason;

/// One side has said all, and the other says nothing for so long: nobody waits for an end any more.
const HALF_CLOSED_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves a connection; its place is given back at the end.
pub(crate) async fn serve(client: TcpStream, from: SocketAddr, room: Room) {
    let shared = &room.shared;
    let reason = match Opening::new(shared, &client, from.ip()).open().await {
        Ok(opened) => {
            let session = &opened.seat.session;
            let reason = tokio::select! {
                reason = both_ways(shared, session, &client, &opened.server) => reason,
                reason = session.ending() => reason,
                reason = unanswered(session, opened.answer_by) => reason,
                never = follow_readers(session, &client, &opened.server) => match never {},
            };
            close(reason, &opened.server).await;
            reason
        }
        Err(reason) => reason,
    };
    close(reason, &client).await;
    shared.counters.closed(reason);
}

/// What was no orderly end must not look like one.
async fn close(reason: CloseReason, stream: &TcpStream) {
    match reason {
        CloseReason::BackendDown
        | CloseReason::NoBackend
        | CloseReason::VipLeft
        | CloseReason::Full => reset(stream),
        CloseReason::Broken => reset_when_told(stream).await,
        CloseReason::Ended
        | CloseReason::Handshake
        | CloseReason::HalfClosed
        | CloseReason::Shed => {}
    }
}

async fn both_ways(
    shared: &Shared,
    session: &Session,
    client: &TcpStream,
    server: &TcpStream,
) -> CloseReason {
    let (up, down) = (&shared.counters.bytes_in, &shared.counters.bytes_out);
    let inward = Meter { total: up, own: &session.inward };
    let outward = Meter { total: down, own: &session.outward };
    let mut inward = pin!(pump(client, server, &shared.pipes, inward));
    let mut outward = pin!(pump(server, client, &shared.pipes, outward));
    tokio::select! {
        ended = &mut inward => the_other(ended, server, outward, session).await,
        ended = &mut outward => the_other(ended, client, inward, session).await,
    }
}

/// One way has ended. In order: then its receiver is told so, and the other goes on for as long as it carries anything. Because its
/// receiver broke off: then the other carries what that one had still said. Because its sender did: then
/// there is nobody to carry anything to.
async fn the_other(
    ended: Result<(), Broken>,
    receiver: &TcpStream,
    mut other: Pin<&mut impl Future<Output = Result<(), Broken>>>,
    session: &Session,
) -> CloseReason {
    match ended {
        // Who has gone already need not be told.
        Ok(()) => drop(shutdown(receiver, Shutdown::Write)),
        Err(Broken::Receiver) => {}
        Err(Broken::Sender) => return CloseReason::Broken,
    }
    loop {
        let before = session.moved();
        match timeout(HALF_CLOSED_TIMEOUT, &mut other).await {
            Ok(Ok(())) if ended.is_ok() => return CloseReason::Ended,
            Ok(_) => return CloseReason::Broken,
            Err(_) if session.moved() == before => return CloseReason::HalfClosed,
            Err(_) => {}
        }
    }
}

/// Ends when a backend that had to be taken before it answered has not done so in time.
async fn unanswered(session: &Session, answer_by: Option<Instant>) -> CloseReason {
    if let Some(deadline) = answer_by {
        sleep_until(deadline).await;
        if session.outward.load(Relaxed) == 0 {
            return CloseReason::NoBackend;
        }
    }
    std::future::pending().await
}
