//! The configuration in words: the defaults as a file, and the table of the documentation.

use super::role::{OnWorker, Role, on_worker};
use super::schema::{API_VERSION, Fallback, KEYS, KIND, Key, Shape};

/// A file that says what holds without a file, with the meaning of each key. What has no default is
/// there as a comment.
#[must_use]
pub fn defaults_yaml() -> String {
    let mut text = format!("apiVersion: {API_VERSION}\nkind: {KIND}\n");
    let mut open: Vec<&str> = Vec::new();
    for key in KEYS {
        let mut sections: Vec<&str> = key.path.split('.').collect();
        sections.pop();
        let shared = open.iter().zip(&sections).take_while(|(left, right)| left == right).count();
        for (depth, section) in sections.iter().enumerate().skip(shared) {
            text.push_str(&format!("{}{section}:\n", "  ".repeat(depth)));
        }
        let indent = "  ".repeat(sections.len());
        text.push_str(&format!("{indent}# {}\n{indent}{}\n", key.meaning, assignment(key)));
        open = sections;
    }
    text
}

fn assignment(key: &Key) -> String {
    let name = key.name();
    let list = |text: &str| format!("{name}: [{}]", text.replace(',', ", "));
    match (key.fallback, key.shape) {
        (Fallback::Text(text), Shape::List) => list(text),
        (Fallback::Text(""), Shape::One) => format!("{name}: \"\""),
        (Fallback::Text(text), Shape::One) => format!("{name}: {text}"),
        (Fallback::Required(example), Shape::List) => format!("# {}", list(example)),
        (Fallback::Required(example), Shape::One) => format!("# {name}: {example}"),
        (Fallback::Found { example, .. }, _) => format!("# {name}: {example}"),
    }
}

/// The table of every key, as Markdown.
#[must_use]
pub fn markdown_table() -> String {
    let mut text = String::from(
        "| key | default | meaning | environment variable | flag |\n|---|---|---|---|---|\n",
    );
    for key in KEYS {
        let flag = key
            .flag
            .map_or_else(|| format!("`--set {}=…`", key.path), |flag| format!("`--{flag}`"));
        text.push_str(&format!(
            "| `{}` | {} | {} | `{}` | {flag} |\n",
            key.path,
            key.default_text(),
            key.meaning,
            key.variable(),
        ));
    }
    text
}

/// Why each default is what it is, as a Markdown list.
#[must_use]
pub fn markdown_reasons() -> String {
    let lines = KEYS.iter().filter(|key| matches!(key.fallback, Fallback::Text(_)));
    lines.map(|key| format!("- `{}` {}: {}\n", key.path, key.default_text(), key.reason)).collect()
}

/// The keys of a worker's proxy with their defaults there, as Markdown.
#[must_use]
pub fn markdown_proxy_table() -> String {
    let mut text = String::from("| key | default with `role: proxy` |\n|---|---|\n");
    let is_there = |key: &&Key| !matches!(on_worker(key.path), OnWorker::Refused(_));
    for key in KEYS.iter().filter(|key| key.path != "role").filter(is_there) {
        let default = default_text(Role::Proxy.fallback(key), key.shape);
        text.push_str(&format!("| `{}` | {default} |\n", key.path));
    }
    text
}

/// What holds when a key is not given, in the documentation's words.
pub(super) fn default_text(fallback: Fallback, shape: Shape) -> String {
    match (fallback, shape) {
        (Fallback::Text(text), Shape::List) => format!("`[{}]`", text.replace(',', ", ")),
        (Fallback::Text(""), Shape::One) => "`\"\"`".to_owned(),
        (Fallback::Text(text), Shape::One) => format!("`{text}`"),
        (Fallback::Required(_), _) => "required".to_owned(),
        (Fallback::Found { how, .. }, _) => how.to_owned(),
    }
}
