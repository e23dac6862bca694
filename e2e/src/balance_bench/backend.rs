//! A backend of the bench: one process on one host, which stands where an API server would. Probes speak
//! TLS and are led to the stand-in API server of that host; everybody else speaks the bench's protocol.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::protocol::{self, Request, TLS_HANDSHAKE, WHO, pattern};
use super::sys::raise_open_files;

/// A burst of the bench's connections fits.
const BACKLOG: u32 = 4096;
/// A request of the bench in one read.
const BUFFER: usize = 64 << 10;
/// One echo in so many is spoilt by `Spoil::Echo`.
const SPOILT_ECHO: u64 = 100;

/// What a backend is told.
#[derive(Debug, Clone, Args)]
pub struct BackendArguments {
    /// Its number, which it tells who asks
    #[arg(long)]
    pub number: u8,
    /// Its port
    #[arg(long)]
    pub port: u16,
    /// Where TLS is led to, on the loopback
    #[arg(long)]
    pub tls: u16,
    /// What it does wrong, to see that it is noticed
    #[arg(long)]
    pub spoil: Option<Spoil>,
}

/// What a backend does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Spoil {
    /// One echo in a hundred has a wrong last byte.
    Echo,
    /// A byte is left out in the middle of what is sent.
    Shift,
    /// The last byte is not sent.
    Short,
}

/// Serves until it is killed.
///
/// # Errors
/// When it cannot listen.
pub fn serve(arguments: &BackendArguments) -> Result<()> {
    raise_open_files()?;
    // One thread each: three of them share the cores that the balancer does not have.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(accept(arguments))
}

async fn accept(arguments: &BackendArguments) -> Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, arguments.port)))?;
    let listener = socket.listen(BACKLOG).context("listen")?;
    loop {
        let (stream, _from) = listener.accept().await.context("accept")?;
        let arguments = arguments.clone();
        tokio::spawn(async move {
            if let Err(error) = session(stream, &arguments).await {
                tracing::debug!(%error, "A session ended");
            }
        });
    }
}

async fn session(mut client: TcpStream, arguments: &BackendArguments) -> Result<()> {
    client.set_nodelay(true)?;
    let mut buffer = vec![0; 512];
    let mut length = client.read(&mut buffer).await?;
    if buffer.first() == Some(&TLS_HANDSHAKE) && length > 0 {
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, arguments.tls)).await?;
        server.write_all(&buffer[..length]).await?;
        tokio::io::copy_bidirectional(&mut client, &mut server).await?;
        return Ok(());
    }
    let mut echoes = 0;
    while length > 0 {
        let mut done = 0;
        while let Some(request) = protocol::request(&buffer[done..length])? {
            done += match request {
                Request::Echo { frame } => {
                    echoes += 1;
                    let is_spoilt = arguments.spoil == Some(Spoil::Echo);
                    if is_spoilt && echoes % SPOILT_ECHO == 1 {
                        buffer[done + frame - 1] ^= 1;
                    }
                    client.write_all(&buffer[done..done + frame]).await?;
                    frame
                }
                Request::Send { bytes, frame } => {
                    send(&mut client, bytes, arguments.spoil).await?;
                    frame
                }
                Request::Who => {
                    client.write_all(&[WHO, arguments.number]).await?;
                    1
                }
            };
        }
        buffer.copy_within(done..length, 0);
        length -= done;
        if length == buffer.len() {
            // An idle session keeps little.
            buffer.resize(BUFFER + 16, 0);
        }
        let read = client.read(&mut buffer[length..]).await?;
        if read == 0 {
            return Ok(());
        }
        length += read;
    }
    Ok(())
}

async fn send(client: &mut TcpStream, bytes: u64, spoil: Option<Spoil>) -> Result<()> {
    let end = if spoil == Some(Spoil::Short) { bytes.saturating_sub(1) } else { bytes };
    let mut sent = 0;
    while sent < end {
        let shift = u64::from(spoil == Some(Spoil::Shift) && sent > bytes / 2);
        let part = pattern(sent + shift);
        let left = usize::try_from(end - sent).unwrap_or(usize::MAX);
        let part = &part[..part.len().min(left)];
        client.write_all(part).await?;
        sent += part.len() as u64;
    }
    if spoil == Some(Spoil::Short) {
        client.shutdown().await?;
    }
    Ok(())
}
