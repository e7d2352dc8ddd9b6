//! Differences between two machines, or between a machine and the reference.

use std::fmt;

use ir::arch::{Arch, Counters};
use ir::program::Program;
use serde::{Deserialize, Serialize};

use crate::machine::{MachineRun, Span, instruction_index};

/// One difference, with all that is needed to look for its cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The device that differs from what was expected.
    pub device: String,
    /// What differs.
    pub what: What,
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Start or signal of a run instruction.
    Span {
        /// Index in the program.
        index: usize,
        /// Its text.
        instruction: String,
        /// Its layer.
        layer: String,
        /// Start and signal as expected; `None` when it should not have run.
        expected: Option<Span>,
        /// Start and signal as they were; `None` when it did not run.
        actual: Option<Span>,
    },
    /// The cycles of the whole run.
    Cycles {
        /// As expected.
        expected: u64,
        /// As they were.
        actual: u64,
    },
    /// A hardware counter.
    Counter {
        /// Its name.
        name: String,
        /// As expected; `None` when there should be none.
        expected: Option<u64>,
        /// As it was; `None` when the device did not show it.
        actual: Option<u64>,
    },
    /// A byte of memory at the end.
    Memory {
        /// The word.
        word: u32,
        /// The byte in it.
        byte: u32,
        /// As expected.
        expected: u8,
        /// As it was.
        actual: u8,
    },
    /// A value of a tensor.
    Tensor {
        /// Its name.
        tensor: String,
        /// The index of the value, `[channel][y][x]`.
        index: usize,
        /// As expected.
        expected: i8,
        /// As it was.
        actual: i8,
    },
    /// The device gave no result.
    Failure {
        /// Why.
        message: String,
    },
}

impl Difference {
    pub(crate) fn failure(device: &str, error: &dyn std::error::Error) -> Box<Difference> {
        Box::new(Difference::text(device, &error.to_string()))
    }

    pub(crate) fn text(device: &str, message: &str) -> Difference {
        Difference {
            device: device.to_owned(),
            what: What::Failure {
                message: message.to_owned(),
            },
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.device)?;
        let span = |span: &Option<Span>| match span {
            Some(Span { start, signal, .. }) => format!("start {start}, signal {signal}"),
            None => "not run".to_owned(),
        };
        match &self.what {
            What::Span {
                index,
                instruction,
                layer,
                expected,
                actual,
            } => {
                write!(
                    f,
                    "instruction {index} `{instruction}` of `{layer}`: expected {}, was {}",
                    span(expected),
                    span(actual)
                )
            }
            What::Cycles { expected, actual } => {
                write!(f, "expected {expected} cycles, was {actual}")
            }
            What::Counter {
                name,
                expected,
                actual,
            } => {
                let value = |value: &Option<u64>| {
                    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
                };
                write!(
                    f,
                    "counter `{name}`: expected {}, was {}",
                    value(expected),
                    value(actual)
                )
            }
            What::Memory {
                word,
                byte,
                expected,
                actual,
            } => {
                write!(
                    f,
                    "memory word {word} byte {byte}: expected {expected:#04x}, was {actual:#04x}"
                )
            }
            What::Tensor {
                tensor,
                index,
                expected,
                actual,
            } => {
                write!(
                    f,
                    "tensor `{tensor}` value {index}: expected {expected}, was {actual}"
                )
            }
            What::Failure { message } => write!(f, "{message}"),
        }
    }
}

/// Numbers of differences, and the first one.
///
/// A number is `None` where nothing was compared: no difference among nothing is no agreement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differences {
    /// Instructions whose start or signal differs, and runs whose length differs.
    pub cycles: Option<u64>,
    /// Counters that differ.
    pub counters: Option<u64>,
    /// Bytes that differ.
    pub bytes: Option<u64>,
    /// The first: the earliest instruction, else the first counter or byte.
    pub first: Option<Difference>,
}

impl Differences {
    fn note(&mut self, device: &str, what: What) {
        self.first.get_or_insert_with(|| Difference {
            device: device.to_owned(),
            what,
        });
    }

    /// Adds others to these.
    pub(crate) fn add(&mut self, other: Differences) {
        self.cycles = sum([self.cycles, other.cycles]);
        self.counters = sum([self.counters, other.counters]);
        self.bytes = sum([self.bytes, other.bytes]);
        if self.first.is_none() {
            self.first = other.first;
        }
    }
}

/// The sum of what was compared; `None` where nothing was.
pub fn sum(parts: impl IntoIterator<Item = Option<u64>>) -> Option<u64> {
    parts
        .into_iter()
        .flatten()
        .fold(None, |sum, part| Some(sum.unwrap_or(0) + part))
}

