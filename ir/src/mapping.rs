//! Mappings: the loop nest of each einsum, and what is kept at each level, as text that reads back.
//!
//! A [`Mapping`] is a list of nodes from the outermost inwards, in the manner of LoopTree: a loop over a rank in time, a
//! loop over a rank in space, or the statement that a level keeps its tile of some tensors from here on.
//! A [`Schedule`] is one mapping for each einsum of a network, in order.
//!
//! ```text
//! schedule 1
//! network "digits"
//! arch "nano"
//!
//! einsum "conv0"
//!   rank p 8
//!   rank m 16
//!   tensor output m:16 p:8
//!   memory keeps output
//!   for p in 0..8 by 4
//!     banks keeps output
//!     for m in 0..16 by 2
//!       for p in 0..4 by 1
//!         spatial m 2
//! ```
//!
//! A loop `for p in 0..8 by 4` runs over tiles of 4, the last of which may be smaller.
//! An einsum whose array rows are kernel taps says `rows taps`; its reduction has the ranks `w`, `g` and `s` then.
//! A schedule is fully decided. What a user wants to decide and leaves the rest of to the search is said with
//! directives, [`crate::directive`].
//! Deliberately not here: whether a mapping is legal on an arch; the mapper has a checker for that.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::quoted;
use crate::workload::is_name;

/// The version of the text form.
pub const FORMAT: u32 = 1;

/// One mapping for each einsum of a network, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Name of the network.
    pub network: String,
    /// Name of the arch.
    pub arch: String,
    /// The mappings.
    pub mappings: Vec<Mapping>,
}

/// What the rows of the array stand for.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum RowMapping {
    /// The channels of an activation word.
    #[default]
    Channels,
    /// The taps of some kernel rows, packed from an image of plain bytes.
    Taps,
}

impl RowMapping {
    /// All of them.
    pub const ALL: [RowMapping; 2] = [RowMapping::Channels, RowMapping::Taps];

    /// The name in text forms.
    pub fn name(self) -> &'static str {
        match self {
            RowMapping::Channels => "channels",
            RowMapping::Taps => "taps",
        }
    }
}

impl FromStr for RowMapping {
    type Err = String;

    fn from_str(name: &str) -> Result<RowMapping, String> {
        RowMapping::ALL
            .into_iter()
            .find(|rows| rows.name() == name)
            .ok_or_else(|| format!("`{name}` is not `channels` or `taps`"))
    }
}

/// The order of the two outer loops of an einsum on the array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// All weights for one strip, then the next strip.
    StripsOuter,
    /// All strips for one group of weights, then the next group.
    WeightsOuter,
}

impl Order {
    /// All of them.
    pub const ALL: [Order; 2] = [Order::StripsOuter, Order::WeightsOuter];

    /// The name in text forms.
    pub fn name(self) -> &'static str {
        match self {
            Order::StripsOuter => "strips_outer",
            Order::WeightsOuter => "weights_outer",
        }
    }
}

/// The loop nest of one einsum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// Name of the einsum.
    pub einsum: String,
    /// What the rows of the array stand for.
    #[serde(default)]
    pub rows: RowMapping,
    /// The ranks, each with its bound.
    pub ranks: Vec<Rank>,
    /// The tensors, each with its projection.
    pub tensors: Vec<Projection>,
    /// Loops and kept tensors, outermost first.
    pub nodes: Vec<Node>,
}

/// A rank of an einsum: `0..size`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rank {
    /// Its name: `p` and `q` are output rows and columns, `m` output channels, `c`, `r` and `s` the reduction;
    /// with packed taps `w` words, `g` kernel rows of a word and `s` the taps of a kernel row.
    pub name: String,
    /// Its bound.
    pub size: u64,
}

/// Which ranks index a tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Projection {
    /// Name of the tensor in the einsum: `input`, `weights`, `output`.
    pub tensor: String,
    /// Its dimensions.
    pub dimensions: Vec<Dimension>,
}

/// A dimension of a tensor: the sum of its terms, clipped to its size; without terms always all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dimension {
    /// Factor and rank of each term.
    pub terms: Vec<(u64, String)>,
    /// The size of the tensor along this dimension.
    pub size: u64,
}

