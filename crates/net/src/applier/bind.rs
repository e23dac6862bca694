//! Addresses on and off: every request that changes one is here, and each asks the clock first.

use std::io;
use std::time::Duration;

use pintle_core::{Instant, MacAddr, Vip};

use super::{Applier, Stage};
use crate::addresses::{AddressView, Wanted};
use crate::lifetime::next_lifetime;

/// The lifetime of a held address (design section 4.2): short, since no right stands behind it, and
/// twenty checks long.
pub(super) const HELD_DURATION: Duration = Duration::from_secs(HELD_SECONDS as u64);
const HELD_SECONDS: u32 = 2;

impl Applier {
    /// Binds every VIP; gives the hardware address that they are bound behind.
    pub(super) fn bind_all(&mut self, hold_until: Instant) -> io::Result<MacAddr> {
        let mac = self.mac().ok_or_else(|| gone(&self.link.name))?;
        self.kernel_until.clear();
        for vip in self.vips.clone() {
            if let Err(error) = self.bind(vip, hold_until) {
                return Err(io::Error::other(format!("{vip} on {}: {error}", self.link.name)));
            }
        }
        Ok(mac)
    }

    /// Binds one VIP, or extends its lifetime if that makes it better.
    pub(super) fn bind(&mut self, vip: Vip, hold_until: Instant) -> io::Result<()> {
        let now = self.now();
        if now >= hold_until {
            return Err(io::Error::other("the right to the VIP has ended"));
        }
        match next_lifetime(now, hold_until, self.kernel_until.get(&vip).copied()) {
            Some(seconds) => self.set(vip, seconds),
            None => Ok(()),
        }
    }

    /// Gives every bound VIP the lifetime of the current right.
    pub(super) fn refresh_bound(&mut self, hold_until: Instant) {
        for vip in self.vips.clone() {
            // One that is missing is the guard's.
            if self.kernel_until.contains_key(&vip)
                && let Err(error) = self.bind(vip, hold_until)
            {
                tracing::warn!(%error, %vip, "The lifetime of the VIP was not set");
                self.is_dirty = true;
            }
        }
    }

    /// Gives every held VIP its short lifetime.
    pub(super) fn refresh_held(&mut self) -> io::Result<()> {
        self.vips.clone().into_iter().try_for_each(|vip| self.set(vip, HELD_SECONDS))?;
        self.stage = Stage::Held { refreshed_at: self.now() };
        Ok(())
    }

    fn set(&mut self, vip: Vip, seconds: u32) -> io::Result<()> {
        let index = self.index().ok_or_else(|| gone(&self.link.name))?;
        // Counted from before the call: the kernel counts from within it, so never earlier.
        let until = self.now() + Duration::from_secs(seconds.into());
        let answer = self.netlink.bind(index, vip.0, seconds);
        self.noted(answer)?;
        self.kernel_until.insert(vip, until);
        Ok(())
    }

    /// Takes every VIP off every link: the usual copies first, then whatever a look around shows.
    pub(super) fn unbind_all(&mut self) -> io::Result<()> {
        if let Some(index) = self.index() {
            for vip in self.vips.clone() {
                let answer = self.netlink.unbind(index, vip.0, vip.prefix_len());
                // A failure shows below, where the copy is still found.
                let _shows_later = self.noted(answer);
            }
        }
        self.remove(Wanted::Nothing)?;
        self.kernel_until.clear();
        Ok(())
    }

    /// Removes each copy of a VIP that may not stay. Goes on after a failure: the rest must go all the
    /// same; the last error is given back.
    pub(super) fn remove(&mut self, wanted: Wanted) -> io::Result<()> {
        self.remove_and_list(wanted).map(drop)
    }

    /// As [`Self::remove`], and lists the copies that stayed.
    pub(super) fn remove_and_list(&mut self, wanted: Wanted) -> io::Result<Vec<AddressView>> {
        let answer = self.netlink.addresses();
        let addresses = self.noted(answer)?;
        self.publish_hosts(&addresses);
        let copies =
            addresses.into_iter().filter(|address| self.vips.contains(&Vip(address.address)));
        let (stay, go): (Vec<_>, Vec<_>) = copies.partition(|copy| wanted.allows(copy));
        let mut outcome = Ok(());
        for copy in go {
            tracing::debug!(vip = %copy.address, prefix_len = copy.prefix_len, index = copy.index,
                "Remove a copy of the VIP that does not belong here");
            let answer = self.netlink.unbind(copy.index, copy.address, copy.prefix_len);
            outcome = self.noted(answer).and(outcome);
        }
        outcome.map(|()| stay)
    }

    pub(super) fn mac(&self) -> Option<MacAddr> {
        self.link.segment.as_ref().map(crate::listen::Segment::mac)
    }

    pub(super) fn index(&self) -> Option<u32> {
        self.link.segment.as_ref().map(crate::listen::Segment::index)
    }

    /// Says so when a request failed.
    pub(super) fn noted<T>(&self, answer: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &answer {
            tracing::debug!(%error, "The kernel refused a request");
        }
        answer
    }

    /// Tells who asks for them the host's own addresses.
    pub(super) fn publish_hosts(&self, addresses: &[AddressView]) {
        let own = addresses.iter().map(|address| address.address);
        let mut own: Vec<_> = own.filter(|address| !self.vips.contains(&Vip(*address))).collect();
        own.sort_unstable();
        own.dedup();
        self.hosts.send_if_modified(|known| {
            let is_news = *known != own;
            if is_news {
                *known = own;
            }
            is_news
        });
    }
}

fn gone(link: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no link {link}"))
}
