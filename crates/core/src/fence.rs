//! The end of the right to the VIP: the minimum over independent grounds (design §4.7).

use crate::time::Instant;

/// What the right rests on. Each ground ends by itself; the right ends with the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ground {
    /// The Lease: `sent + renew_deadline` of the last renewal that succeeded.
    Lease,
}

/// The grounds of one term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grounds {
    lease: Instant,
}

impl Grounds {
    /// A term begins: the Lease gives the right until `lease`.
    pub(crate) const fn new(lease: Instant) -> Self {
        Self { lease }
    }

    /// The Lease gives the right until `until`. Never shortens it: a late answer to an earlier
    /// renewal says nothing against a later one.
    pub(crate) fn extend_lease(&mut self, until: Instant) {
        self.lease = self.lease.max(until);
    }

    /// The end of the right, and the ground that ends first.
    pub(crate) const fn hold_until(&self) -> (Instant, Ground) {
        (self.lease, Ground::Lease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_renewal_never_shortens_the_right() {
        let mut grounds = Grounds::new(Instant::from_nanos(10));
        grounds.extend_lease(Instant::from_nanos(5));
        assert_eq!(grounds.hold_until(), (Instant::from_nanos(10), Ground::Lease));
        grounds.extend_lease(Instant::from_nanos(20));
        assert_eq!(grounds.hold_until(), (Instant::from_nanos(20), Ground::Lease));
    }
}
