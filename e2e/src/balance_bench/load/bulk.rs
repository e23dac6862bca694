//! Downloads: what arrives is counted to the byte, and looked at.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use rustix::net::{RecvFlags, recv};

use super::Report;
use super::client::{PATIENCE, connect, echo, together};
use crate::balance_bench::protocol::{is_pattern, send_frame};

/// Enough for one wake-up to take all that is there.
const BUFFER: usize = 1 << 20;
/// One read in so many is looked at; the others are counted and dropped by the kernel, so that the
/// client is not what is measured.
const LOOK_EACH: u64 = 64;

pub(super) fn work(targets: &[SocketAddr], streams: usize, bytes: u64, checks_all: bool) -> Report {
    together(targets, streams, |number, target, barrier| {
        let mut report = Report::default();
        let opened = connect(target, PATIENCE).and_then(|mut stream| {
            echo(&mut stream, number as u64)?;
            Ok(stream)
        });
        barrier.wait();
        let began = Instant::now();
        let taken = opened.and_then(|stream| take(stream, bytes, checks_all));
        report.seconds = began.elapsed().as_secs_f64();
        report.bytes = if taken.is_ok() { bytes } else { 0 };
        report.count(taken);
        (report, Vec::new())
    })
}

fn take(mut stream: TcpStream, bytes: u64, checks_all: bool) -> Result<()> {
    stream.write_all(&send_frame(bytes)).context("send")?;
    let mut buffer = vec![0; BUFFER];
    let (mut taken, mut turn) = (0_u64, 0_u64);
    while taken < bytes {
        let left = usize::try_from(bytes - taken).unwrap_or(usize::MAX).min(BUFFER);
        let is_looked_at = checks_all || turn % LOOK_EACH == 0;
        // TRUNC on a stream: tcp(7), the bytes are discarded and not copied.
        let flags = if is_looked_at { RecvFlags::empty() } else { RecvFlags::TRUNC };
        let (_, length) = recv(&stream, &mut buffer[..left], flags).context("receive")?;
        ensure!(length > 0, "ended after {taken} of {bytes} bytes");
        if is_looked_at {
            ensure!(is_pattern(taken, &buffer[..length]), "wrong bytes after {taken}");
        }
        taken += length as u64;
        turn += 1;
    }
    Ok(())
}
