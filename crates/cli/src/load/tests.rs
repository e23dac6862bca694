//! Files that are no configuration: each refused with one line, none without a bound.

use std::fs;
use std::path::PathBuf;

use super::*;

const GOOD: &str =
    "apiVersion: pintle.dev/v1alpha1\nkind: Config\nvips: [192.0.2.10]\nnode: cp-1\n";

/// What is told about a file with these bytes, without its directory.
fn told(bytes: &[u8]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yaml");
    fs::write(&path, bytes).unwrap();
    told_about(&path)
}

fn told_about(path: &Path) -> String {
    let mistakes = load(Some(path), [], Vec::new()).map(|_| ()).unwrap_err().to_string();
    mistakes.replace(&format!("{}/", path.parent().unwrap().display()), "")
}

#[test]
fn a_good_file_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yaml");
    fs::write(&path, GOOD).unwrap();
    assert_eq!(node(load(Some(&path), [], Vec::new())), "cp-1");
    // Exactly as large as is allowed.
    let filled =
        format!("{GOOD}#{}", "x".repeat(usize::try_from(LARGEST_FILE).unwrap() - GOOD.len() - 1));
    fs::write(&path, filled).unwrap();
    assert_eq!(node(load(Some(&path), [], Vec::new())), "cp-1");
}

#[test]
fn what_is_no_configuration_is_refused_in_one_line() {
    let large = vec![b'#'; usize::try_from(LARGEST_FILE).unwrap() + 1];
    assert_eq!(told(&large), "config.yaml: is larger than 1 MiB; name the configuration file");
    assert_eq!(
        told(b"node: a\nvips: [\xff]\n"),
        "config.yaml: is not valid UTF-8 in line 2; save it as UTF-8"
    );
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("none.yaml");
    assert_eq!(told_about(&missing), "none.yaml: does not exist; check the path");
    let inner = directory.path().join("config.d");
    fs::create_dir(&inner).unwrap();
    assert_eq!(told_about(&inner), "config.d: is a directory; name the file in it");
    assert_eq!(
        told_about(&PathBuf::from("/dev/zero")),
        "zero: is larger than 1 MiB; name the configuration file"
    );
}

#[test]
fn without_any_name_the_host_s_is_taken() {
    let vip = Argument {
        flag: "--vip".to_owned(),
        key: "vips".to_owned(),
        values: vec!["192.0.2.10".to_owned()],
    };
    let host = rustix::system::uname().nodename().to_str().unwrap().to_lowercase();
    assert_eq!(node(load(None, [], vec![vip])), host);
}

fn node(read: Result<Configuration, Mistakes>) -> String {
    match read.unwrap() {
        Configuration::ControlPlane(config) => config.node,
        Configuration::Proxy(config) => panic!("another role: {config:?}"),
    }
}
