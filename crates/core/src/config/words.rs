//! The words of the configuration: which may stand where, and which one was probably meant.

use super::mistake::quote;
use super::schema::{API_VERSION, KEYS, KIND};
use super::suggest::{is_same_word, nearest};

/// What a file must say of itself; no variable and no flag can.
pub(super) const HEADER: [(&str, &str); 2] = [("apiVersion", API_VERSION), ("kind", KIND)];

/// A longer path is quoted and cut: every real one is shorter.
const LONGEST_PATH: usize = 60;

/// Whether a path lies below a section.
pub(super) fn is_below(path: &str, section: &str) -> bool {
    path.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'))
}

/// Whether a path is that of a group of keys.
pub(super) fn is_section(path: &str) -> bool {
    KEYS.iter().any(|key| is_below(key.path, path))
}

/// The paths of keys and sections that may stand in a section, in the file's order.
fn paths_in(section: &str) -> impl Iterator<Item = &'static str> + use<> {
    let depth = if section.is_empty() { 0 } else { section.len() + 1 };
    let section = section.to_owned();
    let mut last = "";
    KEYS.iter().filter_map(move |key| {
        if !section.is_empty() && !is_below(key.path, &section) {
            return None;
        }
        let end = key.path[depth..].find('.').map_or(key.path.len(), |dot| depth + dot);
        let path = &key.path[..end];
        (std::mem::replace(&mut last, path) != path).then_some(path)
    })
}

/// The words that may stand in a section.
pub(super) fn children(section: &str) -> impl Iterator<Item = &'static str> + use<> {
    paths_in(section).map(last_word)
}

fn last_word(path: &'static str) -> &'static str {
    path.rsplit('.').next().unwrap_or(path)
}

/// A key's text in a message: paths are made of letters and dots, anything else is quoted.
pub(super) fn show_path(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if path.len() <= LONGEST_PATH && path.bytes().all(is_plain) {
        path.to_owned()
    } else {
        quote(path)
    }
}

/// What an unknown key was probably meant to be: the same word here, the same word elsewhere, a word
/// like it here, a word like it elsewhere. More than one when the word is at home in several places.
pub(super) fn meant_key(section: &str, name: &str) -> Vec<&'static str> {
    let headers = HEADER.iter().map(|(header, _)| *header);
    let here: Vec<&str> = headers.filter(|_| section.is_empty()).chain(paths_in(section)).collect();
    if let Some(path) = here.iter().find(|path| is_same_word(last_word(path), name)) {
        return vec![path];
    }
    let elsewhere: Vec<&str> = KEYS
        .iter()
        .filter(|key| is_same_word(key.name(), name) || is_same_word(key.path, name))
        .map(|key| key.path)
        .collect();
    if !elsewhere.is_empty() {
        return elsewhere;
    }
    if let Some(word) = nearest(name, here.iter().map(|path| last_word(path))) {
        return here.into_iter().filter(|path| last_word(path) == word).collect();
    }
    let word = nearest(name, KEYS.iter().map(|key| key.name()));
    KEYS.iter().filter(|key| Some(key.name()) == word).map(|key| key.path).collect()
}
