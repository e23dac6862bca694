//! Any kubeconfig: what is needed from it, or an error on one short line. The files that it names hold
//! the same bytes.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/cluster/src"]
#[allow(dead_code, reason = "cluster's own module, of which this calls one function")]
mod cluster {
    pub(crate) mod kubeconfig;
}

/// More than a path and a parser's complaint need.
const LONGEST_ERROR: usize = 8192;

fuzz_target!(|bytes: &[u8]| {
    let mut reads = 0;
    let mut read = |_: &Path| {
        reads += 1;
        Ok(bytes.to_vec())
    };
    match cluster::kubeconfig::parse(bytes, Path::new("/etc/kubernetes"), &mut read) {
        Ok(material) => {
            assert!(!material.authorities.is_empty());
            assert!(material.identity.is_some() || material.token.is_some());
        }
        Err(error) => {
            let line = error.to_string();
            assert!(line.len() <= LONGEST_ERROR, "{} bytes: {line:.200}", line.len());
        }
    }
    // Authority, certificate, key, token.
    assert!(reads <= 4, "{reads} files read");
});
