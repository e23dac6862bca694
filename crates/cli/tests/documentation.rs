//! docs/configuration.md says what the code does: the parts between the marks are made by the core.

use std::fs;
use std::path::Path;

use pintle_core::config::{defaults_yaml, markdown_reasons, markdown_table};

/// `UPDATE=1 cargo test -p pintle-cli` writes the parts anew.
#[test]
fn the_configuration_page_is_the_code_s() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = fs::read_to_string(&path).unwrap();
    let mut wanted = page.clone();
    for (name, text) in [
        ("table", markdown_table()),
        ("reasons", markdown_reasons()),
        ("defaults", format!("```yaml\n{}```\n", defaults_yaml())),
    ] {
        let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
        let (head, rest) = wanted.split_once(&begin).unwrap();
        let (_, tail) = rest.split_once(&end).unwrap();
        wanted = format!("{head}{begin}{text}{end}{tail}");
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &wanted).unwrap();
        return;
    }
    assert!(page == wanted, "docs/configuration.md is not what the code says: run with UPDATE=1");
}
