//! Signals: a log that nobody reads, a second SIGTERM, SIGSTOP and SIGCONT.

use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use pintle_testkit::capture::{Capture, Frame, Mac};
use pintle_testkit::netns::{INTERFACE, VIP_V4};
use pintle_testkit::process::Signal;
use rustix::io::ioctl_fionread;
use rustix::pipe::fcntl_setpipe_size;
use rustix::process::{Pid, kill_process};

use super::bed::{Bed, SOON, Setup, VIP, always, wait};

/// The smallest pipe that there is: one page.
const PIPE: usize = 4096;

/// A child that is killed with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_log_that_nobody_reads_delays_nothing() {
    let bed = Bed::new(1);
    let setup = Setup { log: "trace", ..bed.setup() };
    let config = bed.write_config("unread", 0, &setup);
    let namespace = bed.topology.host_ns(0).name();
    #[expect(clippy::disallowed_methods, reason = "runs the built binary on a host")]
    let mut command = std::process::Command::new("ip");
    command.args(["netns", "exec", namespace, env!("CARGO_BIN_EXE_pintle"), "run", "--config"]);
    let child = command.arg(config).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut child = Killed(child);
    let unread = child.0.stderr.take().unwrap();
    fcntl_setpipe_size(&unread, PIPE).unwrap();

    bed.wait_holder();
    always(Duration::from_secs(5), "the VIP is bound", || bed.owners(VIP) == [0]);
    bed.wait_renewals();
    // Less than a line's length short of full: the writer waits.
    let waiting = ioctl_fionread(&unread).unwrap();
    assert!(waiting + 1024 >= PIPE as u64, "the pipe is not full: {waiting}");
    kill_process(Pid::from_child(&child.0), Signal::TERM).unwrap();
    wait(SOON, "it ends", || child.0.try_wait().unwrap());
    assert!(bed.owners(VIP).is_empty());
    assert_eq!(bed.lease_holder(), "", "the Lease was released");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let bed = Bed::new(1);
    let mut pintle = bed.start(0, &bed.setup());
    bed.wait_holder();
    // The release has nobody to answer it: alone it takes two seconds.
    bed.servers[0].hang_all(true);
    pintle.process.term().unwrap();
    pintle.wait_line("Stopping");
    sleep(Duration::from_millis(100));
    assert!(pintle.process.is_running(), "the release waits for an answer");
    let asked = Instant::now();
    pintle.process.term().unwrap();
    let status = pintle.process.wait(SOON).unwrap().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(1), "took {:?}", asked.elapsed());
    assert!(status.success(), "{status}");
    assert_eq!(pintle.lines("Second signal").len(), 1, "{}", pintle.log());
    wait(SOON, "the address goes", || bed.owners(VIP).is_empty().then_some(()));
}

/// Whether a frame says that `mac` has the VIP.
fn claims(frame: &Frame, mac: Mac) -> bool {
    matches!(frame, Frame::Arp { sha, spa, .. } if *sha == mac && *spa == VIP_V4)
}

#[test]
fn one_that_was_stopped_never_announces_again() {
    let bed = Bed::new(2);
    let mut pintles = bed.start_all(&bed.setup());
    let old = bed.wait_holder();
    let other = 1 - old;
    wait(SOON, "both are ready", || pintles.iter().all(|one| one.is_ready()).then_some(()));
    let capture = Capture::start(bed.topology.client_ns(), INTERFACE).unwrap();
    pintles[old].process.stop().unwrap();
    let stopped = Instant::now();
    wait(SOON, "the kernel removes it", || (!bed.owners(VIP).contains(&old)).then_some(()));
    assert!(stopped.elapsed() < Duration::from_secs(4), "took {:?}", stopped.elapsed());
    sleep(Duration::from_secs(5).saturating_sub(stopped.elapsed()));
    let resumed = Instant::now();
    pintles[old].process.cont().unwrap();
    always(Duration::from_secs(3), "the other holds", || bed.owners(VIP) == [other]);
    let frames = capture.stop().unwrap();
    let old_mac = bed.topology.host_mac(old);
    let announced =
        frames.iter().filter(|one| one.at >= resumed && claims(&one.frame, old_mac)).count();
    assert_eq!(announced, 0, "the old holder announced");
    let other_mac = bed.topology.host_mac(other);
    assert!(frames.iter().any(|one| claims(&one.frame, other_mac)), "the capture hears the other");
    let lost = pintles[old].changes("lost");
    assert_eq!(lost.len(), 1, "{}", pintles[old].log());
}
