//! Credentials that come late, are not authorised yet, or are replaced.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use pintle_testkit::certs::Validity;
use pintle_testkit::stand_in::Auth;

use super::bed::{Bed, Pintle, SOON, Setup, VIP, always, wait};

/// A file is looked at each 2 s.
const NOTICED: Duration = Duration::from_millis(3500);

/// It took the VIP once and never lost it.
fn assert_unmoved(bed: &Bed, pintle: &Pintle) {
    assert_eq!(bed.owners(VIP), [0]);
    assert_eq!(pintle.changes("acquired").len(), 1, "{}", pintle.log());
    assert_eq!(pintle.changes("lost").len(), 0, "{}", pintle.log());
}

#[test]
fn before_kubeadm_init_it_waits_and_then_brings_the_vip() {
    let bed = Bed::new(1);
    let (admin, superuser) = (bed.path("early-admin.conf"), bed.path("super-admin.conf"));
    bed.servers[0].kill();
    let kubeconfigs = vec![admin.clone(), superuser.clone()];
    let pintle = bed.start(0, &Setup { kubeconfigs, ..bed.setup() });
    sleep(Duration::from_secs(5));
    assert!(bed.owners(VIP).is_empty());
    let waited = pintle.log();
    assert!(waited.lines().count() <= 4, "waits quietly: {waited}");
    assert!(waited.contains("Waiting for credentials"), "{waited}");
    assert!(!waited.contains("ERROR"), "{waited}");

    // kubeadm writes both files; the group of admin.conf is bound at the end of init.
    bed.servers[0].set_auth(Auth::MastersOnly);
    bed.servers[0].restart().unwrap();
    let group = Some("kubeadm:cluster-admins");
    let client = bed.ca.issue_client("kubernetes-admin", group, Validity::Current).unwrap();
    bed.write_kubeconfig("early-admin.conf", &client);
    sleep(Duration::from_millis(500));
    bed.write_kubeconfig("super-admin.conf", &bed.ca.issue_admin().unwrap());
    bed.wait_holder();
    let line = pintle.wait_line("Using later credentials");
    assert!(line.contains(superuser.to_str().unwrap()), "{line}");
    assert!(line.contains("403"), "why the earlier ones do not work: {line}");

    bed.servers[0].set_auth(Auth::Allow);
    let line = pintle.wait_line("Using the earlier credentials again");
    assert!(line.contains(admin.to_str().unwrap()), "{line}");
    fs::remove_file(superuser).unwrap();
    always(NOTICED, "the VIP is bound", || bed.owners(VIP) == [0]);
    bed.wait_renewals();
    assert_unmoved(&bed, &pintle);
}

/// Replaces a kubeconfig and has the old client certificate refused.
fn replaced(write: fn(&Path, &str)) {
    let bed = Bed::new(1);
    let old =
        bed.ca.issue_client("old", Some("kubeadm:cluster-admins"), Validity::Current).unwrap();
    let path = bed.write_kubeconfig("admin.conf", &old);
    let pintle = bed.start(0, &bed.setup());
    bed.wait_holder();
    write(&path, &bed.kubeconfig(&bed.ca.issue_admin().unwrap()));
    pintle.wait_line("Read changed credentials");
    bed.servers[0].set_auth(Auth::MastersOnly);
    always(NOTICED, "the VIP is bound", || bed.owners(VIP) == [0]);
    bed.wait_renewals();
    assert_unmoved(&bed, &pintle);
}

#[test]
fn a_kubeconfig_replaced_by_a_rename_is_used() {
    replaced(|path, text| {
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    });
}

#[test]
fn a_kubeconfig_rewritten_in_place_is_used() {
    replaced(|path, text| fs::write(path, text).unwrap());
}

/// The control of the two above: the old certificate does end with the change.
#[test]
fn a_certificate_that_is_refused_loses_the_vip() {
    let bed = Bed::new(1);
    let old =
        bed.ca.issue_client("old", Some("kubeadm:cluster-admins"), Validity::Current).unwrap();
    bed.write_kubeconfig("admin.conf", &old);
    let pintle = bed.start(0, &bed.setup());
    bed.wait_holder();
    bed.servers[0].set_auth(Auth::MastersOnly);
    wait(SOON, "the VIP goes", || bed.owners(VIP).is_empty().then_some(()));
    wait(SOON, "its log line", || pintle.changes("lost").pop());
    assert!(pintle.lines("Holding the VIP").is_empty(), "a refusal is no API loss");
}

/// pintle itself asks under `kubernetes`, and goes on; the VIP's clients are who would be refused.
#[test]
fn a_certificate_without_the_vip_is_told_of_once() {
    let bed = Bed::with_certificates_for(1, &[]);
    let pintle = bed.start(0, &bed.setup());
    let line = pintle.wait_line("certificate does not cover the VIP");
    assert!(line.contains(&VIP.to_string()), "{line}");
    assert!(line.contains("kubeadm init phase certs apiserver --config"), "{line}");
    bed.wait_holder();
    bed.wait_renewals();
    assert_eq!(pintle.lines("does not cover").len(), 1, "{}", pintle.log());
}

#[test]
fn a_certificate_with_the_vip_is_no_news() {
    let bed = Bed::new(1);
    let pintle = bed.start(0, &bed.setup());
    bed.wait_holder();
    bed.wait_renewals();
    assert!(pintle.lines("certificate").is_empty(), "{}", pintle.log());
}