/// One node of a loop nest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Node {
    /// `level` keeps its tile of `tensors` from here on.
    Keep {
        /// A memory of the arch.
        level: String,
        /// The tensors.
        tensors: Vec<String>,
    },
    /// A loop in time over tiles of `step` of the tile of `size` at hand.
    For {
        /// The rank.
        rank: String,
        /// The size of the largest tile at hand.
        size: u64,
        /// The size of a tile inside.
        step: u64,
    },
    /// A loop in time over the strips of a depth-first run: `first` indices of the tile of `size` at hand, then `step` at
    /// a time.
    Strips {
        /// The rank.
        rank: String,
        /// The size of the largest tile at hand.
        size: u64,
        /// The size of the first tile inside.
        first: u64,
        /// The size of the others, but for the last.
        step: u64,
    },
    /// A loop in space: `size` neighbours work at once.
    Spatial {
        /// The rank.
        rank: String,
        /// How many.
        size: u64,
        /// The fan-out, where an arch has several.
        fanout: Option<String>,
    },
}

impl Mapping {
    /// The bound of a rank, if the einsum has it.
    pub fn size_of(&self, rank: &str) -> Option<u64> {
        self.ranks.iter().find(|r| r.name == rank).map(|r| r.size)
    }
}

impl Dimension {
    /// The size of the dimension for tiles of the given size of each rank.
    pub fn extent(&self, tile: impl Fn(&str) -> u64) -> u64 {
        if self.terms.is_empty() {
            return self.size;
        }
        let reach: u64 = self
            .terms
            .iter()
            .map(|(factor, rank)| factor * (tile(rank).max(1) - 1))
            .sum();
        (reach + 1).min(self.size)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "schedule {FORMAT}\nnetwork {}\narch {}",
            quote(&self.network),
            quote(&self.arch)
        )?;
        self.mappings
            .iter()
            .try_for_each(|mapping| write!(f, "\n{mapping}"))
    }
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "einsum {}", quote(&self.einsum))?;
        if self.rows != RowMapping::Channels {
            writeln!(f, "  rows {}", self.rows.name())?;
        }
        self.ranks
            .iter()
            .try_for_each(|rank| writeln!(f, "  rank {} {}", rank.name, rank.size))?;
        for tensor in &self.tensors {
            let dimensions: Vec<String> =
                tensor.dimensions.iter().map(ToString::to_string).collect();
            writeln!(
                f,
                "  tensor {} {}",
                word(&tensor.tensor),
                dimensions.join(" ")
            )?;
        }
        let mut depth = 1;
        for node in &self.nodes {
            writeln!(f, "{:width$}{node}", "", width = 2 * depth)?;
            depth += usize::from(matches!(node, Node::For { .. } | Node::Strips { .. }));
        }
        Ok(())
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let term = |(factor, rank): &(u64, String)| {
            if *factor == 1 {
                rank.clone()
            } else {
                format!("{factor}*{rank}")
            }
        };
        if self.terms.is_empty() {
            return write!(f, "all:{}", self.size);
        }
        let terms: Vec<String> = self.terms.iter().map(term).collect();
        write!(f, "{}:{}", terms.join("+"), self.size)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Keep { level, tensors } => {
                write!(f, "{} keeps", word(level))?;
                let mut tensors = tensors.iter();
                tensors.try_for_each(|tensor| write!(f, " {}", word(tensor)))
            }
            Node::For { rank, size, step } => write!(f, "for {rank} in 0..{size} by {step}"),
            Node::Strips {
                rank,
                size,
                first,
                step,
            } => write!(f, "for {rank} in 0..{size} by {first} then {step}"),
            Node::Spatial {
                rank,
                size,
                fanout: None,
            } => write!(f, "spatial {rank} {size}"),
            Node::Spatial {
                rank,
                size,
                fanout: Some(fanout),
            } => write!(f, "spatial {rank} {size} on {}", word(fanout)),
        }
    }
}

/// A name in quotes, so that any character can be in it.
fn quote(name: &str) -> String {
    serde_json::to_string(name).expect("a string is plain data")
}

