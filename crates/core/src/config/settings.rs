//! From what the sources say to one typed value per key.
//!
//! Every source's value is checked, also one that another source overrides: a mistake that a flag
//! hides today breaks the node on the day the flag goes.

use super::gather::{Gathered, Given, Raw};
use super::mistake::{Complaint, Mistakes, Place, quote};
use super::node::Scalar;
use super::role::Role;
use super::schema::{Fallback, Key, Shape, key};

/// A value with its place. Without a value when it, or what was given for it, is wrong; without a
/// place when it is the default.
#[derive(Clone, Debug)]
pub(super) struct Setting<T> {
    pub(super) path: &'static str,
    pub(super) value: Option<T>,
    pub(super) place: Option<Place>,
}

/// An item of a list with its place.
#[derive(Clone, Debug)]
pub(super) struct Item<T> {
    pub(super) value: T,
    pub(super) place: Option<Place>,
}

/// Reads settings out of what was gathered, and collects what is wrong with them.
#[derive(Debug)]
pub(super) struct Settings {
    gathered: Gathered,
    role: Role,
}

/// The values without their places.
pub(super) fn plain<T>(items: Vec<Item<T>>) -> Vec<T> {
    items.into_iter().map(|item| item.value).collect()
}

impl Settings {
    pub(super) const fn new(gathered: Gathered) -> Self {
        Self { gathered, role: Role::ControlPlane }
    }

    /// From now on the defaults are this role's.
    pub(super) const fn take_role(&mut self, role: Role) {
        self.role = role;
    }

    /// A key that is not to be missed when it is not given.
    pub(super) fn excuse(&mut self, path: &'static str) {
        self.gathered.meant.insert(path);
    }

    /// Tells of every source that gives a key which has no meaning, and forgets what it says.
    pub(super) fn refuse(&mut self, path: &'static str, why: &str) {
        for Given { place, .. } in self.gathered.given.remove(path).unwrap_or_default() {
            self.complain(Some(place), path, Complaint::with(why, "remove it"));
        }
    }

    /// The value of a key that takes one.
    pub(super) fn one<T>(
        &mut self,
        path: &'static str,
        parse: impl Fn(&Scalar) -> Result<T, Complaint>,
    ) -> Setting<T> {
        let mut setting = Setting { path, value: None, place: None };
        let sources = self.gathered.given.remove(path).unwrap_or_default();
        if sources.is_empty() {
            setting.value = self.fallback(path).and_then(|text| {
                let parsed = parse(&Scalar::argument(text));
                parsed.map_err(|complaint| self.complain(None, path, complaint)).ok()
            });
        }
        for Given { place, value } in sources {
            setting.value = match value {
                Raw::One(scalar) => parse(&scalar)
                    .map_err(|complaint| self.complain(Some(place.clone()), path, complaint))
                    .ok(),
                Raw::Many(_) | Raw::Spoilt => None,
            };
            setting.place = Some(place);
        }
        setting
    }

    /// The values of a key that takes a list of at most `most`.
    pub(super) fn list<T: PartialEq>(
        &mut self,
        path: &'static str,
        most: usize,
        parse: impl Fn(&Scalar) -> Result<T, Complaint>,
    ) -> Setting<Vec<Item<T>>> {
        let mut setting = Setting { path, value: None, place: None };
        let sources = self.gathered.given.remove(path).unwrap_or_default();
        if sources.is_empty() {
            let texts = self.fallback(path).map(|text| text.split(',').filter(|t| !t.is_empty()));
            let items =
                texts.map(|texts| texts.map(|text| (None, Scalar::argument(text))).collect());
            setting.value = items.and_then(|items| self.items(path, items, &parse));
        }
        for Given { place, value } in sources {
            setting.value = match value {
                Raw::Many(items) if items.len() > most => {
                    let message = format!("has {} items, want at most {most}", items.len());
                    self.complain(Some(place.clone()), path, Complaint::new(message));
                    None
                }
                Raw::Many(items) => {
                    let items =
                        items.into_iter().map(|(place, item)| (Some(place), item)).collect();
                    self.items(path, items, &parse)
                }
                Raw::One(_) | Raw::Spoilt => None,
            };
            setting.place = Some(place);
        }
        setting
    }

    /// Every item, or `None` when one of them is wrong. Each wrong one is told, and each repetition.
    fn items<T: PartialEq>(
        &mut self,
        path: &'static str,
        items: Vec<(Option<Place>, Scalar)>,
        parse: impl Fn(&Scalar) -> Result<T, Complaint>,
    ) -> Option<Vec<Item<T>>> {
        let mut parsed: Vec<Item<T>> = Vec::new();
        let mut is_sound = true;
        for (place, scalar) in items {
            match parse(&scalar) {
                Ok(value) if parsed.iter().any(|earlier| earlier.value == value) => {
                    let message = format!("{} is given twice", quote(&scalar.text));
                    self.complain(place, path, Complaint::with(message, "remove one of them"));
                    is_sound = false;
                }
                Ok(value) => parsed.push(Item { value, place }),
                Err(complaint) => {
                    self.complain(place, path, complaint);
                    is_sound = false;
                }
            }
        }
        is_sound.then_some(parsed)
    }

    /// The default's text; tells that a required key is missing.
    fn fallback(&mut self, path: &'static str) -> Option<&'static str> {
        let key = key(path)?;
        match self.role.fallback(key) {
            Fallback::Text(text) => Some(text),
            // An empty text reads as "not given" for the keys that are found on the node.
            Fallback::Found { .. } => Some(""),
            Fallback::Required(example) => {
                if !self.gathered.meant.contains(path) {
                    self.complain(None, path, missing(key, example));
                }
                None
            }
        }
    }

    /// Tells that a value is wrong; without a place, where it would have to be.
    pub(super) fn complain(&mut self, place: Option<Place>, path: &str, complaint: Complaint) {
        let place = place.or_else(|| self.gathered.root.clone()).unwrap_or(Place::CommandLine);
        self.gathered.mistakes.complain(place, path, complaint);
    }

    /// Tells that two values contradict each other, at the place of the one that was given.
    pub(super) fn contradict<A, B>(
        &mut self,
        left: &Setting<A>,
        right: &Setting<B>,
        complaint: Complaint,
    ) {
        let (path, place) = match (&left.place, &right.place) {
            (None, Some(place)) => (right.path, Some(place.clone())),
            (place, _) => (left.path, place.clone()),
        };
        self.complain(place, path, complaint);
    }

    pub(super) fn finish(self) -> Option<Mistakes> {
        self.gathered.mistakes.finish()
    }
}

fn missing(key: &Key, example: &str) -> Complaint {
    let flag = key.flag.map_or_else(
        || format!("--set {}={example}", key.path),
        |flag| format!("--{flag} {example}"),
    );
    let advice = match key.shape {
        Shape::One => format!("write {}: {example}, or give {flag}", key.name()),
        Shape::List => format!("write {}: [{example}], or give {flag}", key.name()),
    };
    Complaint::with("is missing", advice)
}

impl<T> Setting<T> {
    /// How the value's source is called in a message: nothing when it was given.
    pub(super) const fn origin(&self) -> &'static str {
        if self.place.is_some() { "" } else { " (the default)" }
    }
}
