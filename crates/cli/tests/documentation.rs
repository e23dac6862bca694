//! docs/configuration.md and README.md say what the code does: the parts between the marks are made by
//! the core.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::Path;

use pintle_core::config::{defaults_yaml, markdown_proxy_table, markdown_reasons, markdown_table};

#[test]
fn the_configuration_page_is_the_code_s() {
    judge(
        "docs/configuration.md",
        &[
            ("table", markdown_table()),
            ("reasons", markdown_reasons()),
            ("defaults", format!("```yaml\n{}```\n", defaults_yaml())),
        ],
    );
}

#[test]
fn the_proxy_s_page_has_its_keys() {
    judge("docs/proxy.md", &[("proxy", markdown_proxy_table())]);
}

/// Key, default and meaning.
#[test]
fn the_readme_s_table_is_the_code_s() {
    let table: String = markdown_table()
        .lines()
        .map(|row| row.split('|').take(4).collect::<Vec<_>>().join("|") + "|\n")
        .collect();
    judge("README.md", &[("table", table)]);
}

/// `UPDATE=1 cargo test -p pintle-cli` writes the parts anew.
fn judge(file: &str, parts: &[(&str, String)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    let page = fs::read_to_string(&path).unwrap();
    let mut wanted = page.clone();
    for (name, text) in parts {
        let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
        let (head, rest) = wanted.split_once(&begin).unwrap();
        let (_, tail) = rest.split_once(&end).unwrap();
        wanted = format!("{head}{begin}{text}{end}{tail}");
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &wanted).unwrap();
        return;
    }
    assert!(page == wanted, "{file} is not what the code says: run with UPDATE=1");
}