/// A name as one word of a line: in quotes, unless it is one as it stands.
fn word(name: &str) -> Cow<'_, str> {
    if is_name(name) {
        return name.into();
    }
    quote(name).into()
}

/// A text that is not a schedule; always the file's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
#[error("line {line} `{text}`: {reason}")]
#[diagnostic(
    code(mapping::syntax),
    help("`tilewright map` prints schedules in this form")
)]
pub struct MappingError {
    /// The line, from 1.
    pub line: usize,
    /// Its text.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl FromStr for Schedule {
    type Err = MappingError;

    fn from_str(text: &str) -> Result<Schedule, MappingError> {
        let mut schedule = Schedule {
            network: String::new(),
            arch: String::new(),
            mappings: Vec::new(),
        };
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty() && !line.trim().starts_with('#'));
        for (position, (index, line)) in lines.enumerate() {
            let result = read_line(&mut schedule, position, line.trim());
            result.map_err(|reason| MappingError {
                line: index + 1,
                text: line.trim().to_owned(),
                reason,
            })?;
        }
        Ok(schedule)
    }
}

fn read_line(schedule: &mut Schedule, position: usize, line: &str) -> Result<(), String> {
    let words = words(line)?;
    let words: Vec<&str> = words.iter().map(|word| &**word).collect();
    let (word, rest) = words.split_first().ok_or("an empty line")?;
    match (position, *word, rest) {
        (0, "schedule", [version]) if *version == FORMAT.to_string() => Ok(()),
        (0, ..) => Err(format!("a schedule starts with `schedule {FORMAT}`")),
        (1, "network", [name]) => {
            schedule.network = (*name).to_owned();
            Ok(())
        }
        (2, "arch", [name]) => {
            schedule.arch = (*name).to_owned();
            Ok(())
        }
        (1 | 2, ..) => Err("the name of the network, then of the arch, is expected".to_owned()),
        (_, "einsum", [name]) => {
            schedule.mappings.push(Mapping {
                einsum: (*name).to_owned(),
                rows: RowMapping::default(),
                ranks: Vec::new(),
                tensors: Vec::new(),
                nodes: Vec::new(),
            });
            Ok(())
        }
        _ => {
            let mapping = schedule
                .mappings
                .last_mut()
                .ok_or("`einsum` is expected first")?;
            read_part(mapping, word, rest)
        }
    }
}

/// The words of a line: names in quotes, and what stands between blanks.
fn words(line: &str) -> Result<Vec<Cow<'_, str>>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let length = if rest.starts_with('"') {
            let (name, length) =
                quoted(rest).ok_or_else(|| format!("`{rest}` is not a name in double quotes"))?;
            words.push(Cow::Owned(name));
            length
        } else {
            let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
            words.push(Cow::Borrowed(&rest[..length]));
            length
        };
        rest = rest[length..].trim_start();
    }
    Ok(words)
}

fn read_part(mapping: &mut Mapping, word: &str, words: &[&str]) -> Result<(), String> {
    match (word, words) {
        ("rows", [name]) => mapping.rows = name.parse()?,
        ("rank", [name, size]) => mapping.ranks.push(Rank {
            name: (*name).to_owned(),
            size: number(size)?,
        }),
        ("tensor", [name, dimensions @ ..]) => {
            let dimensions = dimensions
                .iter()
                .map(|d| dimension(d))
                .collect::<Result<_, _>>()?;
            mapping.tensors.push(Projection {
                tensor: (*name).to_owned(),
                dimensions,
            });
        }
        ("for", [rank, "in", range, "by", steps @ ..]) => {
            let size = range
                .strip_prefix("0..")
                .ok_or("a range starts with `0..`")?;
            let (rank, size) = ((*rank).to_owned(), number(size)?);
            mapping.nodes.push(match steps {
                [step] => Node::For {
                    rank,
                    size,
                    step: number(step)?,
                },
                [first, "then", step] => Node::Strips {
                    rank,
                    size,
                    first: number(first)?,
                    step: number(step)?,
                },
                _ => return Err("`by STEP` or `by FIRST then STEP` is expected".to_owned()),
            });
        }
        ("spatial", [rank, size, fanout @ ..])
            if fanout.is_empty() || (fanout.len() == 2 && fanout[0] == "on") =>
        {
            mapping.nodes.push(Node::Spatial {
                rank: (*rank).to_owned(),
                size: number(size)?,
                fanout: fanout.last().map(|name| (*name).to_owned()),
            });
        }
        (level, ["keeps", tensors @ ..]) => mapping.nodes.push(Node::Keep {
            level: level.to_owned(),
            tensors: tensors.iter().map(|t| (*t).to_owned()).collect(),
        }),
        _ => {
            return Err(
                "`rows`, `rank`, `tensor`, `for`, `spatial` or `keeps` is expected".to_owned(),
            );
        }
    }
    Ok(())
}

