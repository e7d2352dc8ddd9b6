//! A cache in memory that counts.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use mapper::cache::Cache;

/// Remembers in memory, and counts.
#[derive(Default)]
pub(crate) struct Remembers {
    found: Mutex<BTreeMap<String, String>>,
    hits: Mutex<usize>,
    puts: Mutex<usize>,
}

impl Remembers {
    /// What is remembered, by problem.
    pub(crate) fn all(&self) -> BTreeMap<String, String> {
        lock(&self.found).clone()
    }

    /// How often a problem was known.
    pub(crate) fn hits(&self) -> usize {
        *lock(&self.hits)
    }

    /// How often something was found.
    pub(crate) fn puts(&self) -> usize {
        *lock(&self.puts)
    }
}

impl Cache for Remembers {
    fn get(&self, problem: &str) -> Option<String> {
        let found = lock(&self.found).get(problem).cloned();
        *lock(&self.hits) += usize::from(found.is_some());
        found
    }

    fn put(&self, problem: &str, found: &str) {
        *lock(&self.puts) += 1;
        lock(&self.found).insert(problem.to_owned(), found.to_owned());
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().expect("no test panics here")
}
