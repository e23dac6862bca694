//! What clients and backends of the bench say to each other. The client speaks first, as TLS does, and
//! every byte that comes back can be checked.
//!
//! ```text
//! E length:u32 bytes…   answered by the same frame
//! S length:u64          answered by so many bytes of the pattern
//! W                     answered by W and the backend's number
//! ```

use std::sync::OnceLock;

use anyhow::{Result, ensure};

/// The first byte of a TLS handshake: such connections are probes, and go to the stand-in API server.
pub(super) const TLS_HANDSHAKE: u8 = 22;
pub(super) const ECHO: u8 = b'E';
pub(super) const SEND: u8 = b'S';
pub(super) const WHO: u8 = b'W';

const ECHO_HEADER: usize = 5;
const SEND_FRAME: usize = 9;

/// What a request of the bench carries; more than any is a mistake.
const MAX_ECHO: usize = 64 << 10;

/// A prime: no buffer's length is a multiple of it, so a lost or doubled buffer shifts what follows.
const PERIOD: usize = 65_521;
/// So many times in the table: what is sent by one call.
const REPEATS: usize = 4;

/// A request, read from the front of what has arrived.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// The whole frame is to be sent back.
    Echo { frame: usize },
    /// So many bytes of the pattern are wanted.
    Send { bytes: u64, frame: usize },
    /// Who is it?
    Who,
}

/// The first request in `bytes`; `None` when it is not whole yet.
pub(super) fn request(bytes: &[u8]) -> Result<Option<Request>> {
    let Some(kind) = bytes.first() else { return Ok(None) };
    match *kind {
        ECHO => {
            let Some(length) = bytes.get(1..ECHO_HEADER) else { return Ok(None) };
            let length = usize::try_from(u32::from_be_bytes(length.try_into()?))?;
            ensure!(length <= MAX_ECHO, "an echo of {length} bytes");
            let frame = ECHO_HEADER + length;
            Ok((bytes.len() >= frame).then_some(Request::Echo { frame }))
        }
        SEND => {
            let Some(length) = bytes.get(1..SEND_FRAME) else { return Ok(None) };
            let bytes = u64::from_be_bytes(length.try_into()?);
            Ok(Some(Request::Send { bytes, frame: SEND_FRAME }))
        }
        WHO => Ok(Some(Request::Who)),
        other => anyhow::bail!("a request that begins with {other}"),
    }
}

/// An echo frame with a payload that depends on `number`.
pub(super) fn echo_frame(number: u64, length: usize) -> Vec<u8> {
    let announced = u32::try_from(length).unwrap_or(u32::MAX);
    let mut frame = vec![ECHO];
    frame.extend(announced.to_be_bytes());
    frame.extend(number.to_be_bytes().iter().cycle().take(length));
    frame
}

/// A request for `bytes` of the pattern.
pub(super) fn send_frame(bytes: u64) -> Vec<u8> {
    let mut frame = vec![SEND];
    frame.extend(bytes.to_be_bytes());
    frame
}

/// The pattern from `offset` on, at least three periods long.
pub(super) fn pattern(offset: u64) -> &'static [u8] {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let mut state = 1_u32;
        let period: Vec<u8> = (0..PERIOD)
            .map(|_| {
                // Knuth's constants (TAOCP 3.3.4, line 20 of its table 1); the high bits are good enough.
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            })
            .collect();
        period.repeat(REPEATS)
    });
    let start = usize::try_from(offset % PERIOD as u64).unwrap_or_default();
    &table[start..]
}

/// Whether `bytes` are the pattern's from `offset` on.
pub(super) fn is_pattern(offset: u64, bytes: &[u8]) -> bool {
    let mut offset = offset;
    for part in bytes.chunks(PERIOD) {
        if pattern(offset)[..part.len()] != *part {
            return false;
        }
        offset += part.len() as u64;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_when_they_are_whole() {
        let echo = echo_frame(7, 64);
        for length in 0..echo.len() {
            assert_eq!(request(&echo[..length]).unwrap(), None, "{length}");
        }
        assert_eq!(request(&echo).unwrap(), Some(Request::Echo { frame: 69 }));
        let send = send_frame(1 << 40);
        assert_eq!(request(&send[..8]).unwrap(), None);
        assert_eq!(request(&send).unwrap(), Some(Request::Send { bytes: 1 << 40, frame: 9 }));
        assert_eq!(request(b"W").unwrap(), Some(Request::Who));
        assert!(request(b"GET /").is_err());
        assert!(request(&[ECHO, 255, 255, 255, 255]).is_err());
    }

    #[test]
    fn a_lost_a_doubled_and_a_changed_byte_are_no_pattern() {
        let whole: Vec<u8> = pattern(5)[..200_000 - 70_000].to_vec();
        assert!(is_pattern(5, &whole) && is_pattern(5 + PERIOD as u64, &whole));
        assert!(!is_pattern(6, &whole));
        let mut lost = whole.clone();
        lost.remove(100_000);
        let mut doubled = whole.clone();
        doubled.insert(3, whole[3]);
        let mut changed = whole;
        changed[129_999] ^= 1;
        for spoilt in [lost, doubled, changed] {
            assert!(!is_pattern(5, &spoilt));
        }
    }
}
