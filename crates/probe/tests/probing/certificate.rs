//! Which names an API server's certificate covers.

use pintle_probe::{CertificateError, Coverage, certificate_covers};
use std::time::Duration;

use crate::probing::PATIENT;
use crate::server::{Does, Server, ready};
use crate::tls::{Ca, NAME};

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn addresses_and_names_are_told_apart() {
    let ca = Ca::new();
    let tls = ca.acceptor_for(&[NAME, "192.0.2.10", "2001:db8::10"], 2100);
    let server = Server::start(tls, ready()).await;
    let asked = names(&["192.0.2.10", "192.0.2.11", "2001:db8::10", "kubernetes", "vip.example"]);
    let found = certificate_covers(server.address, NAME, &asked, &ca.der(), PATIENT).await.unwrap();
    let expected = Coverage {
        covered: names(&["192.0.2.10", "2001:db8::10", "kubernetes"]),
        missing: names(&["192.0.2.11", "vip.example"]),
    };
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_certificate_that_is_not_to_be_trusted_covers_nothing() {
    let (ca, stranger) = (Ca::new(), Ca::new());
    for tls in [stranger.acceptor(), ca.acceptor_for(&["x"], 2100), ca.acceptor_for(&[NAME], 2021)]
    {
        let server = Server::start(tls, ready()).await;
        let found = certificate_covers(server.address, NAME, &[], &ca.der(), PATIENT).await;
        assert!(matches!(found, Err(CertificateError::Tls { .. })), "{found:?}");
    }
}

#[tokio::test]
async fn what_stands_in_the_way_is_said() {
    let ca = Ca::new();
    let mut server = Server::start(ca.acceptor(), Does::HangsAfterAccept).await;
    let (address, short) = (server.address, Duration::from_millis(100));
    let found = certificate_covers(address, NAME, &[], &ca.der(), short).await;
    assert!(matches!(found, Err(CertificateError::Timeout { .. })), "{found:?}");
    server.kill().await;
    let found = certificate_covers(address, NAME, &[], &ca.der(), PATIENT).await;
    assert!(matches!(found, Err(CertificateError::Connect { .. })), "{found:?}");
    let found = certificate_covers(address, NAME, &[], &[vec![1]], PATIENT).await;
    assert!(matches!(found, Err(CertificateError::Ca(_))), "{found:?}");
    let found = certificate_covers(address, "a b", &[], &ca.der(), PATIENT).await;
    assert!(matches!(found, Err(CertificateError::Name(_))), "{found:?}");
}
