//! The end of a certificate's validity, read from its DER: one field, so no X.509 library.
//!
//! Nothing is trusted or refused because of it: the API server judges. It tells an operator that
//! `admin.conf` has expired, a year after `kubeadm init`.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The explicit tag of the optional version.
const VERSION: u8 = 0xa0;

/// `notAfter` (RFC 5280 section 4.1.2.5); `None` for whatever is not a certificate.
pub(super) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = expect(certificate, SEQUENCE)?;
    let (mut tbs, _) = expect(certificate, SEQUENCE)?;
    if tbs.first() == Some(&VERSION) {
        (_, _, tbs) = element(tbs)?;
    }
    // serialNumber, signature, issuer
    for _ in 0..3 {
        (_, _, tbs) = element(tbs)?;
    }
    let (validity, _) = expect(tbs, SEQUENCE)?;
    let (_, _, rest) = element(validity)?;
    let (tag, text, _) = element(rest)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

fn time(tag: u8, text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest): (i16, &str) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let short: i16 = digits[..2].parse().ok()?;
            // RFC 5280: 50 and later are of the last century.
            (if short >= 50 { 1900 + short } else { 2000 + short }, &digits[2..])
        }
        (GENERALIZED_TIME, 14) => (digits[..4].parse().ok()?, &digits[4..]),
        (_, _) => return None,
    };
    let two = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let civil = DateTime::new(year, two(0)?, two(2)?, two(4)?, two(6)?, two(8)?, 0).ok()?;
    TimeZone::UTC.to_timestamp(civil).ok()
}

fn expect(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(der)?;
    (tag == wanted).then_some((content, rest))
}

/// Tag, content and what follows (X.690 section 8.1), for one-byte tags and definite lengths.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, der) = der.split_first()?;
    let (&first, mut der) = der.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let count = usize::from(first & 0x7f);
        // Three bytes of length are 16 MiB, far more than a kubeconfig may have.
        if count == 0 || count > 3 {
            return None;
        }
        let (bytes, rest) = der.split_at_checked(count)?;
        length = bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte));
        der = rest;
    }
    let (content, rest) = der.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    use pintle_testkit::certs::{ClusterCa, Validity};
    use proptest::prelude::*;

    #[test]
    fn the_end_of_a_certificate_is_read() {
        let ca = ClusterCa::generate("kubernetes").unwrap();
        for (validity, expected) in [
            (Validity::Current, "2100-01-01T00:00:00Z"),
            (Validity::Expired, "2021-01-01T00:00:00Z"),
        ] {
            let client = ca.issue_client("someone", None, validity).unwrap();
            let der = &client.keyed.chain()[0];
            assert_eq!(not_after(der), Some(expected.parse().unwrap()));
        }
    }

    #[test]
    fn both_forms_of_time_are_known() {
        let expected: Timestamp = "1999-12-31T23:59:58Z".parse().unwrap();
        assert_eq!(time(UTC_TIME, "991231235958Z"), Some(expected));
        assert_eq!(time(GENERALIZED_TIME, "19991231235958Z"), Some(expected));
        assert_eq!(time(UTC_TIME, "991331235958Z"), None);
        assert_eq!(time(GENERALIZED_TIME, "1999123123595é"), None);
    }

    proptest! {
        #[test]
        fn garbage_is_no_certificate(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = not_after(&bytes);
        }

        #[test]
        fn a_damaged_certificate_does_no_harm(at in 0_usize..300, to in any::<u8>()) {
            let ca = ClusterCa::generate("kubernetes").unwrap();
            let mut der = ca.der().to_vec();
            if let Some(byte) = der.get_mut(at) {
                *byte = to;
            }
            let _ = not_after(&der);
        }
    }
}
