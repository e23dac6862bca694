//! Clients without TLS, one by one or thousands at once.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::raise_descriptor_limit;
use crate::netns::Namespace;

/// What a caller says first.
const GREETING: &[u8] = b"hello";

/// A session with an echo.
#[derive(Debug)]
pub struct Caller {
    /// The connection: what is said and heard there beside the methods here is a test's own matter.
    pub stream: TcpStream,
    /// The name of the porter that answered.
    pub served_by: u8,
}

// === impl Caller ===

impl Caller {
    /// Connects from the calling thread's namespace, and is answered.
    ///
    /// # Errors
    /// When anything of it fails, or takes longer than `within`.
    pub fn call(address: SocketAddr, within: Duration) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&address, within)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(within))?;
        stream.set_write_timeout(Some(within))?;
        stream.write_all(GREETING)?;
        let mut answer = [0; 1 + GREETING.len()];
        stream.read_exact(&mut answer)?;
        Ok(Self { stream, served_by: served_by(answer)? })
    }

    /// The same from inside a namespace.
    ///
    /// # Errors
    /// As [`Caller::call`].
    pub fn call_from(
        namespace: &Namespace,
        address: SocketAddr,
        within: Duration,
    ) -> anyhow::Result<Self> {
        Ok(namespace.run_in(|| Self::call(address, within))??)
    }

    /// Says something, and hears the same back.
    ///
    /// # Errors
    /// When the session is gone, or what is heard is something else.
    pub fn ask(&mut self, what: &[u8]) -> io::Result<()> {
        self.stream.write_all(what)?;
        let mut heard = vec![0; what.len()];
        self.stream.read_exact(&mut heard)?;
        if heard == what { Ok(()) } else { Err(io::Error::other("not what was said")) }
    }
}

/// The name before what was said.
fn served_by(answer: [u8; 1 + GREETING.len()]) -> io::Result<u8> {
    match answer {
        [name, echo @ ..] if echo == GREETING => Ok(name),
        other => Err(io::Error::other(format!("another answer: {other:?}"))),
    }
}

/// So many callers that connect at once from inside a namespace, each with what became of it.
///
/// # Errors
/// When the namespace is gone.
pub fn crowd(
    namespace: &Namespace,
    address: SocketAddr,
    count: usize,
    within: Duration,
) -> anyhow::Result<Vec<io::Result<Caller>>> {
    raise_descriptor_limit()?;
    let answered = namespace.run_in(|| -> io::Result<Vec<io::Result<Caller>>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let calls = (0..count).map(|_| async move {
            timeout(within, call(address, within)).await.unwrap_or_else(|late| Err(late.into()))
        });
        Ok(runtime.block_on(join_all(calls)))
    })?;
    answered.context("make a runtime")
}

async fn call(address: SocketAddr, within: Duration) -> io::Result<Caller> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(GREETING).await?;
    let mut answer = [0; 1 + GREETING.len()];
    stream.read_exact(&mut answer).await?;
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(within))?;
    stream.set_write_timeout(Some(within))?;
    Ok(Caller { stream, served_by: served_by(answer)? })
}
