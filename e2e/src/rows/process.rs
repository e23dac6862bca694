//! Faults of pintle's own process.

use std::time::Duration;

use anyhow::Result;
use pintle_testkit::capture::{Capture, Captured, Direction, Frame, Mac, transmit};
use pintle_testkit::netns::INTERFACE;

use crate::bed::{Bed, VIP};
use crate::judge::Check;
use crate::scene::Scene;

/// kubelet's first restart of a static pod, measured.
const RESTART_DELAY: Duration = Duration::from_millis(600);

/// The right to the address ends 2.3 s after the last renewal, and the kernel's fence 0.7 s later.
const FENCED: Duration = Duration::from_secs(4);

/// How long a pintle is frozen.
const FROZEN: Duration = Duration::from_secs(10);

/// A burst of announcements, and a move back, would show within this time.
const AFTERMATH: Duration = Duration::from_secs(4);

impl Scene<'_> {
    /// Kills every pintle but the holder's: nobody can take over.
    pub(super) fn kill_followers(&mut self) -> Result<()> {
        for host in Bed::others(self.holder) {
            self.bed.pintle(host).process().kill()?;
        }
        Ok(())
    }

    /// The address is off the first holder's host, though no pintle there could take it off.
    fn require_that_the_address_left(&mut self, fault: std::time::Instant) -> Result<()> {
        if let Some(gone) = self.address_watch().gone_after(fault) {
            self.figure("left_ms", gone.saturating_duration_since(fault));
        }
        let has_left = !self.bed.owners()?.contains(&self.holder);
        self.require(Check::LeavesByItself, has_left, || {
            format!("the old host still has the address after {FENCED:?}")
        });
        Ok(())
    }
}

pub(super) fn sigterm(scene: &mut Scene<'_>) -> Result<()> {
    if scene.is_control {
        scene.kill_followers()?;
    }
    let holder = scene.holder;
    scene.fault();
    scene.bed.pintle(holder).process().term()?;
    let ended = scene.bed.pintle(holder).process().wait(AFTERMATH)?;
    scene.require(Check::Alive, ended.is_some_and(|status| status.success()), || {
        format!("after SIGTERM pintle ended with {ended:?}")
    });
    scene.watch_until(AFTERMATH);
    scene.healed();
    scene.bed.pintle(holder).process().restart()?;
    scene.watch(AFTERMATH);
    Ok(())
}

pub(super) fn sigkill_restarted(scene: &mut Scene<'_>) -> Result<()> {
    let holder = scene.holder;
    scene.fault();
    scene.bed.pintle(holder).process().kill()?;
    scene.watch_until(RESTART_DELAY);
    scene.healed();
    if !scene.is_control {
        scene.bed.pintle(holder).process().restart()?;
    }
    scene.watch(AFTERMATH + FENCED);
    Ok(())
}

pub(super) fn sigkill(scene: &mut Scene<'_>) -> Result<()> {
    let holder = scene.holder;
    let fault = scene.fault();
    scene.bed.pintle(holder).process().kill()?;
    if scene.is_control {
        scene.bed.pin_address(holder)?;
    }
    scene.watch_until(FENCED);
    scene.require_that_the_address_left(fault)?;
    scene.healed();
    scene.bed.pintle(holder).process().restart()?;
    scene.watch(AFTERMATH);
    Ok(())
}

pub(super) fn sigstop(scene: &mut Scene<'_>) -> Result<()> {
    let holder = scene.holder;
    let mac = scene.bed.topology().host_mac(holder);
    let capture = Capture::start(scene.bed.host(holder), INTERFACE)?;
    let fault = scene.fault();
    scene.bed.pintle(holder).process().stop()?;
    scene.watch_until(FENCED);
    scene.require_that_the_address_left(fault)?;
    scene.watch_until(FROZEN);
    let resumed = scene.healed();
    scene.bed.pintle(holder).process().cont()?;
    if scene.is_control {
        transmit(scene.bed.host(holder), INTERFACE, &announcement(mac))?;
    }
    scene.watch(AFTERMATH);
    let claims = |frame: &Captured| {
        frame.at >= resumed && frame.direction == Direction::Out && is_claim(&frame.frame)
    };
    let claims = capture.stop()?.iter().filter(|frame| claims(frame)).count();
    scene.require(Check::Silent, claims == 0, || {
        format!("the old host claimed the address {claims} times after SIGCONT")
    });
    Ok(())
}

/// Whether a frame says that its sender has the VIP.
fn is_claim(frame: &Frame) -> bool {
    matches!(frame, Frame::Arp { spa, .. } if *spa == VIP)
}

/// A gratuitous ARP request, laid out by hand (RFC 826, RFC 5227 section 3).
fn announcement(mac: Mac) -> Vec<u8> {
    let mut frame = [Mac::BROADCAST.0, mac.0].concat();
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame.extend(mac.0);
    frame.extend(VIP.octets());
    frame.extend([0; 6]);
    frame.extend(VIP.octets());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use pintle_testkit::capture::Ethernet;

    #[test]
    fn the_controls_frame_is_what_the_check_looks_for() {
        let ethernet = Ethernet::parse(&announcement(Mac([2, 0, 0, 0, 0, 1]))).unwrap();
        assert!(is_claim(&ethernet.frame), "{ethernet:?}");
    }
}
