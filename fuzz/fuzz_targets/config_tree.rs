//! Any file, environment and command line: a configuration that keeps its promises, or mistakes that
//! each fit on a line. Trees stand for files here: which text makes which tree is the YAML parser's.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use pintle_core::config::{
    Argument, Config, Document, Entry, KEYS, Mark, Node, Scalar, Sources, Style, Value,
};

/// The longest line: a place, a key and two quoted texts of 60 characters, escaped.
const LONGEST_LINE: usize = 4096;
/// Mistakes beyond it are counted, not told.
const MOST_MISTAKES: usize = 100;

#[derive(Arbitrary, Debug)]
struct Input {
    file: Option<Tree>,
    environment: Vec<(Word, Word)>,
    flags: Vec<(Word, Vec<Word>)>,
    host_name: String,
}

#[derive(Arbitrary, Debug)]
enum Tree {
    Scalar(Word, bool),
    Seq(Vec<Tree>),
    Map(Vec<(Word, Tree)>),
    Refused,
}

/// Mostly what means something: a fuzzer that has to guess `election.leaseDuration` never gets past it.
#[derive(Arbitrary, Debug)]
enum Word {
    Key(u8),
    LastOfKey(u8),
    VariableOfKey(u8),
    Known(u8),
    Milliseconds(u16),
    Any(String),
}

const KNOWN: [&str; 20] = [
    "apiVersion",
    "pintle.dev/v1alpha1",
    "kind",
    "Config",
    "control-plane",
    "proxy",
    "192.0.2.10",
    "2001:db8::10",
    "127.0.0.1:6443",
    "[::1]:9810",
    "eth0",
    "true",
    "false",
    "null",
    "",
    "-1",
    "hold",
    "release",
    "/readyz",
    "0ms",
];

impl Word {
    fn text(&self) -> String {
        let path = |index: &u8| KEYS[usize::from(*index) % KEYS.len()].path;
        match self {
            Self::Key(index) => path(index).to_owned(),
            Self::LastOfKey(index) => path(index).rsplit('.').next().unwrap_or_default().to_owned(),
            Self::VariableOfKey(index) => {
                format!("PINTLE_{}", path(index).to_uppercase().replace('.', "_"))
            }
            Self::Known(index) => KNOWN[usize::from(*index) % KNOWN.len()].to_owned(),
            Self::Milliseconds(count) => format!("{count}ms"),
            Self::Any(text) => text.clone(),
        }
    }
}

impl Tree {
    fn node(&self) -> Node {
        let value = match self {
            Self::Scalar(word, quoted) => scalar(word, *quoted),
            Self::Seq(items) => Value::Seq(items.iter().map(Self::node).collect()),
            Self::Map(entries) => {
                Value::Map(entries.iter().map(|(key, value)| entry(key, value)).collect())
            }
            Self::Refused => Value::Refused("an alias"),
        };
        node(value)
    }
}

fn entry(key: &Word, value: &Tree) -> Entry {
    Entry { key: node(scalar(key, false)), value: value.node() }
}

fn scalar(word: &Word, quoted: bool) -> Value {
    let style = if quoted { Style::Quoted } else { Style::Plain };
    Value::Scalar(Scalar { text: word.text(), style })
}

fn node(value: Value) -> Node {
    Node { mark: Mark { line: 1, column: 1 }, value }
}

fn sources(input: &Input) -> Sources {
    let words = |words: &[Word]| words.iter().map(Word::text).collect();
    Sources {
        document: input
            .file
            .as_ref()
            .map(|tree| Ok(Document { name: "pintle.yaml".to_owned(), root: tree.node() })),
        environment: input
            .environment
            .iter()
            .map(|(name, value)| (name.text(), value.text()))
            .collect(),
        arguments: input
            .flags
            .iter()
            .map(|(key, values)| Argument {
                flag: "--set".to_owned(),
                key: key.text(),
                values: words(values),
            })
            .collect(),
        host_name: input.host_name.clone(),
    }
}

fuzz_target!(|input: Input| {
    match Config::read(&sources(&input)) {
        Ok(config) => {
            let election = &config.election;
            assert!(election.lease_duration > election.renew_deadline);
            assert!(election.renew_deadline > election.retry_period);
            assert!(matches!(config.vips.len(), 1 | 2));
            assert!(!config.node.is_empty());
        }
        Err(mistakes) => {
            let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            assert!((1..=MOST_MISTAKES).contains(&told.len()), "{} mistakes", told.len());
            for line in told {
                assert!(line.len() <= LONGEST_LINE, "{} bytes: {line:.200}", line.len());
                assert!(!line.contains(char::is_control), "{line:?}");
            }
        }
    }
});
