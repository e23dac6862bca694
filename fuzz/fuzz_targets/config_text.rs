//! Any text as a configuration file: a configuration, or mistakes with places that each fit on a line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pintle_core::config::{Config, Sources};

#[path = "../../crates/cli/src"]
#[allow(dead_code, reason = "the command line's own module, of which this calls one function")]
mod cli {
    pub(crate) mod yaml;
}

/// The longest line: a place, a key and two quoted texts of 60 characters, escaped.
const LONGEST_LINE: usize = 4096;

fuzz_target!(|text: &str| {
    let sources = Sources {
        document: Some(cli::yaml::parse("pintle.yaml", text)),
        host_name: "cp-1".to_owned(),
        ..Sources::default()
    };
    let Err(mistakes) = Config::read(&sources) else {
        return;
    };
    for mistake in mistakes.iter() {
        let line = mistake.to_string();
        assert!(line.starts_with("pintle.yaml"), "{line}");
        assert!(line.len() <= LONGEST_LINE, "{} bytes: {line:.200}", line.len());
        assert!(!line.contains(char::is_control), "{line:?}");
    }
});
