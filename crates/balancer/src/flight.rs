//! The client's first flight: what it said before any backend answered, kept so that another backend can
//! be told the same.

/// More than any ClientHello (RFC 8446 §5.1: a record carries 2^14 bytes); who says more before an
/// answer is not replayed.
pub(crate) const MAX_FLIGHT: usize = 16 << 10;

/// TLS's record type of a handshake (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;
const RECORD_HEADER: usize = 5;

/// Whether a server that got these bytes, and no more, has something to answer. What is no TLS is
/// answered at once, by a complaint.
pub(crate) fn is_answerable(flight: &[u8]) -> bool {
    match flight {
        [] | [HANDSHAKE] => false,
        [HANDSHAKE, 3, rest @ ..] => match rest {
            [_, high, low, ..] => {
                flight.len() >= RECORD_HEADER + usize::from(u16::from_be_bytes([*high, *low]))
            }
            _ => false,
        },
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_due_after_a_whole_record() {
        let hello = [22, 3, 1, 0, 4, 1, 2, 3, 4];
        for length in 0..hello.len() {
            assert!(!is_answerable(&hello[..length]), "{length}");
        }
        assert!(is_answerable(&hello));
        assert!(is_answerable(b"GET / HTTP/1.1\r\n\r\n"));
        assert!(is_answerable(&[22, 9]), "no TLS");
    }
}
