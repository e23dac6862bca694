//! What the file says: every key at its place, and every place where something else stands.

use std::collections::BTreeMap;

use super::{Gathered, Raw};
use crate::config::mistake::{Complaint, Mistake, Place, quote};
use crate::config::node::{Document, Entry, Mark, Node, Scalar, Value};
use crate::config::schema::{API_VERSION, KEYS, Key, Shape, key};
use crate::config::words::{HEADER, children, is_below, is_section, meant_key, show_path};

impl Gathered {
    pub(super) fn take_unread(&mut self, mistake: &Mistake) {
        self.mistakes.add(mistake.clone());
        for key in KEYS {
            self.give(key.path, mistake.place.clone(), Raw::Spoilt);
        }
    }

    pub(super) fn take_document(&mut self, document: &Document) {
        let place = |mark| Place::File { name: document.name.clone(), mark };
        self.root = Some(place(Some(document.root.mark)));
        let file = File { name: &document.name };
        match &document.root.value {
            Value::Map(entries) => {
                self.take_entries(&file, "", entries);
                self.check_header(&file, entries, document.root.mark);
            }
            Value::Scalar(scalar) if scalar.is_null() => {
                let advice = format!("begin with apiVersion: {API_VERSION}");
                let complaint = Complaint::with("the file is empty", advice);
                self.mistakes.complain(place(None), "", complaint);
            }
            Value::Scalar(_) | Value::Seq(_) | Value::Refused(_) => {
                let advice = format!("begin with apiVersion: {API_VERSION}");
                let complaint = Complaint::with("want keys and values", advice);
                self.mistakes.complain(file.at(document.root.mark), "", complaint);
            }
        }
    }

    fn check_header(&mut self, file: &File<'_>, entries: &[Entry], root: Mark) {
        for (name, wanted) in HEADER {
            let advice = format!("write {name}: {wanted}");
            let complaint = match entries.iter().find(|entry| is_key(entry, name)) {
                None if self.meant.contains(name) => continue,
                None => (root, Complaint::with("is missing", advice)),
                Some(entry) => match &entry.value.value {
                    Value::Scalar(scalar) if scalar.text == wanted => continue,
                    Value::Scalar(scalar) => {
                        let message =
                            format!("{} is not what this pintle reads", quote(&scalar.text));
                        (entry.value.mark, Complaint::with(message, advice))
                    }
                    Value::Seq(_) | Value::Map(_) | Value::Refused(_) => {
                        (entry.value.mark, Complaint::with("want a text", advice))
                    }
                },
            };
            self.mistakes.complain(file.at(complaint.0), name, complaint.1);
        }
    }

