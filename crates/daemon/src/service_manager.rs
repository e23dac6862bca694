//! What systemd is told of a service of `Type=notify` (sd_notify(3)): that it runs, that its control loop
//! still turns, that it ends. Without `$NOTIFY_SOCKET`, as in a pod, nothing.

use std::time::Duration;

use pintle_core::Instant;
use pintle_telemetry::{Heartbeat, Published};
use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::time::sleep;

/// Ends with true when every part of a control-plane node's pintle runs; its sender lives as long as the process.
pub(crate) async fn started(mut status: watch::Receiver<Published>) -> bool {
    status.wait_for(|published| published.is_started).await.is_ok()
}

/// Tells that it runs when every part does, and from then on, each half of the time that the unit gives
/// (`WatchdogSec=`), that the control loop turns: a loop that hangs is restarted, although other threads
/// would still answer.
pub(crate) async fn keep_informed(
    is_started: impl Future<Output = bool>,
    heartbeat: Heartbeat,
    now: fn() -> Instant,
) {
    if std::env::var_os("NOTIFY_SOCKET").is_some() {
        let interval = sd_notify::watchdog_enabled().map(|timeout| timeout / 2);
        inform(is_started, heartbeat, now, interval, tell).await;
    }
}

async fn inform(
    is_started: impl Future<Output = bool>,
    heartbeat: Heartbeat,
    now: impl Fn() -> Instant,
    interval: Option<Duration>,
    tell: impl Fn(NotifyState<'_>),
) {
    if !is_started.await {
        return;
    }
    tell(NotifyState::Ready);
    let Some(interval) = interval else { return };
    loop {
        if heartbeat.is_fresh(now()) {
            tell(NotifyState::Watchdog);
        }
        sleep(interval).await;
    }
}

/// It was asked to end, and does.
pub(crate) fn stopping() {
    if std::env::var_os("NOTIFY_SOCKET").is_some() {
        tell(NotifyState::Stopping);
    }
}

/// A datagram on the host; systemd reads its socket before everything else.
fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use pintle_core::config::{Config, Sources};

    use super::*;
    use crate::board::Board;

    const INTERVAL: Duration = Duration::from_secs(2);

    fn config() -> Config {
        let environment = vec![("PINTLE_VIPS".to_owned(), "192.0.2.10".to_owned())];
        Config::read(&Sources { environment, host_name: "a".to_owned(), ..Sources::default() })
            .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_hangs_is_not_covered_up() {
        let (sender, status) = watch::channel(Board::blank(&config()));
        let began = tokio::time::Instant::now();
        let now = || Instant::from_nanos(u64::try_from(began.elapsed().as_nanos()).unwrap());
        let heartbeat = Heartbeat::new(now());
        let told = RefCell::new(Vec::new());
        let tell = |state: NotifyState<'_>| told.borrow_mut().push(state.to_string());
        let scenario = async {
            sleep(INTERVAL).await;
            assert!(told.borrow().is_empty(), "not every part runs");
            sender.send_modify(|published| published.is_started = true);
            sleep(Duration::from_secs(1)).await;
            heartbeat.beat(now());
            // The last beat was fresh for 5 s.
            sleep(Duration::from_secs(30)).await;
        };
        tokio::select! {
            () = inform(started(status), heartbeat.clone(), now, Some(INTERVAL), tell) => {}
            () = scenario => {}
        }
        let told = told.into_inner();
        assert_eq!(told, ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"], "{told:?}");
    }
}
