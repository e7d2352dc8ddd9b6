//! The exact mapper against slower ways to the same numbers, on random problems.
//!
//! The default runs are short; `CASES=10000 SEED=1000` counts ten thousand problems from another seed on.

#![allow(clippy::print_stdout, reason = "the figures are for people")]

mod brute;
mod random;
mod recall;
mod text;
mod walked;

use crate::common::number;

/// The seeds of `default` problems, or of `CASES` from `SEED` on.
fn cases(default: u64) -> std::ops::Range<u64> {
    let first = number("SEED", 0);
    first..first + number("CASES", default)
}
