//! What systemd is told.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use super::bed::{Bed, SOON};

fn next(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 256];
    socket.set_read_timeout(Some(SOON)).unwrap();
    let length = socket.recv(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[..length]).trim().to_owned()
}

#[test]
fn it_is_ready_then_alive_then_stopping() {
    let bed = Bed::new(1);
    let path = bed.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let watchdog = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "1000000")];
    let mut pintle = bed.start_with(0, &bed.setup(), &watchdog);
    assert_eq!(next(&socket), "READY=1", "{}", pintle.log());
    bed.wait_holder();
    let began = Instant::now();
    for _ in 0..5 {
        assert_eq!(next(&socket), "WATCHDOG=1");
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(4), "half of a second each: {took:?}");
    pintle.stop();
    let last = std::iter::repeat_with(|| next(&socket)).find(|told| told != "WATCHDOG=1").unwrap();
    assert_eq!(last, "STOPPING=1");
}
