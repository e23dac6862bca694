//! The plain story: three start, one holds, it is asked to end, another holds.

use std::thread::sleep;
use std::time::Duration;

use pintle_testkit::netns::INTERFACE;
use serde_json::Value;

use super::bed::{Bed, Pintle, SOON, TELEMETRY, VIP, hostname, wait};

const FIELDS: [&str; 9] =
    ["vip", "node", "from", "to", "reason", "detect_ms", "lease_ms", "bind_ms", "announce_ms"];

/// The one line of its kind, with each field of the contract exactly once.
fn the_change(pintle: &Pintle, direction: &str) -> Value {
    let lines = pintle.lines(&format!("\"message\":\"vip.{direction}\""));
    let [line] = &lines[..] else { panic!("one vip.{direction} of {}: {lines:?}", pintle.log()) };
    for field in FIELDS {
        assert_eq!(line.matches(&format!("\"{field}\":")).count(), 1, "{field} in {line}");
    }
    let change: Value = serde_json::from_str(line).unwrap();
    for phase in FIELDS.iter().filter(|field| field.ends_with("_ms")) {
        assert!(change[phase].as_f64().is_some_and(|ms| ms >= 0.0), "{phase} in {line}");
    }
    change
}

fn check_lease(bed: &Bed, holder: usize) {
    // The first renewal after the bind carries it; until then the last holder's is no stranger's.
    let mac = bed.topology.host_mac(holder).to_string();
    wait(SOON, "the holder's MAC in the Lease", || {
        (bed.lease()["metadata"]["annotations"]["pintle.dev/mac"] == mac).then_some(())
    });
    let lease = bed.lease();
    let annotation = |name: &str| {
        let value = &lease["metadata"]["annotations"][format!("pintle.dev/{name}")];
        value.as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(lease["spec"]["holderIdentity"], hostname(holder), "{lease}");
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 3, "{lease}");
    let renewed = lease["spec"]["renewTime"].as_str().unwrap();
    assert_eq!(annotation("lease-duration"), format!("{renewed}/2500"), "{lease}");
    assert_eq!(annotation("vips"), VIP.to_string(), "{lease}");
    assert!(annotation("incarnation").len() >= 8, "{lease}");
}

fn check_telemetry(pintle: &Pintle, holder: usize) {
    let holds = pintle.host == holder;
    let (code, metrics) = pintle.get("/metrics").unwrap();
    assert_eq!(code, 200);
    let bit = u8::from(holds);
    for metric in [
        format!("pintle_leader{{lease=\"kube-system/pintle\"}} {bit}"),
        format!("pintle_vip_bound{{address=\"{VIP}\"}} {bit}"),
    ] {
        assert!(metrics.lines().any(|line| line == metric), "no {metric} in\n{metrics}");
    }
    let taken = "pintle_lease_transitions_total{reason=\"absent\"} 1";
    assert_eq!(metrics.lines().any(|line| line == taken), holds, "{taken} in\n{metrics}");
    assert_eq!(pintle.get("/livez").unwrap().0, 200);

    let status = pintle.status();
    assert_eq!(status["node"], hostname(pintle.host), "{status}");
    assert_eq!(status["role"], if holds { "leader" } else { "follower" }, "{status}");
    assert_eq!(status["holder"], hostname(holder), "{status}");
    assert_eq!(status["interface"], INTERFACE, "{status}");
    assert_eq!(status["vips"][0]["address"], VIP.to_string(), "{status}");
    assert_eq!(status["vips"][0]["bound"], holds, "{status}");
    assert_eq!(status["apiservers"].as_array().unwrap().len(), 3, "{status}");
    assert!(status["watching"] == true && status["occupied"] == false, "{status}");
    if holds {
        assert_eq!(status["last_failover"]["reason"], "absent", "{status}");
    }
}

fn check_status_command(bed: &Bed, holder: usize) {
    let said = bed.run(holder, &["status"]);
    assert!(said.contains(&format!("holder       {}\n", hostname(holder))), "{said}");
    assert!(said.contains(&format!("vip          {VIP}  bound here\n")), "{said}");
    let json: Value = serde_json::from_str(&bed.run(holder, &["status", "-o", "json"])).unwrap();
    assert_eq!(json["holder"], hostname(holder));
}

fn wait_event(bed: &Bed, reason: &str, node: &str) {
    wait(SOON, &format!("an Event {reason} of {node}"), || {
        let events = bed.store.events();
        let found = events
            .iter()
            .find(|event| event["reason"] == reason && event.to_string().contains(node))?;
        assert_eq!(found["metadata"]["namespace"], "kube-system", "{found}");
        assert!(found.to_string().contains("\"kind\":\"Lease\""), "about the Lease: {found}");
        Some(())
    });
}

/// No address, lock, listener or packet socket of a pintle.
fn assert_nothing_is_left(bed: &Bed, host: usize) {
    let addresses = bed.topology.addresses(host).unwrap();
    assert!(addresses.iter().all(|address| address.address != VIP), "{addresses:?}");
    let locks = bed.proc_net(host, "unix");
    assert!(!locks.contains("@pintle/"), "{locks}");
    let listeners = bed.proc_net(host, "tcp");
    // `local_address rem_address st`, in hexadecimal; 0A is LISTEN.
    let ours = format!(":{TELEMETRY:04X} 00000000:0000 0A");
    assert!(!listeners.contains(&ours), "{listeners}");
    let packets = bed.proc_net(host, "packet");
    assert_eq!(packets.lines().count(), 1, "only the heading: {packets}");
}

#[test]
fn one_of_three_holds_and_an_orderly_stop_hands_over() {
    let bed = Bed::new(3);
    let mut pintles = bed.start_all(&bed.setup());
    let first = bed.wait_holder();
    wait(SOON, "all are ready", || pintles.iter().all(Pintle::is_ready).then_some(()));
    // Two renewals: everyone has heard of the holder.
    sleep(Duration::from_secs(1));
    assert_eq!(bed.owners(VIP), [first]);

    let change = the_change(&pintles[first], "acquired");
    assert_eq!(change["vip"], VIP.to_string());
    assert_eq!(change["node"], hostname(first));
    assert_eq!(change["from"], "");
    assert_eq!(change["to"], hostname(first));
    assert_eq!(change["reason"], "absent");
    for pintle in &pintles {
        let taken = pintle.changes("acquired").len();
        assert_eq!(taken, usize::from(pintle.host == first), "{}", pintle.log());
        check_telemetry(pintle, first);
    }
    check_lease(&bed, first);
    check_status_command(&bed, first);
    wait_event(&bed, "VipAcquired", &hostname(first));

    pintles[first].stop();
    let (second, _) = wait(SOON, "another holds", || match bed.owners(VIP)[..] {
        [other] if other != first => Some(other),
        _ => None,
    });
    assert_nothing_is_left(&bed, first);
    let lost = the_change(&pintles[first], "lost");
    assert_eq!((&lost["reason"], &lost["from"]), (&"shutdown".into(), &hostname(first).into()));
    wait(SOON, "its log line", || pintles[second].changes("acquired").pop());
    let taken = the_change(&pintles[second], "acquired");
    assert_eq!((&taken["reason"], &taken["to"]), (&"released".into(), &hostname(second).into()));
    wait_event(&bed, "VipAcquired", &hostname(second));
    check_lease(&bed, second);
}
