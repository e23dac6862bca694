//! One GET to a server on this node: HTTP/1.1, one answer, bounded in time and size.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The daemon answers from memory; whoever waits longer waits for something that hangs.
const TIMEOUT: Duration = Duration::from_secs(2);
/// A status is a few kilobytes. Bounds what anything else on the port can send.
const LARGEST_ANSWER: usize = 1 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum GetError {
    Unreachable(io::Error),
    TimedOut,
    TooLarge,
    NotHttp,
    Status(String),
}

impl std::fmt::Display for GetError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(error) if error.kind() == ErrorKind::ConnectionRefused => {
                f.write_str("nothing listens there")
            }
            Self::Unreachable(error) => write!(f, "cannot be reached: {error}"),
            Self::TimedOut => write!(f, "no answer within {} s", TIMEOUT.as_secs()),
            Self::TooLarge => f.write_str("the answer is larger than 1 MiB"),
            Self::NotHttp => f.write_str("something else than pintle listens there"),
            Self::Status(status) => write!(f, "the answer is {status:?}, not a status"),
        }
    }
}

/// The body of the answer to a GET.
pub(super) fn get(address: SocketAddr, path: &str) -> Result<Vec<u8>, GetError> {
    let answer = exchange(address, path).map_err(|error| match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => GetError::TimedOut,
        ErrorKind::FileTooLarge => GetError::TooLarge,
        _ => GetError::Unreachable(error),
    })?;
    let split =
        answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or(GetError::NotHttp)?;
    let (head, body) = (&answer[..split], &answer[split + 4..]);
    let head = std::str::from_utf8(head).map_err(|_| GetError::NotHttp)?;
    let mut lines = head.split("\r\n");
    // The minor version does not matter: the answer to `Connection: close` ends with the connection.
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.")?.split_once(' '));
    let (_, status) = status.ok_or(GetError::NotHttp)?;
    if !status.starts_with("200") {
        return Err(GetError::Status(status.chars().take(60).collect()));
    }
    let is_chunked = lines.any(|line| {
        let line = line.to_ascii_lowercase();
        line.starts_with("transfer-encoding:") && line.contains("chunked")
    });
    if is_chunked { unchunk(body).ok_or(GetError::NotHttp) } else { Ok(body.to_vec()) }
}

fn exchange(address: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let start = Instant::now();
    let left = || {
        let left = TIMEOUT.saturating_sub(start.elapsed());
        if left.is_zero() { Err(io::Error::from(ErrorKind::TimedOut)) } else { Ok(left) }
    };
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_write_timeout(Some(left()?))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 8192]);
    loop {
        // A peer that sends a byte now and then must not stretch the bound: what is left shrinks.
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(answer),
            Ok(length) => answer.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if answer.len() > LARGEST_ANSWER {
            return Err(ErrorKind::FileTooLarge.into());
        }
    }
}

/// The content of a chunked body (RFC 9112 §7.1); `None` when it is none or is cut short.
fn unchunk(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let end = body.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&body[..end]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        body = &body[end + 2..];
        if size == 0 {
            return Some(content);
        }
        content.extend_from_slice(body.get(..size)?);
        body = body.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests;
