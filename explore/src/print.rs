//! Points as a table and as JSON lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::evaluate::Point;
use crate::pareto::front;

/// One JSON document a line, one line a point, in the order of the space.
pub fn to_jsonl(points: &[Point]) -> String {
    let line = |point: &Point| serde_json::to_string(point).expect("a point is plain data") + "\n";
    points.iter().map(line).collect()
}

/// Reads what [`to_jsonl`] wrote.
///
/// # Errors
/// The first line that is no point, with its number.
pub fn from_jsonl(text: &str) -> Result<Vec<Point>, String> {
    let read = |(n, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| format!("line {}: {error}", n + 1))
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