    fn take_entries(&mut self, file: &File<'_>, prefix: &str, entries: &[Entry]) {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in entries {
            let mark = entry.key.mark;
            let Value::Scalar(Scalar { text: name, .. }) = &entry.key.value else {
                let complaint = Complaint::new("a key must be a single word");
                self.mistakes.complain(file.at(mark), "", complaint);
                continue;
            };
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            if let Some(line) = seen.get(&**name) {
                let message = format!("is given twice, first in line {line}");
                let complaint = Complaint::with(message, "remove one of them");
                self.mistakes.complain(file.at(mark), &show_path(&path), complaint);
                continue;
            }
            seen.insert(name, mark.line);
            if let Some(key) = key(&path) {
                self.take_value(file, key, &entry.value);
            } else if is_section(&path) {
                self.take_section(file, &path, &entry.value);
            } else if !(prefix.is_empty() && HEADER.iter().any(|(header, _)| header == name)) {
                self.unknown_key(file.at(mark), prefix, name);
            }
        }
    }

    fn take_section(&mut self, file: &File<'_>, path: &str, node: &Node) {
        match &node.value {
            Value::Map(entries) => self.take_entries(file, path, entries),
            Value::Scalar(scalar) if scalar.is_null() => {}
            Value::Refused(what) => self.refused(file, path, node.mark, what),
            Value::Scalar(_) | Value::Seq(_) => {
                let keys = children(path).collect::<Vec<_>>().join(", ");
                let advice = format!("the keys here are {keys}");
                let complaint = Complaint::with("want keys and values", advice);
                self.mistakes.complain(file.at(node.mark), path, complaint);
                for key in KEYS.iter().filter(|key| is_below(key.path, path)) {
                    self.give(key.path, file.at(node.mark), Raw::Spoilt);
                }
            }
        }
    }

    fn take_value(&mut self, file: &File<'_>, key: &Key, node: &Node) {
        let place = file.at(node.mark);
        let raw = match (&node.value, key.shape) {
            (Value::Scalar(scalar), _) if scalar.is_null() => return,
            (Value::Scalar(scalar), Shape::One) => Raw::One(scalar.clone()),
            (Value::Seq(items), Shape::List) => Raw::Many(self.take_items(file, key, items)),
            (Value::Refused(what), _) => {
                self.refused(file, key.path, node.mark, what);
                Raw::Spoilt
            }
            (Value::Scalar(_), Shape::List) => {
                let advice = "put it in brackets, [ and ]";
                let complaint = Complaint::with("is one value, want a list", advice);
                self.mistakes.complain(place.clone(), key.path, complaint);
                Raw::Spoilt
            }
            (Value::Map(_), shape) | (Value::Seq(_), shape @ Shape::One) => {
                let is =
                    if matches!(node.value, Value::Map(_)) { "a group of keys" } else { "a list" };
                let want = if shape == Shape::List { "a list" } else { "one value" };
                let complaint = Complaint::new(format!("is {is}, want {want}"));
                self.mistakes.complain(place.clone(), key.path, complaint);
                Raw::Spoilt
            }
        };
        self.give(key.path, place, raw);
    }

    fn take_items(&mut self, file: &File<'_>, key: &Key, items: &[Node]) -> Vec<(Place, Scalar)> {
        let mut taken = Vec::new();
        for item in items {
            match &item.value {
                Value::Scalar(scalar) if !scalar.is_null() => {
                    taken.push((file.at(item.mark), scalar.clone()));
                }
                Value::Scalar(_) => {
                    let complaint = Complaint::with("an item is empty", "remove it");
                    self.mistakes.complain(file.at(item.mark), key.path, complaint);
                }
                Value::Refused(what) => self.refused(file, key.path, item.mark, what),
                Value::Seq(_) | Value::Map(_) => {
                    let complaint = Complaint::new("an item is more than one value");
                    self.mistakes.complain(file.at(item.mark), key.path, complaint);
                }
            }
        }
        taken
    }

    fn refused(&mut self, file: &File<'_>, path: &str, mark: Mark, what: &str) {
        let complaint = Complaint::with(format!("{what} is not read here"), "write the value out");
        self.mistakes.complain(file.at(mark), path, complaint);
    }

    fn unknown_key(&mut self, place: Place, prefix: &str, name: &str) {
        let meant = meant_key(prefix, name);
        let advice = if meant.is_empty() {
            let keys: Vec<&str> = if prefix.is_empty() {
                HEADER.iter().map(|(header, _)| *header).chain(children("")).collect()
            } else {
                children(prefix).collect()
            };
            format!("the keys here are {}", keys.join(", "))
        } else {
            format!("did you mean {}?", meant.join(" or "))
        };
        self.meant.extend(meant);
        let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        self.mistakes.complain(place, &show_path(&path), Complaint::with("unknown key", advice));
    }
}

/// Gives out places in one file.
struct File<'a> {
    name: &'a str,
}

impl File<'_> {
    fn at(&self, mark: Mark) -> Place {
        Place::File { name: self.name.to_owned(), mark: Some(mark) }
    }
}

fn is_key(entry: &Entry, name: &str) -> bool {
    matches!(&entry.key.value, Value::Scalar(scalar) if scalar.text == name)
}
