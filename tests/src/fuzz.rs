//! Runs changed inputs, each from its seed alone, and counts what became of them.
//!
//! Tests of other crates take this file by its path, for they cannot depend on this crate.
//! `TILEWRIGHT_FUZZ_INPUTS` is the number of inputs of each kind (2,000), `TILEWRIGHT_FUZZ_FIRST` the first seed (0).

use crate::random::Random;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest that one input may take.
const LIMIT: Duration = Duration::from_secs(10);

/// How many panics end a run.
const MAX_PANICS: u64 = 30;

/// What became of the inputs of one kind.
#[derive(Debug, Default)]
pub struct Counts {
    /// How many there were.
    pub executions: u64,
    /// Those that were taken, by what became of them.
    pub taken: BTreeMap<&'static str, u64>,
    /// Those that were refused, by the code of the error.
    pub refused: BTreeMap<String, u64>,
    panics: u64,
    longest: Duration,
}

impl Counts {
    /// How many were taken.
    pub fn n_taken(&self) -> u64 {
        self.taken.values().sum()
    }

    /// How many were refused.
    pub fn n_refused(&self) -> u64 {
        self.refused.values().sum()
    }

    fn add(&mut self, other: Counts) {
        self.executions += other.executions;
        for (what, n) in other.taken {
            *self.taken.entry(what).or_default() += n;
        }
        for (code, n) in other.refused {
            *self.refused.entry(code).or_default() += n;
        }
        self.panics += other.panics;
        self.longest = self.longest.max(other.longest);
    }
}

/// Where a thread is, for the one that watches.
#[derive(Default)]
struct Place {
    seed: AtomicU64,
    /// Milliseconds from the start at which the input began, plus one; 0 between inputs.
    began: AtomicU64,
}

/// Gives the seed of each input to `execute`, on every core, and prints a row of counts.
///
/// `execute` gives what became of an input that was taken, or the code of the error that refused it.
///
/// # Panics
/// If an input panics or is refused without a code. One that takes more than ten seconds ends the process.
#[expect(
    clippy::disallowed_methods,
    reason = "the limit on time is what is tested"
)]
pub fn run(
    kind: &str,
    execute: impl Fn(&mut Random, u64) -> Result<&'static str, Option<String>> + Sync,
) -> Counts {
    let number = |name: &str, default| {
        std::env::var(name).map_or(default, |n| n.parse().expect("a whole number"))
    };
    let (first, n) = (
        number("TILEWRIGHT_FUZZ_FIRST", 0),
        number("TILEWRIGHT_FUZZ_INPUTS", 2_000),
    );
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
    let places: Vec<Place> = (0..n_threads).map(|_| Place::default()).collect();
    let (next, total, start) = (
        AtomicU64::new(first),
        Mutex::new(Counts::default()),
        Instant::now(),
    );
    let millis = || u64::try_from(start.elapsed().as_millis()).expect("a short run");
    let work = |place: &Place| {
        let mut counts = Counts::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + n || counts.panics >= MAX_PANICS {
                break;
            }
            place.seed.store(seed, Ordering::Relaxed);
            place.began.store(millis() + 1, Ordering::Relaxed);
            let began = Instant::now();
            let met = catch_unwind(AssertUnwindSafe(|| execute(&mut Random(seed), seed)));
            counts.longest = counts.longest.max(began.elapsed());
            place.began.store(0, Ordering::Relaxed);
            counts.executions += 1;
            match met {
                Ok(Ok(what)) => *counts.taken.entry(what).or_default() += 1,
                Ok(Err(Some(code))) if !code.is_empty() => {
                    *counts.refused.entry(code).or_default() += 1;
                }
                Ok(Err(_)) => {
                    say(&format!("{kind}: seed {seed} is refused without a code"));
                    counts.panics += 1;
                }
                Err(_) => {
                    say(&format!("{kind}: seed {seed} panicked"));
                    counts.panics += 1;
                }
            }
        }
        total.lock().expect("no panic gets here").add(counts);
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = places
            .iter()
            .map(|place| scope.spawn(|| work(place)))
            .collect();
        while !workers.iter().all(|worker| worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(20));
            for place in &places {
                let began = place.began.load(Ordering::Relaxed);
                let limit = u64::try_from(LIMIT.as_millis()).expect("a short limit");
                if began > 0 && millis() > began + limit {
                    let seed = place.seed.load(Ordering::Relaxed);
                    say(&format!("{kind}: seed {seed} takes more than {LIMIT:?}"));
                    std::process::abort();
                }
            }
        }
    });
    let counts = total.into_inner().expect("no panic gets here");
    say(&row(kind, &counts, start.elapsed()));
    assert_eq!(counts.panics, 0, "{kind}: seeds above panicked");
    counts
}

/// The row of a table: kind, executions, taken, refused, most frequent codes, time, longest.
fn row(kind: &str, counts: &Counts, time: Duration) -> String {
    fn list<K: Display>(counts: &BTreeMap<K, u64>) -> String {
        let mut sorted: Vec<(&K, &u64)> = counts.iter().collect();
        sorted.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
        let shown = sorted.iter().take(8).map(|(what, n)| format!("{what} {n}"));
        shown.collect::<Vec<_>>().join(", ")
    }
    format!(
        "| {kind} | {} | {} | {} | {} | {} s | {} ms |",
        counts.executions,
        list(&counts.taken),
        counts.n_refused(),
        list(&counts.refused),
        time.as_secs(),
        counts.longest.as_millis(),
    )
}

#[expect(clippy::print_stdout, reason = "the script keeps the count")]
fn say(text: &str) {
    println!("{text}");
}
