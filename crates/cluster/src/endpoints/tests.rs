use serde_json::json;

use super::memory::Memory;
use super::*;

fn set(addresses: &[&str]) -> BTreeSet<SocketAddr> {
    addresses.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn addresses_of_both_families_are_taken_ready_or_not() {
    let slices: Vec<EndpointSlice> = serde_json::from_value(json!([
        {"addressType": "IPv4",
         "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": false}},
                       {"addresses": ["192.0.2.2", "not an address"]}],
         "ports": [{"name": "metrics", "port": 9}, {"name": "https", "port": 6443}]},
        {"addressType": "IPv6", "endpoints": [{"addresses": ["2001:db8::1"]}],
         "ports": [{"name": "https", "port": 443}, {"name": "https", "port": 70000}]},
        {"addressType": "FQDN", "endpoints": null, "ports": null},
    ]))
    .unwrap();
    let expected = set(&["192.0.2.1:6443", "192.0.2.2:6443", "[2001:db8::1]:443"]);
    assert_eq!(addresses(&slices), expected);
}

#[test]
fn what_a_list_lacks_is_remembered_for_ten_minutes() {
    let now = Instant::now();
    let mut memory = Memory::default();
    memory.learn(set(&["192.0.2.1:6443", "192.0.2.2:6443"]), now);
    memory.learn(set(&["192.0.2.1:6443"]), now + Duration::from_secs(599));
    assert_eq!(memory.addresses().len(), 2);
    memory.learn(set(&["192.0.2.1:6443"]), now + Duration::from_secs(600));
    assert_eq!(memory.addresses(), ["192.0.2.1:6443".parse().unwrap()]);
}

#[test]
fn at_most_sixteen_are_kept_the_newest_first() {
    let now = Instant::now();
    let mut memory = Memory::default();
    memory.learn(set(&["192.0.2.200:6443"]), now);
    let many: BTreeSet<SocketAddr> =
        (1..=16).map(|host| SocketAddr::from(([192, 0, 2, host], 6443))).collect();
    memory.learn(many.clone(), now + Duration::from_secs(1));
    assert_eq!(memory.addresses(), many.into_iter().collect::<Vec<_>>());
}