fn dimension(text: &str) -> Result<Dimension, String> {
    let (terms, size) = text.split_once(':').ok_or("a dimension is `terms:size`")?;
    let term = |term: &str| match term.split_once('*') {
        Some((factor, rank)) => Ok((number(factor)?, rank.to_owned())),
        None => Ok::<_, String>((1, term.to_owned())),
    };
    let terms = match terms {
        "all" => Vec::new(),
        _ => terms.split('+').map(term).collect::<Result<_, _>>()?,
    };
    Ok(Dimension {
        terms,
        size: number(size)?,
    })
}

fn number(text: &str) -> Result<u64, String> {
    text.parse()
        .ok()
        .filter(|n| *n > 0 && *n < 1 << 40)
        .ok_or_else(|| format!("`{text}` is not a number from 1 to 2^40"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name() -> impl Strategy<Value = String> {
        "[a-z][a-z0-9_]{0,6}"
    }

    /// As files of networks have them.
    fn any_name() -> impl Strategy<Value = String> {
        prop_oneof![name(), any::<String>()]
    }

    fn node() -> impl Strategy<Value = Node> {
        prop_oneof![
            (any_name(), prop::collection::vec(any_name(), 1..4)).prop_map(|(level, tensors)| {
                Node::Keep {
                    level: format!("l_{level}"),
                    tensors,
                }
            }),
            (name(), 1..1000u64, 1..1000u64).prop_map(|(rank, size, step)| Node::For {
                rank,
                size,
                step
            }),
            (name(), 1..1000u64, 1..1000u64, 1..1000u64).prop_map(|(rank, size, first, step)| {
                Node::Strips {
                    rank,
                    size,
                    first,
                    step,
                }
            }),
            (name(), 1..1000u64, prop::option::of(any_name()))
                .prop_map(|(rank, size, fanout)| Node::Spatial { rank, size, fanout }),
        ]
    }

    prop_compose! {
        fn dimension()(terms in prop::collection::vec((1..40u64, name()), 0..3), size in 1..4000u64) -> Dimension {
            Dimension { terms, size }
        }
    }

    prop_compose! {
        fn mapping()(
            einsum: String,
            taps: bool,
            ranks in prop::collection::vec((name(), 1..4000u64), 0..4),
            tensors in prop::collection::vec((any_name(), prop::collection::vec(dimension(), 1..4)), 0..3),
            nodes in prop::collection::vec(node(), 0..8),
        ) -> Mapping {
            let ranks = ranks.into_iter().map(|(name, size)| Rank { name, size }).collect();
            let tensors = tensors.into_iter().map(|(tensor, dimensions)| Projection { tensor, dimensions }).collect();
            let rows = if taps { RowMapping::Taps } else { RowMapping::Channels };
            Mapping { einsum, rows, ranks, tensors, nodes }
        }
    }

    proptest! {
        #[test]
        fn text_reads_back(network: String, arch: String, mappings in prop::collection::vec(mapping(), 0..3)) {
            let schedule = Schedule { network, arch, mappings };
            prop_assert_eq!(schedule.to_string().parse(), Ok(schedule));
        }

        #[test]
        fn any_text_gives_an_error_at_most(text: String) {
            let _ = text.parse::<Schedule>();
        }
    }
}
