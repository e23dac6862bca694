//! Keeps what is bound bound: puts back what others took away, and follows the link.

use std::time::Duration;

use pintle_core::{Event, Vip};

use super::{Applier, CHECK_INTERVAL};
use crate::addresses::{AddressView, Wanted};
use crate::links::LinkView;
use crate::listen::Segment;
use crate::metrics::count;
use crate::netlink::Change;

/// The kernel tells that an address goes while it is still going (`addrconf_ifdown`): a list that is
/// read at once may still show it. What was seen is looked at again after this.
const SECOND_LOOK: Duration = Duration::from_millis(20);

impl Applier {
    /// Reads what changed on links and addresses; true when there is more.
    pub(super) fn look(&mut self) -> bool {
        let mut changes = Vec::new();
        let has_more = self.monitor.drain(|change| changes.push(change));
        for change in changes {
            self.observe(change);
        }
        has_more
    }

    fn observe(&mut self, change: Change) {
        match change {
            Change::Link(link) => {
                match link.mac {
                    Some(mac) => self.own_macs.insert(link.index, mac),
                    None => self.own_macs.remove(&link.index),
                };
                if link.name == self.link.name {
                    self.observe_link(Some(&link));
                } else if self.index() == Some(link.index) {
                    // It was given another name: there is no link of this name any more.
                    self.observe_link(None);
                }
            }
            Change::LinkGone(index) => {
                self.own_macs.remove(&index);
                if self.index() == Some(index) {
                    self.observe_link(None);
                }
            }
            Change::Address(address) => self.observe_address(&address, true),
            Change::AddressGone(address) => self.observe_address(&address, false),
            Change::Overrun => {
                tracing::debug!("Changes were lost: look at everything anew");
                self.resync_at = self.now();
                let links = self.netlink.links();
                if let Ok(links) = self.noted(links) {
                    let macs = links.iter().filter_map(|link| Some((link.index, link.mac?)));
                    self.own_macs = macs.collect();
                }
            }
        }
    }

    /// Looks closer only if a VIP is concerned and not as it was set here: each refresh is an event too.
    fn observe_address(&mut self, address: &AddressView, is_there: bool) {
        let vip = Vip(address.address);
        if !self.vips.contains(&vip) {
            // The list of the host's addresses can wait.
            self.resync_at = self.resync_at.min(self.now() + CHECK_INTERVAL);
            return;
        }
        let wanted = self.wanted();
        let until = self.kernel_until.get(&vip);
        let is_fine = match wanted {
            Wanted::Nothing => !is_there,
            Wanted::Expiring { .. } => !is_there || wanted.allows(address),
            Wanted::Bound { .. } if is_there => {
                wanted.allows(address)
                    && until.is_some_and(|until| address.is_as_set(*until, self.now()))
            }
            Wanted::Bound { .. } => !wanted.allows(address),
        };
        if !is_fine {
            self.is_dirty = true;
            self.resync_at = self.resync_at.min(self.now() + SECOND_LOOK);
        }
    }

    /// The period's full look, which needs no event.
    pub(super) fn resync(&mut self) {
        self.is_dirty = true;
        self.check_link();
    }

    fn check_link(&mut self) {
        let answer = self.netlink.link(&self.link.name);
        if let Ok(link) = self.noted(answer) {
            self.observe_link(link.as_ref());
        }
    }

    /// The link as it is: another one under the same name is followed.
    fn observe_link(&mut self, link: Option<&LinkView>) {
        let index = self.index();
        let former = self.mac();
        if let Some((link, mac)) = link.and_then(|link| link.mac.map(|mac| (link, mac))) {
            match &mut self.link.segment {
                Some(segment) if segment.index() == link.index => segment.set_mac(mac),
                segment => {
                    *segment = Segment::open(link.index, mac, &self.vips)
                        .inspect_err(
                            |error| tracing::warn!(%error, link = link.name, "Link not usable"),
                        )
                        .ok();
                }
            }
        } else {
            self.link.segment = None;
        }
        if self.index() != index {
            self.kernel_until.clear();
            self.is_dirty = true;
        }
        let carrier = self.index().is_some() && link.is_some_and(LinkView::has_carrier);
        if carrier == self.link.carrier {
            if self.mac() != former || self.index() != index {
                self.announce_move();
            }
            return;
        }
        self.link.carrier = carrier;
        tracing::debug!(link = self.link.name, carrier, "Link changed");
        self.outbox.push(Event::LinkChanged { carrier });
        if carrier {
            // IPv6 addresses went with the link; neighbours may have learnt anything meanwhile.
            self.is_dirty = true;
            if self.is_announcer() {
                self.schedule.begin(self.now());
            }
        }
    }

