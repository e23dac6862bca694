//! Speaks on the segment, and listens to what others say there about the VIPs.

use pintle_core::{Event, MacAddr, Vip};

use super::{Applier, MAX_DEFENCES, Stage};
use crate::frame::{Form, Heard, Kind};
use crate::metrics::count;

impl Applier {
    /// Reads what was heard; true when there is more.
    pub(super) fn hear(&mut self) -> bool {
        let Some(segment) = &self.link.segment else {
            return false;
        };
        let mut all = Vec::new();
        let has_more = segment.drain(|vip, heard| all.push((vip, heard)));
        for (vip, heard) in all {
            if !self.is_own(heard.mac) {
                self.observe_frame(vip, heard);
            }
        }
        has_more
    }

    /// RFC 5227 section 2.1.1 asks for the sender hardware address in the packet, and whether it is one
    /// of "any of the host's interfaces". The frame's source proves nothing: whoever poisons caches sets
    /// it as he likes.
    fn is_own(&self, mac: MacAddr) -> bool {
        self.own_macs.values().any(|own| *own == mac)
    }

    fn observe_frame(&mut self, vip: Vip, heard: Heard) {
        let now = self.now();
        tracing::trace!(%vip, mac = %heard.mac, kind = ?heard.kind, "Heard of the VIP");
        match (&mut self.stage, heard.kind) {
            (Stage::Probing(probe), Kind::Claim | Kind::Probe) => {
                if probe.is_answered(now) {
                    count(&self.metrics.conflicts);
                    self.outbox.push(Event::AddressOccupied { vip, mac: heard.mac });
                }
            }
            (Stage::Bound, Kind::Probe) => self.schedule.answer(now),
            (Stage::Bound | Stage::Held { .. }, Kind::Claim) => {
                count(&self.metrics.conflicts);
                if self.claims.get_mut(&vip).is_some_and(|bucket| bucket.take(now)) {
                    self.outbox.push(Event::ForeignClaim { vip, mac: heard.mac });
                }
            }
            // A follower hears the holder all the time.
            (Stage::Undecided | Stage::Absent { .. } | Stage::Binding { .. }, _)
            | (Stage::Held { .. }, Kind::Probe) => {}
        }
    }

    /// Announces anew where the core asks for it, as often as RFC 5227 allows.
    pub(super) fn defend(&mut self) {
        let mut requests: Vec<Vip> = self.defence.take().into_iter().collect();
        while requests.len() < MAX_DEFENCES
            && let Ok(vip) = self.defend.try_recv()
        {
            requests.push(vip);
        }
        let now = self.now();
        if !requests.is_empty() && self.is_announcer() && self.defences.allow(now) {
            tracing::debug!(vip = ?requests.first(), "Defend the VIP against a foreign claim");
            self.schedule.begin(now);
        }
    }

    /// Announces every VIP once.
    pub(super) fn announce(&self) {
        self.vips.iter().for_each(|vip| self.announce_one(*vip));
    }

    /// Announces one VIP in every form, if the right to it lasts at this very moment.
    pub(super) fn announce_one(&self, vip: Vip) {
        let Some(segment) = self.link.segment.as_ref().filter(|_| self.is_announcer()) else {
            return;
        };
        let metrics = &self.metrics;
        let sent = segment.announce(vip, |form| {
            count(match form {
                Form::ArpRequest => &metrics.gratuitous_arp_requests,
                Form::ArpReply => &metrics.gratuitous_arp_replies,
                Form::Na => &metrics.unsolicited_nas,
            });
        });
        if let Err(error) = sent {
            tracing::warn!(%error, %vip, "The VIP was not announced");
        }
    }

    /// Asks the segment who has each VIP; false when a question did not leave.
    pub(super) fn probe_segment(&self) -> bool {
        let Some(segment) = &self.link.segment else {
            return false;
        };
        let sent = self.vips.iter().map(|vip| segment.probe(*vip));
        let failed: Vec<_> = sent.filter_map(Result::err).collect();
        for error in &failed {
            tracing::debug!(%error, "A probe was not sent");
        }
        failed.is_empty()
    }
}
