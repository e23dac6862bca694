//! Servers on loopback that answer well, badly, too much, too slowly or not at all.

use std::net::TcpListener;
use std::thread;

use super::*;

/// A server that answers one request with `answer`, then closes.
fn server(answer: impl FnOnce(&mut TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let length = stream.read(&mut request).unwrap();
        assert!(request[..length].starts_with(b"GET /status HTTP/1.1\r\nHost: 127.0.0.1:"));
        answer(&mut stream);
    });
    address
}

fn answered(answer: &'static [u8]) -> Result<String, String> {
    let address = server(move |stream| stream.write_all(answer).unwrap());
    get(address, "/status").map(|body| String::from_utf8(body).unwrap()).map_err(|e| e.to_string())
}

#[test]
fn bodies_are_read_plain_and_chunked() {
    assert_eq!(answered(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap(), "{}");
    assert_eq!(
        answered(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4;x=y\r\n\":1}\r\n0\r\n\r\n")
            .unwrap(),
        "{\"a\":1}"
    );
}

#[test]
fn what_is_no_good_answer_is_told() {
    let cases: &[(&[u8], &str)] = &[
        (b"", "something else than pintle listens there"),
        (b"SSH-2.0-x\r\n", "something else than pintle listens there"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "the answer is \"404 Not Found\", not a status"),
        (b"HTTP/1.1\r\n\r\n", "something else than pintle listens there"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
            "something else than pintle listens there",
        ),
    ];
    for (answer, expected) in cases {
        assert_eq!(answered(answer).unwrap_err(), *expected);
    }
}

#[test]
fn a_server_that_hangs_or_never_ends_is_left() {
    let start = Instant::now();
    // A byte now and then for three times as long as the bound, so that a missing bound is a failure
    // and not a test without end.
    let drip = server(|stream| {
        for _ in 0..60 {
            if stream.write_all(b"x").is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
    });
    assert_eq!(get(drip, "/status").unwrap_err().to_string(), "no answer within 2 s");
    assert!(start.elapsed() >= TIMEOUT);
    assert!(start.elapsed() < TIMEOUT * 5);
    let flood = server(|stream| while stream.write_all(&[b'x'; 65536]).is_ok() {});
    assert_eq!(get(flood, "/status").unwrap_err().to_string(), "the answer is larger than 1 MiB");
}

#[test]
fn nobody_there_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(get(address, "/status").unwrap_err().to_string(), "nothing listens there");
}
