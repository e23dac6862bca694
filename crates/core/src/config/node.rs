//! A configuration file as a tree of places and texts, before anything is known of its meaning.
//!
//! The tree is made by an adapter (the command line reads YAML); nothing here knows a file format.
//! Texts stay as they were written: whether `0123`, `yes` or `1e3` is a number, a truth value or a
//! name depends on the key, not on the looks.

/// Where something stands in a file. Both count from one, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// One file, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The file's name, as the operator gave it.
    pub name: String,
    /// What stands in it.
    pub root: Node,
}

/// Something in a file, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub mark: Mark,
    /// What it is.
    pub value: Value,
}

/// What stands at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A single value, nothing at all included.
    Scalar(Scalar),
    /// A list.
    Seq(Vec<Node>),
    /// Keys and values, in the file's order; a key may come twice.
    Map(Vec<Entry>),
    /// Something that a configuration has no use for; the text names it.
    Refused(&'static str),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Node,
    /// The value.
    pub value: Node,
}

/// A single value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The text, without quotes.
    pub text: String,
    /// How it was written.
    pub style: Style,
}

/// How a single value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// In a file, without quotes.
    Plain,
    /// In a file, in quotes or as a block: text, whatever it looks like.
    Quoted,
    /// In an environment variable or an argument, where everything is text.
    Argument,
}

// === impl Scalar ===

impl Scalar {
    /// A value from an environment variable or an argument.
    #[must_use]
    pub fn argument(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::Argument }
    }

    /// Whether a file leaves the value out: `key:`, `key: ~` or `key: null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.style == Style::Plain && matches!(&*self.text, "" | "~" | "null" | "Null" | "NULL")
    }

    /// Whether a file says true or false here, in YAML's core schema (YAML 1.2.2 §10.3.2).
    #[must_use]
    pub fn is_boolean(&self) -> bool {
        const WORDS: [&str; 6] = ["true", "True", "TRUE", "false", "False", "FALSE"];
        self.style == Style::Plain && WORDS.contains(&&*self.text)
    }
}
