//! Directives: parts of mappings that a user decides, as text that is kept apart from the network.
//!
//! A [`Directive`] selects einsums and states settings that their mappings must have; the mapper completes the rest.
//! All directives hold together, in no order: a directive narrows what others leave open, and never overrides.
//!
//! ```text
//! directives 1
//!
//! # All 3x3 convolutions of small images.
//! operator=conv r=3 s=3 p<=14: dataflow=weight_stationary tile_rows=7
//! "layer4.*" operator=conv:
//!   group_tiles=2
//!   output=spills
//! *: order=strips_outer
//! ```
//!
//! A directive starts at the beginning of a line; lines that are indented continue it. Words are apart by blanks or
//! commas. Selectors stand before the colon: patterns of names (`*` is any text, `?` any character), operators, and
//! bounds of ranks as in [`crate::mapping`].
//! This is not the form of [`crate::mapping::Schedule`]: that one says everything about one network on one arch, this
//! one says something about any network.
//! Deliberately not here: whether settings can be obeyed; the mapper says so, with the place of each.

mod read;
mod select;
#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::json;

use crate::arch::Dataflow;
use crate::mapping::{Order, RowMapping};

pub use read::{DirectiveError, Place, Placed, read, read_one};

/// The version of the text form.
pub const FORMAT: u32 = 1;

/// Settings for all einsums that every selector selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// What selects; at least one.
    pub selectors: Vec<Selector>,
    /// What holds; at least one, and each key once.
    pub settings: Vec<Setting>,
}

/// A condition on an einsum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// Its name matches a pattern of at least one character.
    Name(String),
    /// It is of an operator.
    Operator(Operator),
    /// A number of its shape is in relation to a value.
    Size(Size, Relation, u64),
}

macro_rules! words {
    ($(#[$docs:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$docs])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $variant),+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[$name] = &[$($name::$variant),+];

            /// The word in text forms.
            pub fn word(self) -> &'static str {
                match self {
                    $($name::$variant => $word),+
                }
            }
        }
    };
}

words! {
    /// What an einsum does.
    Operator {
        /// Convolution, matmul, fully connected.
        Conv = "conv",
        /// A convolution of each channel on its own.
        Depthwise = "depthwise",
        /// Residual addition.
        Add = "add",
        /// Maximum over windows.
        MaxPool = "max_pool",
        /// Average over windows.
        AveragePool = "average_pool",
        /// Joining along channels.
        Concat = "concat",
        /// A function of each value.
        Table = "table",
    }
}

words! {
    /// A number of an einsum's shape.
    Size {
        /// Output rows.
        P = "p",
        /// Output columns.
        Q = "q",
        /// Output channels.
        M = "m",
        /// Input channels that one output channel reads.
        C = "c",
        /// Rows of the window.
        R = "r",
        /// Columns of the window.
        S = "s",
        /// Groups of channels.
        Groups = "groups",
        /// Stride of the window; a relation must hold for rows and columns.
        Stride = "stride",
        /// Dilation of the window; a relation must hold for rows and columns.
        Dilation = "dilation",
    }
}

words! {
    /// How a number of a shape relates to a value.
    Relation {
        /// At most.
        AtMost = "<=",
        /// At least.
        AtLeast = ">=",
        /// Equal.
        Equal = "=",
    }
}

words! {
    /// Where a tensor lies.
    Residency {
        /// In a bank as a whole, from where it comes to be on the chip to its last reader.
        Stays = "stays",
        /// In memory; it goes through the banks in strips.
        Spills = "spills",
        /// Never whole: it passes in strips from the layer that computes it to its readers, which run depth first.
        Passes = "passes",
    }
}

/// A part of a mapping that is decided. A size beyond what the layer has means all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// What the rows of the array stand for.
    Rows(RowMapping),
    /// What stays in the array.
    Dataflow(Dataflow),
    /// The order of the outer loops; without effect where one of them has a single iteration.
    Order(Order),
    /// Output rows of a tile.
    TileRows(usize),
    /// Output columns of a tile.
    TileCols(usize),
    /// Column tiles whose weights are loaded together.
    GroupTiles(usize),
    /// Output rows of a strip.
    StripRows(usize),
    /// Where the operands lie.
    Inputs(Residency),
    /// Where the output lies.
    Output(Residency),
}

impl Setting {
    /// The keys of all settings, in the order of [`Setting`].
    pub const KEYS: [&str; 9] = [
        "rows",
        "dataflow",
        "order",
        "tile_rows",
        "tile_cols",
        "group_tiles",
        "strip_rows",
        "inputs",
        "output",
    ];

    /// The key in text forms.
    pub fn key(&self) -> &'static str {
        Setting::KEYS[match self {
            Setting::Rows(_) => 0,
            Setting::Dataflow(_) => 1,
            Setting::Order(_) => 2,
            Setting::TileRows(_) => 3,
            Setting::TileCols(_) => 4,
            Setting::GroupTiles(_) => 5,
            Setting::StripRows(_) => 6,
            Setting::Inputs(_) => 7,
            Setting::Output(_) => 8,
        }]
    }

    /// Whether only layers on the array have this part.
    pub fn is_of_array(&self) -> bool {
        !matches!(
            self,
            Setting::StripRows(_) | Setting::Inputs(_) | Setting::Output(_)
        )
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.key())?;
        match self {
            Setting::Rows(rows) => f.write_str(rows.name()),
            Setting::Dataflow(dataflow) => f.write_str(dataflow.name()),
            Setting::Order(order) => f.write_str(order.name()),
            Setting::TileRows(n)
            | Setting::TileCols(n)
            | Setting::GroupTiles(n)
            | Setting::StripRows(n) => write!(f, "{n}"),
            Setting::Inputs(residency) | Setting::Output(residency) => {
                f.write_str(residency.word())
            }
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Name(pattern) if read::is_bare(pattern) => f.write_str(pattern),
            Selector::Name(pattern) => write!(f, "{}", json!(pattern)),
            Selector::Operator(operator) => write!(f, "operator={}", operator.word()),
            Selector::Size(size, relation, value) => {
                write!(f, "{}{}{value}", size.word(), relation.word())
            }
        }
    }
}

impl fmt::Display for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |list: Vec<String>| list.join(" ");
        let selectors = words(self.selectors.iter().map(ToString::to_string).collect());
        let settings = words(self.settings.iter().map(ToString::to_string).collect());
        write!(f, "{selectors}: {settings}")
    }
}

/// Prints directives as a file that [`read`] reads back.
pub fn print<'a>(directives: impl IntoIterator<Item = &'a Directive>) -> String {
    let mut text = format!("directives {FORMAT}\n\n");
    for directive in directives {
        text += &format!("{directive}\n");
    }
    text
}