/// Compares starts, signals, cycles and counters.
///
/// Counters are not compared where the arch has none; where it has them, one that is not shown differs.
pub fn compare_runs(
    arch: &Arch,
    program: &Program,
    device: &str,
    expected: &MachineRun,
    actual: &MachineRun,
) -> Differences {
    let mut found = Differences::default();
    let key = |span: &Span| (span.engine, span.nth);
    let mut differing: Vec<(Option<Span>, Option<Span>)> = Vec::new();
    let (mut wanted, mut was) = (
        expected.spans.iter().peekable(),
        actual.spans.iter().peekable(),
    );
    // Both lists are by engine and number, so one pass pairs them.
    loop {
        let pair = match (wanted.peek(), was.peek()) {
            (None, None) => break,
            (Some(a), Some(b)) if key(a) == key(b) => (wanted.next().copied(), was.next().copied()),
            (Some(a), Some(b)) if key(a) > key(b) => (None, was.next().copied()),
            (None, Some(_)) => (None, was.next().copied()),
            (Some(_), _) => (wanted.next().copied(), None),
        };
        if pair.0 != pair.1 {
            differing.push(pair);
        }
    }
    let mut n_cycles = differing.len() as u64;
    let time = |pair: &(Option<Span>, Option<Span>)| {
        let starts = [pair.0, pair.1].map(|span| span.map_or(u64::MAX, |s| s.start));
        let signals = [pair.0, pair.1].map(|span| span.map_or(u64::MAX, |s| s.signal));
        // Where the starts agree the difference is seen at the signal.
        if starts[0] == starts[1] {
            signals[0].min(signals[1])
        } else {
            starts[0].min(starts[1])
        }
    };
    if let Some((wanted, was)) = differing.iter().copied().min_by_key(time) {
        let span = wanted.or(was).expect("one of the two is there");
        let index = instruction_index(&program.instructions, span.engine, span.nth);
        let text = index.map_or_else(
            || format!("run instruction {} of {}", span.nth, span.engine.name()),
            |i| program.instructions[i].to_string(),
        );
        let layer = index.and_then(|i| program.layers.get(usize::from(*program.layer_of.get(i)?)));
        let what = What::Span {
            index: index.unwrap_or(0),
            instruction: text,
            layer: layer.cloned().unwrap_or_default(),
            expected: wanted,
            actual: was,
        };
        found.note(device, what);
    }
    if expected.cycles != actual.cycles {
        n_cycles += 1;
        found.note(
            device,
            What::Cycles {
                expected: expected.cycles,
                actual: actual.cycles,
            },
        );
    }
    found.cycles = Some(n_cycles);
    if arch.counters == Counters::Full {
        compare_counters(
            device,
            expected.counters.as_deref().unwrap_or_default(),
            actual.counters.as_deref().unwrap_or_default(),
            &mut found,
        );
    }
    found
}

/// Compares counters by name, in the order in which they are expected; those of one side alone differ.
fn compare_counters(
    device: &str,
    expected: &[(String, u64)],
    actual: &[(String, u64)],
    found: &mut Differences,
) {
    let value = |counters: &[(String, u64)], name: &String| {
        let counter = counters.iter().find(|counter| counter.0 == *name);
        counter.map(|counter| counter.1)
    };
    let unexpected = actual
        .iter()
        .filter(|(name, _)| value(expected, name).is_none());
    let mut n_counters = 0;
    for (name, _) in expected.iter().chain(unexpected) {
        let (wanted, was) = (value(expected, name), value(actual, name));
        if wanted != was {
            n_counters += 1;
            found.note(
                device,
                What::Counter {
                    name: name.clone(),
                    expected: wanted,
                    actual: was,
                },
            );
        }
    }
    found.counters = Some(n_counters);
}

/// Compares the memories after a run, byte by byte.
pub fn compare_memory(arch: &Arch, device: &str, expected: &[u8], actual: &[u8]) -> Differences {
    let mut found = Differences::default();
    if expected.len() != actual.len() {
        let text = format!(
            "expected {} B of memory, was {} B",
            expected.len(),
            actual.len()
        );
        found.bytes = Some(expected.len().abs_diff(actual.len()) as u64);
        found.first = Some(Difference::text(device, &text));
        return found;
    }
    let mut n_bytes = 0;
    for (index, (&wanted, &was)) in expected.iter().zip(actual).enumerate() {
        if wanted != was {
            n_bytes += 1;
            let (word, byte) = (
                index as u32 / arch.word_bytes(),
                index as u32 % arch.word_bytes(),
            );
            found.note(
                device,
                What::Memory {
                    word,
                    byte,
                    expected: wanted,
                    actual: was,
                },
            );
        }
    }
    // A memory of no bytes is nothing to agree on.
    found.bytes = (!expected.is_empty()).then_some(n_bytes);
    found
}
