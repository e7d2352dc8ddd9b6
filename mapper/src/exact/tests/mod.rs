//! The exact mapper against slower ways to the same numbers, on random problems.
//!
//! The default runs are short; `TILEWRIGHT_CASES=10` multiplies their number of problems by ten.

mod brute;
mod random;
mod walked;

/// `default` problems, or as many times more as the environment asks for.
fn cases(default: u64) -> u64 {
    let times = std::env::var("TILEWRIGHT_CASES").map_or(1, |text| {
        text.parse()
            .expect("`TILEWRIGHT_CASES` is a number of times")
    });
    default * times
}
