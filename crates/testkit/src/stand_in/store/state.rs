//! The store's content behind its lock: objects by place, the revision counter, who watches.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::history::{Change, ChangeKind, History, Subscription, WatchFrom};
use crate::stand_in::resource::{Resource, Target};
use crate::stand_in::selector::Selector;
use crate::stand_in::status::ApiStatus;

/// Real servers keep Events for an hour; a test looks at its own few.
const MAX_EVENTS: usize = 256;

/// Every cluster's namespaces.
const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

type Place = (Resource, String, String);

#[derive(Debug)]
pub(super) struct State {
    revision: u64,
    objects: BTreeMap<Place, Arc<Value>>,
    namespaces: BTreeSet<String>,
    history: History,
}

// === impl State ===

impl State {
    pub(super) fn new() -> Self {
        Self {
            // A real cluster's first revisions are gone by the time anyone asks; and 0 and 1 have
            // or had meanings of their own.
            revision: 100,
            objects: BTreeMap::new(),
            namespaces: NAMESPACES.map(str::to_owned).into(),
            history: History::new(100),
        }
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.contains(name)
    }

    pub(super) fn add_namespace(&mut self, name: &str) {
        self.namespaces.insert(name.to_owned());
    }

    pub(super) fn get(&self, target: &Target) -> Option<Arc<Value>> {
        self.objects.get(&place(target)).map(Arc::clone)
    }

    pub(super) fn list(
        &self,
        resource: Resource,
        namespace: &str,
        selector: &Selector,
    ) -> Vec<(String, Arc<Value>)> {
        self.of(resource, namespace)
            .filter(|(name, object)| selector.matches(name, object))
            .map(|(name, object)| (name.to_owned(), Arc::clone(object)))
            .collect()
    }

    pub(super) fn targets(&self, resource: Resource, namespace: &str) -> Vec<Target> {
        self.of(resource, namespace)
            .map(|(name, _)| Target {
                resource,
                namespace: namespace.to_owned(),
                name: Some(name.to_owned()),
            })
            .collect()
    }

    pub(super) fn all_of(&self, resources: &[Resource]) -> Vec<Arc<Value>> {
        let wanted =
            self.objects.iter().filter(|((resource, _, _), _)| resources.contains(resource));
        wanted.map(|(_, object)| Arc::clone(object)).collect()
    }

    fn of(&self, resource: Resource, namespace: &str) -> impl Iterator<Item = (&str, &Arc<Value>)> {
        self.objects
            .iter()
            .filter(move |((kind, space, _), _)| *kind == resource && space == namespace)
            .map(|((_, _, name), object)| (name.as_str(), object))
    }

    /// Stores an object at the next revision, with uid and date if it has none.
    pub(super) fn put(&mut self, target: &Target, name: &str, mut object: Value) -> Arc<Value> {
        let place = (target.resource, target.namespace.clone(), name.to_owned());
        let stored = self.objects.get(&place);
        self.revision += 1;
        if let Some(metadata) = object["metadata"].as_object_mut() {
            let inherited = |key: &str| stored.map(|stored| stored["metadata"][key].clone());
            metadata.entry("uid").or_insert_with(|| inherited("uid").unwrap_or_else(random_uid));
            metadata
                .entry("creationTimestamp")
                .or_insert_with(|| inherited("creationTimestamp").unwrap_or_else(now));
            metadata.insert("resourceVersion".to_owned(), self.revision.to_string().into());
        }
        let kind = if stored.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
        let object = Arc::new(object);
        self.objects.insert(place.clone(), Arc::clone(&object));
        self.record(kind, place, Arc::clone(&object));
        self.forget_old_events(target.resource);
        object
    }

    /// Removes an object; returns it as it was. Watchers see it with the revision of its removal.
    pub(super) fn remove(&mut self, target: &Target) -> Option<Arc<Value>> {
        let place = place(target);
        let stored = self.objects.remove(&place)?;
        self.revision += 1;
        let mut last = Value::clone(&stored);
        last["metadata"]["resourceVersion"] = self.revision.to_string().into();
        self.record(ChangeKind::Deleted, place, Arc::new(last));
        Some(stored)
    }

    pub(super) fn subscribe(
        &mut self,
        target: &Target,
        selector: &Selector,
        from: WatchFrom,
    ) -> Result<Subscription, ApiStatus> {
        let present = match from {
            WatchFrom::Present => self.list(target.resource, &target.namespace, selector),
            WatchFrom::Revision(_) => Vec::new(),
        };
        let present = present.into_iter().map(|(name, object)| Change {
            revision: self.revision,
            kind: ChangeKind::Added,
            place: (target.resource, target.namespace.clone(), name),
            object,
            at: Instant::now(),
        });
        let present: Vec<Arc<Change>> = present.map(Arc::new).collect();
        self.history.subscribe(target, selector, from, present)
    }

    pub(super) fn compact(&mut self) {
        self.history.compact(self.revision);
    }

    fn record(&mut self, kind: ChangeKind, place: Place, object: Arc<Value>) {
        self.history.record(Change {
            revision: self.revision,
            kind,
            place,
            object,
            at: Instant::now(),
        });
    }

    fn forget_old_events(&mut self, resource: Resource) {
        if !matches!(resource, Resource::CoreEvent | Resource::Event) {
            return;
        }
        let events = self.objects.iter().filter(|((kind, _, _), _)| *kind == resource);
        let by_age = events.map(|(place, event)| {
            let revision = event["metadata"]["resourceVersion"].as_str().unwrap_or_default();
            (revision.parse::<u64>().unwrap_or_default(), place.clone())
        });
        let by_age: BTreeMap<u64, Place> = by_age.collect();
        let surplus = by_age.len().saturating_sub(MAX_EVENTS);
        for place in by_age.values().take(surplus) {
            self.objects.remove(place);
        }
    }
}

/// Five letters and digits, as `generateName` appends them.
pub(super) fn random_suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let bytes = random().to_le_bytes();
    bytes
        .iter()
        .take(5)
        .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
        .collect()
}

fn place(target: &Target) -> Place {
    (target.resource, target.namespace.clone(), target.name.clone().unwrap_or_default())
}

/// A version 4 UUID (RFC 9562 section 5.4).
fn random_uid() -> Value {
    let (high, low) = (random(), random());
    let uid = format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | ((low >> 48) & 0x3fff),
        low & 0xffff_ffff_ffff
    );
    uid.into()
}

fn now() -> Value {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()
}

/// Each `RandomState` has keys of its own, seeded by the kernel: random enough for names.
fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}
