//! One HTTPS connection to one API server, kept from probe to probe.
//!
//! A failure is told as the [`ProbeOutcome`] that it means. Nothing here has a timeout: the caller
//! bounds the whole probe and drops what it no longer waits for.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::CONNECTION;
use hyper::{Request, Response, Version};
use hyper_util::rt::TokioIo;
use pintle_core::ProbeOutcome;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use crate::readyz::{self, BODY_LIMIT};
use crate::trust::Trust;

/// Room for the head of an answer, and what is read at once of its body.
const READ_BUFFER: usize = 16 * 1024;

/// Bytes of a TLS failure's reason: certificate errors list every name, and one line should do.
const MAX_REASON: usize = 256;

/// An open connection. Dropping it closes it.
pub(crate) struct Connection {
    requests: SendRequest<Empty<Bytes>>,
    driver: AbortOnDropHandle<()>,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) outcome: ProbeOutcome,
    /// The connection may carry another request, as far as the server said: that it ends without a
    /// word is news, however soon it does.
    pub(crate) is_reusable: bool,
}

// === impl Connection ===

impl Connection {
    pub(crate) async fn open(
        address: SocketAddr,
        trust: &Trust,
        server_name: &ServerName<'static>,
    ) -> Result<Self, ProbeOutcome> {
        let tcp = TcpStream::connect(address).await.map_err(|error| io_outcome(&error))?;
        let tls = match trust {
            // Whether the port is open can be told without a CA, and nothing more.
            Trust::Unknown => return Err(tls_failed("cluster CA is not known yet")),
            Trust::Unusable(reason) => return Err(tls_failed(reason)),
            Trust::Known(tls) => tls,
        };
        // Without effect on a request that is one write; kept so that it stays without effect.
        let _ = tcp.set_nodelay(true);
        let stream = tls.connect(server_name.clone(), tcp).await.map_err(|e| io_outcome(&e))?;
        let (requests, connection) = http1::Builder::new()
            .max_buf_size(READ_BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| http_outcome(&error))?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::trace!(%address, %error, "Probe connection ended");
            }
        });
        Ok(Self { requests, driver: AbortOnDropHandle::new(driver) })
    }

    /// Waits until the connection has ended. Drop it then.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn ended(&mut self) {
        let _ = (&mut self.driver).await;
    }

    pub(crate) async fn ask(
        &mut self,
        request: Request<Empty<Bytes>>,
    ) -> Result<Answer, ProbeOutcome> {
        self.requests.ready().await.map_err(|error| http_outcome(&error))?;
        let response =
            self.requests.send_request(request).await.map_err(|error| http_outcome(&error))?;
        let (status, is_last) = (response.status(), is_last(&response));
        let (body, is_whole) = read(response.into_body()).await?;
        let outcome = readyz::outcome(status, &body);
        Ok(Answer { outcome, is_reusable: is_whole && !is_last })
    }
}

/// The server said that it will close: its close is no news then.
fn is_last(response: &Response<Incoming>) -> bool {
    let closes = |value: &[u8]| value.to_ascii_lowercase().windows(5).any(|word| word == b"close");
    response.version() != Version::HTTP_11
        || response.headers().get_all(CONNECTION).iter().any(|value| closes(value.as_bytes()))
}

/// The body up to its limit, and whether that was all of it.
async fn read(mut body: Incoming) -> Result<(Vec<u8>, bool), ProbeOutcome> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| http_outcome(&error))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        let room = BODY_LIMIT - bytes.len();
        bytes.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return Ok((bytes, false));
        }
    }
    Ok((bytes, true))
}

fn http_outcome(error: &hyper::Error) -> ProbeOutcome {
    if error.is_parse() {
        return ProbeOutcome::NotReady(vec!["malformed answer".to_owned()]);
    }
    match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(error) => io_outcome(error),
        // Closed before, during or instead of an answer.
        None => ProbeOutcome::Refused,
    }
}

fn io_outcome(error: &io::Error) -> ProbeOutcome {
    use io::ErrorKind as Kind;
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return tls_failed(&tls.to_string());
    }
    match error.kind() {
        Kind::ConnectionRefused
        | Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::NotConnected
        | Kind::WriteZero
        | Kind::UnexpectedEof => ProbeOutcome::Refused,
        // The server had no say in the rest (no route, no descriptor or port left on this host):
        // that it did not answer is all that is known, and timeouts have the patient threshold.
        kind => {
            tracing::debug!(%error, ?kind, "Probe could not be sent");
            ProbeOutcome::Timeout
        }
    }
}

fn tls_failed(reason: &str) -> ProbeOutcome {
    ProbeOutcome::TlsFailed(reason[..reason.floor_char_boundary(MAX_REASON)].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_between_characters() {
        let ProbeOutcome::TlsFailed(reason) = tls_failed(&"ä".repeat(200)) else { panic!() };
        assert_eq!(reason.len(), MAX_REASON);
        let ProbeOutcome::TlsFailed(reason) = tls_failed(&format!("x{}", "ä".repeat(200))) else {
            panic!()
        };
        assert_eq!(reason.len(), MAX_REASON - 1);
    }

    #[test]
    fn a_fault_of_this_host_does_not_count_as_a_refusal() {
        const EMFILE: i32 = 24;
        const ENETUNREACH: i32 = 101;
        const ECONNRESET: i32 = 104;
        let of = |code| io_outcome(&io::Error::from_raw_os_error(code));
        assert_eq!(of(EMFILE), ProbeOutcome::Timeout);
        assert_eq!(of(ENETUNREACH), ProbeOutcome::Timeout);
        assert_eq!(of(ECONNRESET), ProbeOutcome::Refused);
    }
}
