//! YAML text to the tree that the core reads, with a place for every key and value.
//!
//! A parser of events keeps what a deserialiser loses: places of keys, keys given twice, and
//! everything behind the first mistake. Aliases and tags have no use in a configuration of thirty
//! keys: they are refused at their place, so nothing in a file can multiply.

use granit_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use pintle_core::config::{Document, Entry, Mark, Mistake, Node, Place, Scalar, Style, Value};

/// A configuration has four levels; deeper is a mistake, and a tree of bounded depth can be walked.
const DEEPEST: usize = 16;
/// Some three hundred times what there is to say. Bounds the tree that a file can grow to.
const MOST_NODES: usize = 10_000;

/// Takes a file apart.
///
/// # Errors
///
/// The first mistake of syntax, with its place: what follows it cannot be understood.
pub(crate) fn parse(name: &str, text: &str) -> Result<Document, Mistake> {
    let mut tree = Tree::default();
    for event in parser(text) {
        let step = event
            .map_err(|error| (mark(error.marker()), format!("is not YAML: {}", error.info())))
            .and_then(|(event, span)| tree.take(&event, mark(&span.start)));
        if let Err((mark, message)) = step {
            let place = Place::File { name: name.to_owned(), mark: Some(mark) };
            let message = message.replace(char::is_control, " ");
            return Err(Mistake { place, key: String::new(), message, suggestion: None });
        }
    }
    let nothing = Node { mark: Mark { line: 1, column: 1 }, value: plain("") };
    Ok(Document { name: name.to_owned(), root: tree.root.unwrap_or(nothing) })
}

fn parser(
    text: &str,
) -> impl Iterator<Item = Result<(Event<'_>, granit_parser::Span), granit_parser::ScanError>> {
    let mut options = granit_parser::options! {
        emit_unresolved_aliases: true,
        flow_nesting_limit: DEEPEST,
        block_nesting_limit: DEEPEST,
    };
    options.set_emit_comments(false);
    Parser::new_from_str_with_options(text, options)
}

/// The tree while it grows.
#[derive(Default)]
struct Tree {
    open: Vec<Frame>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
}

/// A list or a group of keys that is not closed yet.
enum Frame {
    Seq { mark: Mark, items: Vec<Node>, tagged: bool },
    Map { mark: Mark, entries: Vec<Entry>, key: Option<Node>, tagged: bool },
}

impl Tree {
    fn take(&mut self, event: &Event<'_>, mark: Mark) -> Result<(), (Mark, String)> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err((mark, "a second document begins here, want one".to_owned()));
                }
            }
            Event::Scalar(text, style, _, tag) => {
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted
                    | ScalarStyle::DoubleQuoted
                    | ScalarStyle::Literal
                    | ScalarStyle::Folded => Style::Quoted,
                };
                let value = match tag.as_deref() {
                    Some(_) => Value::Refused("a tag"),
                    None => Value::Scalar(Scalar { text: text.clone().into_owned(), style }),
                };
                self.add(Node { mark, value })?;
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.add(Node { mark, value: Value::Refused("an alias") })?;
            }
            Event::SequenceStart(_, _, tag) => {
                let tagged = is_tagged(tag.as_deref());
                self.open.push(Frame::Seq { mark, items: Vec::new(), tagged });
            }
            Event::MappingStart(_, _, tag) => {
                let tagged = is_tagged(tag.as_deref());
                self.open.push(Frame::Map { mark, entries: Vec::new(), key: None, tagged });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), (Mark, String)> {
        let (mark, value, tagged) = match self.open.pop() {
            Some(Frame::Seq { mark, items, tagged }) => (mark, Value::Seq(items), tagged),
            Some(Frame::Map { mark, entries, tagged, .. }) => (mark, Value::Map(entries), tagged),
            None => return Ok(()),
        };
        self.add(Node { mark, value: if tagged { Value::Refused("a tag") } else { value } })
    }

    fn add(&mut self, node: Node) -> Result<(), (Mark, String)> {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            return Err((node.mark, format!("holds more than {MOST_NODES} values")));
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Frame::Seq { items, .. }) => items.push(node),
            Some(Frame::Map { entries, key, .. }) => match key.take() {
                None => *key = Some(node),
                Some(key) => entries.push(Entry { key, value: node }),
            },
        }
        Ok(())
    }
}

const fn is_tagged(tag: Option<&Tag>) -> bool {
    tag.is_some()
}

fn plain(text: &str) -> Value {
    Value::Scalar(Scalar { text: text.to_owned(), style: Style::Plain })
}

fn mark(marker: &Marker) -> Mark {
    // The parser counts lines from one and columns from zero; before the first character both are 0.
    Mark { line: marker.line().max(1), column: marker.col() + 1 }
}

#[cfg(test)]
mod tests;
