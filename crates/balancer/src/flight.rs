//! The client's first flight: what it said before any backend answered, kept so that another backend can
//! be told the same.

/// More than any ClientHello that is known: 2 KiB with a post-quantum key share. Who says more before an
/// answer is not replayed.
pub(crate) const MAX_FLIGHT: usize = 16 << 10;

/// TLS's record type of a handshake (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;
const RECORD_HEADER: usize = 5;
/// A handshake message's type and length (RFC 8446 §4).
const MESSAGE_HEADER: usize = 4;

/// Whether a server that got these bytes, and no more, has something to answer: a whole handshake message,
/// over as many records as it takes, or what is no TLS, which it complains of when it has read as much as a
/// record's header.
pub(crate) fn is_answerable(flight: &[u8]) -> bool {
    let mut header = [0; MESSAGE_HEADER];
    let mut said = 0;
    let mut rest = flight;
    while let [HANDSHAKE, 3, _, high, low, records @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some((fragment, next)) = records.split_at_checked(length) else { return false };
        for (place, byte) in header.iter_mut().skip(said).zip(fragment) {
            *place = *byte;
        }
        said += length;
        let [_, length @ ..] = header;
        let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        if said >= MESSAGE_HEADER + length {
            return true;
        }
        rest = next;
    }
    rest.len() >= RECORD_HEADER
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(fragment: &[u8]) -> Vec<u8> {
        let length = u16::try_from(fragment.len()).unwrap().to_be_bytes();
        [&[HANDSHAKE, 3, 1][..], &length, fragment].concat()
    }

    #[test]
    fn what_is_no_tls_is_complained_of_after_a_header_s_length() {
        assert!(!is_answerable(b""));
        assert!(!is_answerable(b"GET "));
        assert!(is_answerable(b"GET /"));
        assert!(is_answerable(&[HANDSHAKE, 9, 0, 0, 0]));
        let hello = record(&[1, 0, 0, 9, 0]);
        assert!(!is_answerable(&[&hello[..], b"GET "].concat()));
        assert!(is_answerable(&[&hello[..], b"GET /"].concat()), "no record follows");
    }

    proptest! {
        /// However a client cuts its hello into records: the last byte makes it answerable, none before.
        #[test]
        fn an_answer_is_due_after_a_whole_message(body in 0..3000_usize, cuts in prop::collection::vec(0..1000_usize, 0..6)) {
            let length = u32::try_from(body).unwrap().to_be_bytes();
            let message = [&[1][..], &length[1..], &vec![0; body]].concat();
            let mut rest = &message[..];
            let mut flight = Vec::new();
            for cut in cuts {
                let (fragment, next) = rest.split_at(cut.min(rest.len().saturating_sub(1)));
                flight.extend(record(fragment));
                rest = next;
            }
            flight.extend(record(rest));
            prop_assert!(is_answerable(&flight));
            for end in [0, 1, 4, 5, flight.len() / 2, flight.len() - 1] {
                prop_assert!(!is_answerable(&flight[..end]), "{end} of {}", flight.len());
            }
        }
    }
}
