//! Any Ethernet frame: nothing, or a claim or probe whose fields the frame really holds.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/net/src"]
#[allow(dead_code, reason = "net's own module, of which this calls one function")]
mod net {
    pub(crate) mod frame;
}

fuzz_target!(|bytes: &[u8]| {
    let Some(heard) = net::frame::parse(bytes) else {
        return;
    };
    let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(holds(&heard.mac.0) && holds(&heard.source.0), "{heard:?}");
    assert!(
        match heard.address {
            IpAddr::V4(address) => holds(&address.octets()),
            IpAddr::V6(address) => holds(&address.octets()),
        },
        "{heard:?}"
    );
});
