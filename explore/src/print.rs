//! Points as a table and as JSON lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::evaluate::Point;
use crate::pareto::front;

/// What the points of a file are about; points of another network or memory do not compare with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// BLAKE3 of the network's file, in hexadecimal.
    pub network_hash: String,
    /// The memory behind the port, by its name.
    pub memory: String,
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    subject: Subject,
    #[serde(flatten)]
    point: Point,
}

/// One JSON document a line, one line a point of `subject`, in the order of the space.
pub fn to_jsonl(subject: &Subject, points: &[Point]) -> String {
    let line = |point: &Point| {
        let line = Line {
            subject: subject.clone(),
            point: point.clone(),
        };
        serde_json::to_string(&line).expect("a point is plain data") + "\n"
    };
    points.iter().map(line).collect()
}

/// Reads what [`to_jsonl`] wrote of `subject`.
///
/// # Errors
/// The first line that is no point, or one of another subject, with its number.
pub fn from_jsonl(subject: &Subject, text: &str) -> Result<Vec<Point>, String> {
    let read = |(n, line): (usize, &str)| {
        let n = n + 1;
        let line: Line =
            serde_json::from_str(line).map_err(|error| format!("line {n}: {error}"))?;
        let Subject {
            network_hash,
            memory,
        } = &line.subject;
        if *network_hash != subject.network_hash {
            return Err(format!(
                "line {n} is about the network {network_hash:.16}, this one is {:.16}",
                subject.network_hash
            ));
        }
        if *memory != subject.memory {
            return Err(format!(
                "line {n} has the memory {memory}, this one is {}",
                subject.memory
            ));
        }
        Ok(line.point)
    };
    text.lines().enumerate().map(read).collect()
}

/// The points without metrics, counted: kind, reason and number, the most frequent first.
pub fn rejected(points: &[Point]) -> Vec<(&'static str, String, usize)> {
    let mut counts: BTreeMap<(&'static str, &str), usize> = BTreeMap::new();
    for rejection in points.iter().filter_map(|point| point.outcome.rejection()) {
        *counts.entry(rejection).or_default() += 1;
    }
    let mut counts: Vec<_> = counts
        .into_iter()
        .map(|((kind, why), n)| (kind, why.to_owned(), n))
        .collect();
    counts.sort_by_key(|(_, _, n)| std::cmp::Reverse(*n));
    counts
}

/// The Pareto front as a table for people, fastest point first, with the points that were rejected below.
pub fn table(points: &[Point]) -> String {
    let mut front: Vec<&Point> = front(points).into_iter().map(|i| &points[i]).collect();
    front.sort_by_key(|point| point.metrics().map(|m| m.cycles));
    let width = front
        .iter()
        .map(|point| point.name.len())
        .max()
        .unwrap_or(0)
        .max("design".len());
    let mut text = format!(
        "{:width$}  {:>12}  {:>11}  {:>11}  {:>11}  {:>13}\n",
        "design", "cycles", "multipliers", "memory bits", "utilisation", "traffic bytes"
    );
    for point in &front {
        let Some(m) = point.metrics() else { continue };
        let utilisation = format!("{:.1} %", 100.0 * m.utilisation);
        let _ = writeln!(
            text,
            "{:width$}  {:>12}  {:>11}  {:>11}  {utilisation:>11}  {:>13}",
            point.name, m.cycles, m.multipliers, m.memory_bits, m.traffic_bytes
        );
    }
    let runs = points
        .iter()
        .filter(|point| point.metrics().is_some())
        .count();
    let _ = writeln!(
        text,
        "\n{} of {} points run; {} are on the front",
        runs,
        points.len(),
        front.len()
    );
    for (kind, reason, n) in rejected(points) {
        let _ = writeln!(text, "{n} {kind}: {reason}");
    }
    text
}
