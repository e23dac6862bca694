//! `pintle manifest static-pod --from FILE…`: what other front doors are configured with, as settings of
//! pintle's, with a word on what each line became. Pure: texts in, settings and words out.
//!
//! ```text
//! a manifest of kube-vip's ------> kube_vip --+
//! keepalived.conf ---> keepalived (blocks) ---+--> settings, and what became of each line
//! haproxy.cfg -------> haproxy (sections) ----+
//! ```

use pintle_core::config::Argument;

mod haproxy;
mod keepalived;
mod kube_vip_manifest;

/// A file, read.
#[derive(Debug)]
pub(crate) struct Foreign {
    /// As it was named.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// What came of the files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Migration {
    /// Settings, each under the place that it comes from.
    pub(crate) arguments: Vec<Argument>,
    /// What became of each line, for the comments of the manifest.
    pub(crate) notes: Vec<String>,
    /// What the operator has to know before the manifest is used.
    pub(crate) warnings: Vec<String>,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    KubeVip,
    Keepalived,
    Haproxy,
}

/// Translates the files, together one front door.
///
/// # Errors
///
/// Every file that cannot be translated, with the reason.
pub(crate) fn translate(files: &[Foreign]) -> Result<Migration, Vec<String>> {
    let (mut migration, mut mistakes) = (Migration::default(), Vec::new());
    for file in files {
        let outcome = match kind(&file.text) {
            Some(Kind::KubeVip) => kube_vip_manifest::read(&mut migration, file),
            Some(Kind::Keepalived) => keepalived::read(&mut migration, file),
            Some(Kind::Haproxy) => haproxy::read(&mut migration, file),
            None => Err(vec![
                "is no manifest of kube-vip's, no keepalived.conf and no haproxy.cfg".to_owned(),
            ]),
        };
        let named = |mistake: String| format!("--from: {}: {mistake}", file.name);
        mistakes.extend(outcome.err().into_iter().flatten().map(named));
    }
    if mistakes.is_empty() { Ok(migration) } else { Err(mistakes) }
}

/// By what only one of them has.
fn kind(text: &str) -> Option<Kind> {
    let first_words = || text.lines().filter_map(|line| line.split_whitespace().next());
    if first_words().any(|word| word == "vrrp_instance") {
        Some(Kind::Keepalived)
    } else if first_words().any(|word| word == "kind:") {
        Some(Kind::KubeVip)
    } else if first_words().any(|word| matches!(word, "frontend" | "listen" | "backend")) {
        Some(Kind::Haproxy)
    } else {
        None
    }
}

// === impl Migration ===

impl Migration {
    /// A line that is a setting. Two places may say the same.
    fn set(&mut self, place: &str, line: &str, key: &str, value: &str) {
        let known = self.arguments.iter_mut().find(|argument| argument.key == key);
        let value = value.to_owned();
        match known {
            Some(argument) if argument.values.contains(&value) => {}
            // Lists grow; anything else that is said twice is a mistake, which the core names.
            Some(argument) if key == "vips" => argument.values.push(value.clone()),
            _ => self.arguments.push(Argument {
                flag: place.to_owned(),
                key: key.to_owned(),
                values: vec![value.clone()],
            }),
        }
        self.note(place, line, &format!("{key}: {value}"));
    }

    /// A line that is none.
    fn note(&mut self, place: &str, line: &str, became: &str) {
        self.notes.push(format!("{place}: {line} -> {became}"));
    }
}

#[cfg(test)]
mod tests;
