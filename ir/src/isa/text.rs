//! Assembly text: `Display` prints an instruction, `FromStr` reads it back.
//!
//! ```text
//! exec.pixels x=8 y=8
//! exec wait=3:1 signal=5 +half +output
//! ```

use std::fmt;
use std::str::FromStr;

use super::{Instruction, Opcode, Register, Run, Semaphore, Wait};

/// A line that is not an instruction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{line}` is not an instruction: {reason}")]
pub struct ParseError {
    /// The line.
    pub line: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Instruction::Nop => write!(f, "nop"),
            Instruction::Configure { register, value } => {
                write!(f, "{}.{}", register.engine().name(), register.name())?;
                register
                    .fields()
                    .iter()
                    .try_for_each(|field| write!(f, " {}={}", field.name, field.extract(*value)))
            }
            Instruction::Run(run) => {
                write!(f, "{}", run.opcode.name())?;
                for wait in run.waits.iter().flatten() {
                    write!(f, " wait={}:{}", wait.semaphore.0, wait.amount)?;
                }
                for signal in run.signals.iter().flatten() {
                    write!(f, " signal={}", signal.0)?;
                }
                let set = run
                    .opcode
                    .flags()
                    .iter()
                    .enumerate()
                    .filter(|(bit, _)| run.flags >> bit & 1 == 1);
                set.into_iter()
                    .try_for_each(|(_, name)| write!(f, " +{name}"))
            }
        }
    }
}

impl FromStr for Instruction {
    type Err = ParseError;

    fn from_str(line: &str) -> Result<Instruction, ParseError> {
        let mut words = line.split_whitespace();
        let head = words.next().unwrap_or("");
        let rest: Vec<&str> = words.collect();
        let parsed = if head == "nop" && rest.is_empty() {
            Ok(Instruction::Nop)
        } else if let Some((engine, register)) = head.split_once('.') {
            configure(engine, register, &rest)
        } else {
            run(head, &rest)
        };
        parsed.map_err(|reason| ParseError {
            line: line.to_owned(),
            reason,
        })
    }
}

fn configure(engine: &str, register: &str, rest: &[&str]) -> Result<Instruction, String> {
    let register = Register::ALL
        .iter()
        .find(|r| r.engine().name() == engine && r.name() == register)
        .ok_or_else(|| format!("there is no register `{engine}.{register}`"))?;
    let fields = register.fields();
    if rest.len() != fields.len() {
        return Err(format!(
            "it has {} fields, {} are given",
            fields.len(),
            rest.len()
        ));
    }
    let values = fields
        .iter()
        .zip(rest)
        .map(|(field, word)| {
            let text = word
                .strip_prefix(field.name)
                .and_then(|w| w.strip_prefix('='));
            text.and_then(|t| t.parse().ok())
                .ok_or_else(|| format!("expected `{}=<number>`, found `{word}`", field.name))
        })
        .collect::<Result<Vec<i64>, String>>()?;
    let value = register.pack(&values).map_err(|e| e.to_string())?;
    Ok(Instruction::Configure {
        register: *register,
        value,
    })
}

fn run(name: &str, rest: &[&str]) -> Result<Instruction, String> {
    let opcode = Opcode::ALL
        .iter()
        .find(|o| o.name() == name)
        .ok_or_else(|| format!("there is no operation `{name}`"))?;
    let mut run = Run::new(*opcode);
    for word in rest {
        if let Some(flag) = word.strip_prefix('+') {
            let bit = opcode
                .flags()
                .iter()
                .position(|f| *f == flag)
                .ok_or_else(|| format!("`{name}` has no flag `{flag}`"))?;
            run.flags |= 1 << bit;
        } else if let Some(wait) = word.strip_prefix("wait=") {
            fill(&mut run.waits, parse_wait(wait)?, "waits")?;
        } else if let Some(signal) = word.strip_prefix("signal=") {
            fill(
                &mut run.signals,
                Semaphore(number(signal, 0, 15)?),
                "signals",
            )?;
        } else {
            return Err(format!(
                "expected `wait=`, `signal=` or a `+flag`, found `{word}`"
            ));
        }
    }
    Ok(Instruction::Run(run))
}

fn parse_wait(text: &str) -> Result<Wait, String> {
    let (semaphore, amount) = text
        .split_once(':')
        .ok_or_else(|| format!("expected `semaphore:amount`, found `{text}`"))?;
    Ok(Wait {
        semaphore: Semaphore(number(semaphore, 0, 15)?),
        amount: number(amount, 1, 7)?,
    })
}

fn number(text: &str, low: u8, high: u8) -> Result<u8, String> {
    let value = text.parse().ok().filter(|v| (low..=high).contains(v));
    value.ok_or_else(|| format!("expected a number from {low} to {high}, found `{text}`"))
}

fn fill<T>(slots: &mut [Option<T>; 2], value: T, what: &str) -> Result<(), String> {
    let slot = slots
        .iter_mut()
        .find(|s| s.is_none())
        .ok_or_else(|| format!("an instruction has at most two {what}"))?;
    *slot = Some(value);
    Ok(())
}
