//! Addresses as the kernel lists them, and what is wrong with the copies of the VIPs among them. Pure.

use std::net::IpAddr;

use pintle_core::{Instant, Vip};

/// An address on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AddressView {
    pub(crate) index: u32,
    pub(crate) address: IpAddr,
    pub(crate) prefix_len: u8,
    /// Whole seconds that the kernel keeps it; `None` is for ever.
    pub(crate) valid: Option<u32>,
    /// Whether it may become the source of new connections.
    pub(crate) is_preferred: bool,
    /// IPv4: another address of the link brought the subnet.
    pub(crate) is_secondary: bool,
    pub(crate) is_noprefixroute: bool,
}

/// Which copies of the VIPs may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// None.
    Nothing,
    /// On this link, as a single host, for a time that ends: it goes by itself.
    Expiring { index: u32 },
    /// On this link, as a single host.
    Bound { index: u32 },
}

// === impl AddressView ===

impl AddressView {
    /// Whether `address` lies in its subnet.
    pub(crate) fn covers(&self, address: IpAddr) -> bool {
        let is_same = |own: u128, other: u128, width: u32| {
            let host_bits = width.saturating_sub(u32::from(self.prefix_len));
            (own ^ other).checked_shr(host_bits).unwrap_or(0) == 0
        };
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                is_same(own.to_bits().into(), other.to_bits().into(), 32)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => is_same(own.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }

    /// Whether its subnet holds the VIP; the VIP itself is no witness.
    pub(crate) fn is_around(&self, vip: Vip) -> bool {
        self.address != vip.0 && self.prefix_len < vip.prefix_len() && self.covers(vip.0)
    }

    /// Whether it is a single host on this link: the only shape that a VIP of ours has.
    fn is_bound_on(&self, index: u32) -> bool {
        self.index == index && self.prefix_len == Vip(self.address).prefix_len()
    }

    /// Whether the kernel has it as it was last set: a lifetime that ends at `kernel_until`, give or
    /// take its rounding, no route, never a source.
    pub(crate) fn is_as_set(&self, kernel_until: Instant, now: Instant) -> bool {
        let left = kernel_until.until(now).as_secs();
        let is_lifetime_ours = self.valid.is_some_and(|valid| {
            let valid = u64::from(valid);
            valid <= left + 1 && valid + 2 >= left
        });
        is_lifetime_ours && self.is_noprefixroute && !self.is_preferred
    }
}

// === impl Wanted ===

impl Wanted {
    /// Whether this copy of a VIP may stay.
    pub(crate) fn allows(self, copy: &AddressView) -> bool {
        match self {
            Self::Nothing => false,
            Self::Expiring { index } => copy.is_bound_on(index) && copy.valid.is_some(),
            Self::Bound { index } => copy.is_bound_on(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(index: u32, text: &str, valid: Option<u32>) -> AddressView {
        let (address, prefix_len) = text.split_once('/').unwrap();
        AddressView {
            index,
            address: address.parse().unwrap(),
            prefix_len: prefix_len.parse().unwrap(),
            valid,
            is_preferred: false,
            is_secondary: false,
            is_noprefixroute: true,
        }
    }

    #[test]
    fn which_copies_stay() {
        let (expiring, bound) = (Wanted::Expiring { index: 2 }, Wanted::Bound { index: 2 });
        // copy, stays while expiring is wanted, stays while bound is wanted
        let table = [
            (copy(2, "192.0.2.10/32", Some(2)), true, true),
            (copy(2, "192.0.2.10/32", None), false, true),
            (copy(2, "192.0.2.10/24", Some(2)), false, false),
            (copy(2, "192.0.2.10/24", None), false, false),
            (copy(3, "192.0.2.10/32", Some(2)), false, false),
            (copy(1, "192.0.2.10/32", None), false, false),
            (copy(2, "2001:db8::10/128", Some(2)), true, true),
            (copy(2, "2001:db8::10/64", Some(2)), false, false),
        ];
        for (copy, while_expiring, while_bound) in table {
            let got = [expiring, bound, Wanted::Nothing].map(|wanted| wanted.allows(&copy));
            assert_eq!(got, [while_expiring, while_bound, false], "{copy:?}");
        }
    }

    #[test]
    fn subnets() {
        let table = [
            ("192.0.2.11/24", "192.0.2.10", true),
            ("192.0.2.11/24", "192.0.3.10", false),
            ("192.0.2.11/32", "192.0.2.10", false),
            ("0.0.0.0/0", "192.0.2.10", true),
            ("2001:db8::1/64", "2001:db8::ffff:10", true),
            ("2001:db8::1/64", "2001:db8:0:1::10", false),
            ("::/0", "2001:db8::10", true),
            ("::/0", "192.0.2.10", false),
        ];
        for (subnet, address, expected) in table {
            let got = copy(2, subnet, None).covers(address.parse().unwrap());
            assert_eq!(got, expected, "{subnet} {address}");
        }
    }

    #[test]
    fn what_others_changed_is_noticed() {
        let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
        let until = at(12_000);
        let ours = copy(2, "192.0.2.10/32", Some(2));
        assert!(ours.is_as_set(until, at(10_000)));
        assert!(ours.is_as_set(until, at(10_900)));
        for valid in [None, Some(4), Some(u32::MAX - 1)] {
            let changed = AddressView { valid, ..ours.clone() };
            assert!(!changed.is_as_set(until, at(10_000)), "{valid:?}");
        }
        let shortened = AddressView { valid: Some(2), ..ours };
        assert!(!shortened.is_as_set(at(60_000), at(10_000)));
        let routed = AddressView { is_noprefixroute: false, ..ours };
        assert!(!routed.is_as_set(until, at(10_000)));
        let preferred = AddressView { is_preferred: true, ..ours };
        assert!(!preferred.is_as_set(until, at(10_000)));
    }
}
