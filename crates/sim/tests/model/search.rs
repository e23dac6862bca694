//! Breadth first through every state, so that the first bad one is one of the nearest.
//!
//! stateright does the same, and has no part that can be left out: with it came a web server, and
//! second versions of hashbrown, rand and getrandom, which `deny.toml` forbids.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::fmt::{self, Debug};
use std::hash::{Hash, Hasher};

/// What is searched.
pub(crate) trait Model {
    type State: Clone + Hash;
    type Action: Copy + Debug;

    /// Where it begins.
    fn initial(&mut self) -> Vec<Self::State>;

    /// What may happen in `state`.
    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>);

    /// What is so after it.
    fn next(&mut self, state: &Self::State, action: Self::Action) -> Self::State;

    /// Which of the properties hold in `state`, as bits.
    fn judge(&self, state: &Self::State) -> u32;

    /// What to show of it to a reader.
    fn show(&self, state: &Self::State) -> String;
}

/// What a search found.
#[derive(Debug)]
pub(crate) struct Found {
    states: usize,
    /// Actions tried.
    steps: usize,
    /// Actions on the way to the farthest state.
    depth: usize,
    /// The nearest state of each property's bit, by its number; `None` where there is none.
    nearest: Vec<Option<u32>>,
    parents: Vec<(u32, u8)>,
}

/// Sees every state. `always` are the bits whose first absence is noted, all others' first presence is.
pub(crate) fn search<M: Model>(model: &mut M, always: u32, properties: usize) -> Found {
    let mut found = Found {
        states: 0,
        steps: 0,
        depth: 0,
        nearest: vec![None; properties],
        parents: Vec::new(),
    };
    let mut seen = HashSet::new();
    let mut level = Vec::new();
    for (number, state) in model.initial().into_iter().enumerate() {
        if seen.insert(fingerprint(&state)) {
            let number = u8::try_from(number).expect("few initial states");
            level.push((found.note(model, &state, (u32::MAX, number), always), state));
        }
    }
    let mut actions = Vec::new();
    // What must always hold and does not is the end of it: the nearest such state was sought.
    while !level.is_empty() && !found.has_failed(always) {
        let mut next_level = Vec::new();
        for (parent, state) in level {
            actions.clear();
            model.actions(&state, &mut actions);
            for (number, action) in actions.iter().enumerate() {
                let next = model.next(&state, *action);
                found.steps += 1;
                if seen.insert(fingerprint(&next)) {
                    let number = u8::try_from(number).expect("few actions in a state");
                    let index = found.note(model, &next, (parent, number), always);
                    next_level.push((index, next));
                }
            }
        }
        level = next_level;
        found.depth += 1;
    }
    found
}

/// 64 bits: among 10^7 states, two that differ have the same with a chance of 1 in 10^5.
fn fingerprint(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} states, {} steps, {} deep", self.states, self.steps, self.depth)
    }
}

impl Found {
    /// Whether a state is worth noting for this property.
    pub(crate) fn has(&self, property: usize) -> bool {
        self.nearest[property].is_some()
    }

    fn note<M: Model>(&mut self, model: &M, state: &M::State, from: (u32, u8), always: u32) -> u32 {
        let index = u32::try_from(self.parents.len()).expect("fewer than 2^32 states");
        self.states += 1;
        self.parents.push(from);
        let worth_noting = model.judge(state) ^ always;
        for (bit, nearest) in self.nearest.iter_mut().enumerate() {
            if worth_noting & (1 << bit) != 0 && nearest.is_none() {
                *nearest = Some(index);
            }
        }
        index
    }

    fn has_failed(&self, always: u32) -> bool {
        let mut noted = self.nearest.iter().enumerate().filter(|(_, nearest)| nearest.is_some());
        noted.any(|(bit, _)| always & (1 << bit) != 0)
    }

    /// The shortest way to a state that is worth noting for this property, for a reader.
    pub(crate) fn way<M: Model>(&self, model: &mut M, property: usize) -> Option<Vec<String>> {
        let mut index = self.nearest[property]?;
        let mut numbers = Vec::new();
        while index != u32::MAX {
            let (parent, number) = self.parents[index as usize];
            numbers.push(usize::from(number));
            index = parent;
        }
        let mut state = model.initial().swap_remove(numbers.pop()?);
        let mut lines = vec![model.show(&state)];
        for number in numbers.into_iter().rev() {
            let mut actions = Vec::new();
            model.actions(&state, &mut actions);
            state = model.next(&state, actions[number]);
            lines.push(format!("{:?}: {}", actions[number], model.show(&state)));
        }
        Some(lines)
    }
}