    /// The VIP answers under another hardware address: the kernel tells nobody (`arp_notify` is 0), and
    /// the core publishes it in the Lease.
    fn announce_move(&mut self) {
        if self.is_announcer()
            && let Some(mac) = self.mac()
        {
            let now = self.now();
            tracing::info!(%mac, link = self.link.name, "Hardware address of the link changed");
            self.schedule.begin(now);
            self.outbox.push(Event::Bound { mac, bound_at: now, announced_at: now });
        }
    }

    /// One round for a bound VIP: all there, lifetimes right, announced when due.
    pub(super) fn keep_bound(&mut self) {
        if self.is_dirty || (self.is_missing && self.now() >= self.restores.next_at()) {
            self.guard();
        }
        let Some(hold_until) = self.owned_until() else {
            return;
        };
        self.refresh_bound(hold_until);
        // Without carrier nobody would hear it; with the carrier comes a new burst.
        if self.link.carrier && self.schedule.take(self.now()) {
            self.announce();
        }
    }

    /// Compares with the kernel and repairs.
    fn guard(&mut self) {
        // Whether the link is up decides whether a lost address is put back. And this request waits for
        // the kernel's lock of all changes, which a list of addresses does not: see SECOND_LOOK.
        self.check_link();
        let wanted = self.wanted();
        let Ok(copies) = self.remove_and_list(wanted) else {
            self.is_dirty = true;
            return;
        };
        self.is_dirty = false;
        self.is_missing = false;
        for vip in self.vips.clone() {
            match copies.iter().find(|copy| copy.address == vip.0) {
                Some(copy) => self.correct(vip, copy),
                None => self.restore(vip),
            }
        }
    }

    /// Undoes what somebody did to the lifetime or the flags.
    fn correct(&mut self, vip: Vip, copy: &AddressView) {
        let now = self.now();
        let is_fine = self.kernel_until.get(&vip).is_some_and(|until| copy.is_as_set(*until, now));
        if is_fine {
            return;
        }
        self.kernel_until.remove(&vip);
        let Some(hold_until) = self.owned_until() else {
            return;
        };
        // Each correction comes back as a change: what somebody keeps undoing, or the kernel does not
        // take, is corrected as slowly as a lost address is put back.
        if !self.restores.take(now) {
            self.is_missing = true;
            return;
        }
        // On an address that is there the kernel sets the lifetime and keeps the flags
        // (inet_rtm_newaddr in net/ipv4/devinet.c): a copy with a route has to go first.
        if !copy.is_noprefixroute {
            let answer = self.netlink.unbind(copy.index, vip.0, copy.prefix_len);
            let _shows_later = self.noted(answer);
        }
        if let Err(error) = self.bind(vip, hold_until) {
            tracing::warn!(%error, %vip, "The lifetime of the VIP was not set");
            self.is_dirty = true;
        }
    }

    /// Puts back what somebody took away, as fast as the limit allows.
    fn restore(&mut self, vip: Vip) {
        self.kernel_until.remove(&vip);
        let now = self.now();
        let Some(hold_until) = self.owned_until() else {
            return;
        };
        // Without carrier it would help nobody, and the core is about to give it up.
        if !self.link.carrier {
            return;
        }
        if !self.restores.take(now) {
            self.is_missing = true;
            return;
        }
        match self.bind(vip, hold_until) {
            Ok(()) => {
                count(&self.metrics.vip_restored);
                tracing::warn!(%vip, link = self.link.name, "The VIP was taken away and is put back");
                self.announce_one(vip);
            }
            Err(error) => {
                self.is_missing = true;
                let error = format!("{vip} was taken away and cannot be put back: {error}");
                self.outbox.push(Event::BindFailed { error });
            }
        }
    }

    /// One round for a held VIP: kept while it is there, never put back, and asked for, so that a
    /// holder by right is heard.
    pub(super) fn keep_held(&mut self, refreshed_at: pintle_core::Instant) {
        let wanted = self.wanted();
        let listed = self.remove_and_list(wanted);
        // Not knowing is no reason to give up: the kernel's lifetime and `is_late` are.
        let is_there = |vip: &Vip| {
            listed.as_ref().map_or(true, |copies| copies.iter().any(|copy| copy.address == vip.0))
        };
        if self.is_late(refreshed_at) || !self.vips.iter().all(is_there) {
            tracing::warn!("The held VIP is gone");
            self.leave(false);
            self.pursue(false);
            return;
        }
        // Only what was seen is refreshed: a refresh would bring back what is gone.
        if let Err(error) = listed.and_then(|_| self.refresh_held()) {
            tracing::warn!(%error, "The lifetime of the held VIP was not set");
        }
        self.probe_segment();
    }
}
