//! Values that compare by what they print: core's have no `Hash`, and need none but here.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Write};
use std::hash::Hasher;

/// 64 bits over a value's `Debug` output: among the 10^5 values of a run, two that differ have the
/// same with a chance of 1 in 10^9.
fn fingerprint(value: &impl Debug) -> u64 {
    struct Hashed(std::hash::DefaultHasher);
    impl Write for Hashed {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut hashed = Hashed(std::hash::DefaultHasher::new());
    // Nothing that it writes to can fail.
    let _ = write!(hashed, "{value:?}");
    hashed.0.finish()
}

/// One value of an [`Arena`]: in one arena, equal values have equal ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(u32);

/// Each distinct value once.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    values: Vec<T>,
    ids: BTreeMap<u64, Id>,
}

impl<T: Debug> Arena<T> {
    pub(crate) const fn new() -> Self {
        Self { values: Vec::new(), ids: BTreeMap::new() }
    }

    pub(crate) fn put(&mut self, value: T) -> Id {
        *self.ids.entry(fingerprint(&value)).or_insert_with(|| {
            self.values.push(value);
            let index = u32::try_from(self.values.len() - 1).expect("fewer than 2^32 values");
            Id(index)
        })
    }

    pub(crate) fn get(&self, id: Id) -> &T {
        &self.values[id.0 as usize]
    }

    pub(crate) const fn len(&self) -> usize {
        self.values.len()
    }
}
