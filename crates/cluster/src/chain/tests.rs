use pintle_testkit::certs;

use super::*;
use crate::kubeconfig;

#[path = "../../tests/adapter/log.rs"]
mod log;

fn credential() -> Credential {
    let ca = certs::ClusterCa::generate("kubernetes").unwrap();
    let text = certs::kubeconfig(&ca.pem(), &ca.issue_admin().unwrap(), "https://192.0.2.10");
    let material = kubeconfig::parse(text.as_bytes(), Path::new("/"), &mut |_| unreachable!());
    Credential::new(material.unwrap()).unwrap()
}

fn chain() -> (Chain, watch::Receiver<Option<ClusterCa>>) {
    let (authorities, published) = watch::channel(None);
    let names = ["admin.conf", "super-admin.conf"].map(Path::new);
    (Chain::new(names.into_iter(), authorities), published)
}

fn places(chain: &Chain) -> Vec<usize> {
    chain.candidates().iter().map(|candidate| candidate.place).collect()
}

fn full_chain() -> (Chain, [Candidate; 2]) {
    let (chain, _) = chain();
    chain.replace(0, Ok(credential()));
    chain.replace(1, Ok(credential()));
    let both = chain.candidates().try_into().unwrap();
    (chain, both)
}

#[tokio::test(start_paused = true)]
async fn a_refused_credential_is_left_alone_until_it_is_due() {
    let (chain, [admin, super_admin]) = full_chain();
    assert_eq!(places(&chain), [0, 1]);
    chain.denied(&admin, LeaseFailure::Forbidden);
    chain.accepted(&super_admin);
    assert_eq!(places(&chain), [1]);
    assert!(chain.due().is_empty());
    tokio::time::advance(RECHECK_INTERVAL).await;
    assert_eq!(chain.due().len(), 1);
    chain.accepted(&admin);
    assert_eq!(places(&chain), [0, 1]);
    assert!(chain.due().is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_taken_and_refused_in_turns_waits_longer_each_time() {
    let (chain, [admin, super_admin]) = full_chain();
    let mut waits = Vec::new();
    for _ in 0..7 {
        chain.denied(&admin, LeaseFailure::Forbidden);
        chain.accepted(&super_admin);
        let mut waited = 0;
        while chain.due().is_empty() && waited < 100 {
            tokio::time::advance(Duration::from_secs(1)).await;
            waited += 1;
        }
        waits.push(waited);
        chain.accepted(&admin);
    }
    assert_eq!(waits, [3, 6, 12, 24, 48, 60, 60]);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_taken_for_long_is_tried_again_soon() {
    let (chain, [admin, super_admin]) = full_chain();
    for _ in 0..7 {
        chain.denied(&admin, LeaseFailure::Forbidden);
        chain.accepted(&admin);
    }
    for _ in 0..61 {
        tokio::time::advance(Duration::from_secs(1)).await;
        chain.accepted(&admin);
    }
    chain.denied(&admin, LeaseFailure::Unauthorised);
    chain.accepted(&super_admin);
    tokio::time::advance(RECHECK_INTERVAL).await;
    assert_eq!(chain.due().len(), 1);
}

#[tokio::test]
async fn when_all_are_refused_all_are_tried() {
    let (chain, [admin, super_admin]) = full_chain();
    chain.denied(&admin, LeaseFailure::Forbidden);
    chain.denied(&super_admin, LeaseFailure::Forbidden);
    assert_eq!(places(&chain), [0, 1]);
}

#[tokio::test]
async fn a_version_that_cannot_be_used_displaces_none_that_can() {
    let (chain, [admin, super_admin]) = full_chain();
    chain.accepted(&admin);
    chain.replace(0, Err(KubeconfigError::Empty));
    assert_eq!(places(&chain), [0, 1]);
    chain.replace(0, Err(KubeconfigError::Missing));
    assert_eq!(places(&chain), [0, 1], "the one in use");
    chain.replace(1, Err(KubeconfigError::Missing));
    assert_eq!(places(&chain), [0], "an administrator took it away");
    // What is said of a credential that is gone concerns nobody.
    chain.denied(&super_admin, LeaseFailure::Forbidden);
    chain.accepted(&super_admin);
    assert_eq!(places(&chain), [0]);
}

#[tokio::test]
async fn a_late_answer_does_not_bring_a_later_credential_back() {
    let (chain, [admin, super_admin]) = full_chain();
    chain.accepted(&admin);
    chain.accepted(&super_admin);
    assert_eq!(chain.slots().in_use, Some(0));
}

#[tokio::test]
async fn the_authorities_of_all_are_published_once_each() {
    let (chain, published) = chain();
    let first = credential();
    let expected: Vec<u8> = first.authorities[0].to_vec();
    chain.replace(0, Ok(first));
    assert_eq!(published.borrow().as_ref().unwrap().certificates, [expected]);
    chain.replace(1, Ok(credential()));
    assert_eq!(published.borrow().as_ref().unwrap().certificates.len(), 2);
    chain.replace(1, Err(KubeconfigError::Missing));
    chain.replace(0, Err(KubeconfigError::Missing));
    assert!(published.borrow().is_some(), "never taken back");
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_is_waited_for_once() {
    let (chain, _published) = chain();
    chain.replace(0, Ok(credential()));
    let started = Instant::now();
    chain.looked_at().await;
    assert_eq!(started.elapsed(), FIRST_LOOK_TIMEOUT);
    chain.looked_at().await;
    assert_eq!(started.elapsed(), FIRST_LOOK_TIMEOUT);
    assert_eq!(places(&chain), [0]);
}

#[tokio::test]
async fn nothing_is_missing_before_every_place_was_looked_at() {
    let (chain, _published) = chain();
    let looked_at = chain.looked_at();
    tokio::pin!(looked_at);
    chain.replace(0, Err(KubeconfigError::Missing));
    tokio::select! {
        biased;
        () = &mut looked_at => panic!("one place was not looked at"),
        () = tokio::task::yield_now() => {}
    }
    chain.replace(1, Err(KubeconfigError::Missing));
    looked_at.await;
}

#[tokio::test]
async fn an_odd_certificate_among_the_authorities_is_said_once() {
    let (log, _guard) = log::Log::start();
    let (chain, _published) = chain();
    for _ in 0..2 {
        let mut odd = credential();
        odd.odd_authority = Some(rustls::CertificateError::BadEncoding.into());
        chain.replace(0, Ok(odd));
    }
    let lines = log.lines_with("A CA certificate cannot be used");
    assert!(lines.len() == 1 && lines[0].contains("admin.conf"), "{lines:?}");
}
