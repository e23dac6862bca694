//! What keeps pintle from starting: the exit code, one sentence, and nothing touched.

use std::net::{IpAddr, TcpListener};

use pintle_testkit::netns::host_v4;

use super::bed::{Bed, Setup, TELEMETRY, VIP};

/// Runs a pintle that must end by itself: its exit code, and the last line that it said.
fn refused(bed: &Bed, prefix: &[&str], text: &str) -> (Option<i32>, String) {
    let config = bed.path("refused.yaml");
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let output = bed.command(0, prefix, &["run", "--config", config]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(bed.owners(VIP), [0_usize; 0], "{said}");
    (output.status.code(), said)
}

/// The one sentence of an exit with 69.
fn unavailable(
    bed: &Bed,
    prefix: &[&str],
    setup: &Setup,
    text: impl Fn(String) -> String,
) -> String {
    let (code, said) = refused(bed, prefix, &text(setup.text(0)));
    assert_eq!(code, Some(69), "{said}");
    let sentences: Vec<&str> = said.lines().filter(|line| line.starts_with("pintle: ")).collect();
    let [sentence] = sentences[..] else { panic!("one sentence: {said}") };
    assert!(said.trim_end().ends_with(sentence), "said last: {said}");
    sentence.to_owned()
}

#[test]
fn a_bad_configuration_is_refused_before_anything_else_is_looked_at() {
    let bed = Bed::new(1);
    // Everything else is wrong, too: a port that is taken and a link that is not there.
    let _listener = bed
        .topology
        .host_ns(0)
        .run_in(|| TcpListener::bind(("127.0.0.1", TELEMETRY)).unwrap())
        .unwrap();
    let text = bed.setup().text(0).replace("eth0", "nope0");
    let text = text.replace("election: {}", "election: {priority: 9, retryPeriot: 1s}");
    let (code, said) = refused(&bed, &[], &text);
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("priority") && said.contains("retryPeriot"), "every mistake: {said}");
    assert!(!said.contains("Starting"), "nothing was begun: {said}");
    assert!(bed.servers[0].requests().is_empty(), "nobody was asked");
}

#[test]
fn what_is_missing_is_named_in_one_sentence() {
    let bed = Bed::new(1);
    let setup = bed.setup();
    let same = |text: String| text;
    for (capability, dropped) in [("NET_ADMIN", "-net_admin"), ("NET_RAW", "-net_raw")] {
        let prefix = ["setpriv", "--bounding-set", dropped, "--inh-caps", dropped];
        for balancer in ["", "enabled: true"] {
            let sentence = unavailable(&bed, &prefix, &Setup { balancer, ..setup.clone() }, same);
            let expected = format!("the capability {capability} is missing: run as uid 0");
            assert!(sentence.contains(&expected), "{balancer}: {sentence}");
        }
    }
    let sentence = unavailable(&bed, &[], &setup, |text| text.replace("eth0", "nope0"));
    assert!(sentence.contains("nope0"), "{sentence}");

    let own = Setup { vips: vec![IpAddr::V4(host_v4(0))], ..setup.clone() };
    let sentence = unavailable(&bed, &[], &own, same);
    assert!(sentence.contains(&host_v4(0).to_string()), "{sentence}");
    let addresses = bed.topology.addresses(0).unwrap();
    let is_kept = addresses.iter().any(|one| one.address == IpAddr::V4(host_v4(0)));
    assert!(is_kept, "the host's own address was taken away: {addresses:?}");

    let _listener = bed
        .topology
        .host_ns(0)
        .run_in(|| TcpListener::bind(("127.0.0.1", TELEMETRY)).unwrap())
        .unwrap();
    let sentence = unavailable(&bed, &[], &setup, same);
    assert!(sentence.contains(&format!("127.0.0.1:{TELEMETRY}")), "{sentence}");
    assert!(bed.lease().is_null(), "nobody was told of a holder");
}
