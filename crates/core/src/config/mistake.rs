//! Mistakes in a configuration: each with its place, all of them at once.

use std::borrow::Cow;
use std::fmt;

use super::node::Mark;

/// So many mistakes are told; the rest is counted. More than anyone corrects in one go, and a file
/// of a mebibyte full of unknown keys does not become a hundred mebibytes of messages.
const MISTAKES_TOLD: usize = 100;

/// So much of a wrong text is repeated in a message: one terminal line keeps the advice visible.
const QUOTED_CHARACTERS: usize = 60;

/// A longer name of a flag or a variable is cut like a wrong text: every real one is shorter.
const LONGEST_NAME: usize = 80;

/// Where a value came from. The order is that of precedence, lowest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A file, and where in it (nowhere when the file as a whole is meant).
    File {
        /// The file's name.
        name: String,
        /// Where in it.
        mark: Option<Mark>,
    },
    /// The host's name.
    HostName,
    /// An environment variable.
    Environment(String),
    /// A flag, as it was written: `--vip`, `--set election.priority`.
    Flag(String),
    /// The command line as a whole: something is missing and no file was named.
    CommandLine,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// Which key, as a path: `election.leaseDuration`. Empty when no key is meant.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub suggestion: Option<String>,
}

/// Every mistake of a configuration, in the order of their places. There is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    told: Vec<Mistake>,
    untold: usize,
}

/// What is wrong with a value, before its place is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) message: String,
    pub(super) suggestion: Option<String>,
}

/// Collects mistakes; keeps the first [`MISTAKES_TOLD`] and counts the others.
#[derive(Debug, Default)]
pub(super) struct Collector {
    told: Vec<Mistake>,
    untold: usize,
}

/// The text in quotes, escaped and cut: whatever a file holds, a message is one short line.
pub(super) fn quote(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTED_CHARACTERS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// The name as it is, unless it would break the line or drive the terminal.
fn printable(name: &str) -> Cow<'_, str> {
    if name.contains(char::is_control) { Cow::Owned(quote(name)) } else { Cow::Borrowed(name) }
}

/// The name of a flag or a variable: as it is, unless it cannot be one.
fn short(name: &str) -> Cow<'_, str> {
    if name.len() > LONGEST_NAME { Cow::Owned(quote(name)) } else { printable(name) }
}

// === impl Place ===

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, mark: Some(mark) } => {
                write!(f, "{}:{}:{}", printable(name), mark.line, mark.column)
            }
            Self::File { name, mark: None } => f.write_str(&printable(name)),
            Self::HostName => f.write_str("the host name"),
            Self::Environment(name) => write!(f, "environment variable {}", short(name)),
            Self::Flag(flag) => write!(f, "flag {}", short(flag)),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

// === impl Mistake ===

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        self.suggestion.as_ref().map_or(Ok(()), |suggestion| write!(f, "; {suggestion}"))
    }
}

// === impl Mistakes ===

impl Mistakes {
    /// The mistakes that are told one by one.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.told.iter()
    }

    /// How many there are, those that are only counted included.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.told.len().saturating_add(self.untold)
    }
}

impl From<Mistake> for Mistakes {
    fn from(mistake: Mistake) -> Self {
        Self { told: vec![mistake], untold: 0 }
    }
}

impl std::error::Error for Mistakes {}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.told.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            mistake.fmt(f)?;
        }
        if self.untold > 0 {
            write!(f, "\nand {} more", self.untold)?;
        }
        Ok(())
    }
}

// === impl Complaint ===

impl Complaint {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), suggestion: None }
    }

    pub(super) fn with(message: impl Into<String>, suggestion: impl Into<String>) -> Self {
        Self { message: message.into(), suggestion: Some(suggestion.into()) }
    }

    pub(super) fn at(self, place: Place, key: &str) -> Mistake {
        let Self { message, suggestion } = self;
        Mistake { place, key: key.to_owned(), message, suggestion }
    }
}

// === impl Collector ===

impl Collector {
    pub(super) fn add(&mut self, mistake: Mistake) {
        if self.told.len() < MISTAKES_TOLD {
            self.told.push(mistake);
        } else {
            self.untold = self.untold.saturating_add(1);
        }
    }

    pub(super) fn complain(&mut self, place: Place, key: &str, complaint: Complaint) {
        self.add(complaint.at(place, key));
    }

    /// The mistakes in the order of their places; `None` when there are none.
    pub(super) fn finish(self) -> Option<Mistakes> {
        let Self { mut told, untold } = self;
        told.sort();
        told.dedup();
        (!told.is_empty()).then_some(Mistakes { told, untold })
    }
}
