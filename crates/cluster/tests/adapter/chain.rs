//! Which credentials are used, and what happens when files change.

use std::fs;
use std::time::Duration;

use pintle_core::{LeaseAnswer, LeaseFailure, Observed};
use pintle_testkit::certs::{self, ClusterCa, Validity};
use pintle_testkit::stand_in::Auth;

use crate::bench::{Site, read_until};
use crate::log::Log;
use crate::side::{event, until};

const ABSENT: LeaseAnswer = LeaseAnswer::Read(Observed::Absent);
const UNAUTHORISED: LeaseAnswer = LeaseAnswer::Failed(LeaseFailure::Unauthorised);

#[tokio::test]
async fn super_admin_is_used_only_until_admin_is_authorised() {
    let (log, _guard) = Log::start();
    let site = Site::new(1);
    site.servers[0].set_auth(Auth::MastersOnly);
    site.write_kubeconfig("super-admin.conf", &site.super_admin());
    let mut bench = site.bench();
    assert_eq!(bench.read(0).await, ABSENT, "the first attempt already");
    let lines = log.lines_with("Using later credentials");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("super-admin.conf") && lines[0].contains("not authorised yet"),
        "{lines:?}"
    );
    bench.acquire().await;

    site.servers[0].set_auth(Auth::Allow);
    let dropped = async {
        while log.lines_with("Using the earlier credentials again").is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), dropped)
        .await
        .expect("admin.conf is tried again");
    assert_eq!(log.lines_with("Using later credentials").len(), 1, "said once");
    // It is not needed: the administrator may take it away.
    fs::remove_file(site.path("super-admin.conf")).unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(matches!(bench.read(0).await, LeaseAnswer::Read(Observed::Present(_))));
}

#[tokio::test]
async fn when_no_credential_is_allowed_that_is_the_answer() {
    let (log, _guard) = Log::start();
    let site = Site::new(1);
    site.servers[0].set_auth(Auth::Forbidden);
    site.write_kubeconfig("super-admin.conf", &site.super_admin());
    let mut bench = site.bench();
    assert_eq!(bench.read(0).await, LeaseAnswer::Failed(LeaseFailure::Forbidden));
    assert!(log.lines_with("No credentials").is_empty(), "an API server that starts does so too");
    let told = async {
        while log.lines_with("No credentials are accepted").is_empty() {
            tokio::time::sleep(Duration::from_millis(200)).await;
            bench.read(0).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), told).await.expect("it lasts");
    let lines = log.lines_with("No credentials are accepted");
    assert!(lines.len() == 1 && lines[0].contains("not authorised yet"), "{lines:?}");
    site.servers[0].set_auth(Auth::Allow);
    assert_eq!(bench.read(0).await, ABSENT, "at once, without waiting for a second look");
    assert_eq!(log.lines_with("Credentials are accepted").len(), 1);
}

#[tokio::test]
async fn without_files_there_are_no_credentials_until_one_appears() {
    let (log, _guard) = Log::start();
    let site = Site::new(1);
    let mut bench = site.bare_bench("kubernetes");
    assert_eq!(bench.read(0).await, LeaseAnswer::Failed(LeaseFailure::NoCredentials));
    assert_eq!(bench.read(0).await, LeaseAnswer::Failed(LeaseFailure::NoCredentials));
    let lines = log.lines_with("Waiting for credentials");
    assert_eq!(lines.len(), 1, "once a minute: {lines:?}");
    assert!(lines[0].contains("admin.conf does not exist"), "{lines:?}");
    assert_eq!(*bench.authorities.borrow(), None);
    site.write_kubeconfig("admin.conf", &site.admin());
    read_until(&mut bench, |answer| *answer == ABSENT).await;
    let authorities = bench.authorities.borrow().clone().unwrap();
    assert_eq!(authorities.certificates, [site.ca.der().to_vec()]);
}

#[tokio::test]
async fn a_kubeconfig_of_another_cluster_does_not_keep_the_next_from_being_used() {
    let (log, _guard) = Log::start();
    let site = Site::new(1);
    let other = ClusterCa::generate("kubernetes").unwrap();
    let client = other.issue_client("admin", None, Validity::Current).unwrap();
    let text = certs::kubeconfig(&other.pem(), &client, "https://127.0.0.1:1");
    fs::write(site.path("admin.conf"), text).unwrap();
    let mut bench = site.bare_bench("kubernetes");
    assert_eq!(bench.read(0).await, LeaseAnswer::Failed(LeaseFailure::Refused));
    assert!(!log.lines_with("An API server is not trusted").is_empty());
    site.write_kubeconfig("super-admin.conf", &site.super_admin());
    read_until(&mut bench, |answer| *answer == ABSENT).await;
    // What is beside the Lease goes the same way.
    bench.command(event("VipAcquired")).await;
    until("it is posted", || site.store.events().len() == 1).await;
}

#[tokio::test]
async fn a_changed_kubeconfig_is_used_without_a_restart() {
    let site = Site::new(1);
    let stranger = ClusterCa::generate("kubernetes").unwrap();
    let unknown = stranger.issue_client("admin", None, Validity::Current).unwrap();
    site.write_kubeconfig("admin.conf", &unknown);
    let mut bench = site.bare_bench("kubernetes");
    assert_eq!(bench.read(0).await, UNAUTHORISED);
    // By rename, as kubeadm and kubelet do.
    site.write_kubeconfig("new", &site.admin());
    fs::rename(site.path("new"), site.path("admin.conf")).unwrap();
    read_until(&mut bench, |answer| *answer == ABSENT).await;
    // In place, as an editor or `cp` does.
    site.write_kubeconfig("admin.conf", &unknown);
    read_until(&mut bench, |answer| *answer == UNAUTHORISED).await;
}

#[tokio::test]
async fn a_half_written_kubeconfig_does_not_displace_the_good_one() {
    let (log, _guard) = Log::start();
    let site = Site::new(1);
    let mut bench = site.bench();
    assert_eq!(bench.read(0).await, ABSENT);
    let whole = site.kubeconfig(&site.admin());
    fs::write(site.path("admin.conf"), &whole[..whole.len() / 2]).unwrap();
    let noticed = async {
        while log.lines_with("keeping those").is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), noticed).await.expect("the change is noticed");
    assert_eq!(bench.read(0).await, ABSENT);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(bench.read(0).await, ABSENT);
    let lines = log.lines_with("keeping those");
    assert!(lines.len() == 1 && lines[0].contains("admin.conf"), "{lines:?}");
}

#[tokio::test]
async fn a_pods_token_is_used_last_and_read_again() {
    let site = Site::new(1);
    let directory = site.path("serviceaccount");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("ca.crt"), site.ca.pem()).unwrap();
    fs::write(directory.join("token"), "first\n").unwrap();
    site.servers[0].set_token(Some("first"));
    let mut bench = site.bare_bench("kubernetes");
    assert_eq!(bench.read(0).await, ABSENT);
    site.servers[0].set_token(Some("second"));
    assert_eq!(bench.read(0).await, UNAUTHORISED);
    fs::write(directory.join("token"), "second\n").unwrap();
    read_until(&mut bench, |answer| *answer == ABSENT).await;
}
