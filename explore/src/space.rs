//! Spaces: a grid of archs around a base arch, as TOML.

use ir::arch::{Arch, Attachment, Dataflow, Reduction};
use miette::{Diagnostic, NamedSource, SourceSpan};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the text form.
pub const FORMAT: u32 = 1;

/// Points above which a space is refused.
pub const LIMIT: usize = 1 << 20;

/// A grid of archs: every combination of the values of its axes. An axis without values keeps that of the base arch.
///
/// ```
/// let space = explore::Space::read("space.toml", "format = 1\nname = \"two\"\nrows = [8, 16]\n")?;
/// assert_eq!(space.len(), 2);
/// # Ok::<(), Box<explore::SpaceError>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Space {
    /// Version of the text form: 1.
    pub format: u32,
    /// Short name for reports.
    pub name: String,
    /// Values of `array.rows`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<u32>,
    /// Values of `array.cols`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cols: Vec<u32>,
    /// Values of `array.reduction`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reduction: Vec<Reduction>,
    /// Values of `array.dataflows`, each a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dataflows: Vec<Vec<Dataflow>>,
    /// Values of `activations.banks`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub activation_banks: Vec<u32>,
    /// Values of `activations.words`, in words of `array.rows` bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub activation_words: Vec<u32>,
    /// Values of `weights.words`, in words of `array.rows` bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weight_words: Vec<u32>,
    /// Values of `accumulators.pixels`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accumulator_pixels: Vec<u32>,
}

/// The place of a point: one value of each axis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Coordinates {
    /// `array.rows`.
    pub rows: u32,
    /// `array.cols`.
    pub cols: u32,
    /// `array.reduction`.
    pub reduction: Reduction,
    /// `array.dataflows`.
    pub dataflows: Vec<Dataflow>,
    /// `activations.banks`.
    pub activation_banks: u32,
    /// `activations.words`.
    pub activation_words: u32,
    /// `weights.words`.
    pub weight_words: u32,
    /// `accumulators.pixels`.
    pub accumulator_pixels: u32,
}

/// A space that cannot be used; always the file's fault.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum SpaceError {
    /// The text is not TOML, or a key is unknown or of the wrong type.
    #[error("{message}")]
    #[diagnostic(
        code(space::syntax),
        help("`docs/reference/space.schema.json` lists every key")
    )]
    Syntax {
        /// What the TOML reader says.
        message: String,
        /// The file.
        #[source_code]
        source_code: NamedSource<String>,
        /// Where in the file.
        #[label("here")]
        span: SourceSpan,
    },
    /// The text form has another version.
    #[error("`format` is {format}: this version reads format {FORMAT}")]
    #[diagnostic(code(space::format))]
    Format {
        /// The version in the file.
        format: u32,
    },
    /// The space is too large to be looked at point by point.
    #[error("the space has {points} points, at most {LIMIT} are explored")]
    #[diagnostic(code(space::size), help("take values out of its axes"))]
    Size {
        /// The points, or the largest number there is.
        points: usize,
    },
    /// Not one point is a design of the template family.
    #[error("no point of the space is a legal arch: {reasons}")]
    #[diagnostic(
        code(space::illegal),
        help("give other values, or another arch around which they lie")
    )]
    Illegal {
        /// Every rule that is broken, with value and limit.
        reasons: String,
    },
}

impl Space {
    /// Reads a space from the TOML `text` of the file `name`.
    ///
    /// # Errors
    /// [`SpaceError`], with the place in the file.
    pub fn read(name: &str, text: &str) -> Result<Space, Box<SpaceError>> {
        let space: Space = toml::from_str(text).map_err(|error| SpaceError::Syntax {
            message: error.message().replace('\n', " "),
            source_code: NamedSource::new(name, text.to_owned()),
            span: error.span().unwrap_or(0..0).into(),
        })?;
        if space.format != FORMAT {
            return Err(Box::new(SpaceError::Format {
                format: space.format,
            }));
        }
        match space.len() {
            points if points > LIMIT => Err(Box::new(SpaceError::Size { points })),
            _ => Ok(space),
        }
    }

    /// The TOML text; [`Space::read`] gives the same space back.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a space is plain data")
    }

    /// The JSON Schema of the text form.
    pub fn json_schema() -> String {
        let mut text = serde_json::to_string_pretty(&schemars::schema_for!(Space))
            .expect("a schema is plain data");
        text.push('\n');
        text
    }

    /// The grid that is explored when no space is given: 576 points around any base.
    pub fn standard() -> Space {
        use Dataflow::{OutputStationary, WeightStationary};
        Space {
            format: FORMAT,
            name: "standard".to_owned(),
            rows: vec![8, 16, 32],
            cols: vec![2, 4, 8, 16],
            reduction: vec![Reduction::Systolic, Reduction::Dot],
            dataflows: vec![
                vec![WeightStationary],
                vec![OutputStationary],
                vec![WeightStationary, OutputStationary],
            ],
            activation_banks: vec![],
            activation_words: vec![256, 2048],
            weight_words: vec![512, 4096],
            accumulator_pixels: vec![64, 512],
        }
    }

    /// Whether no axis has a value, so that the only point is the base arch.
    pub fn is_base(&self) -> bool {
        self.axes() == [0; 8]
    }

    /// The number of points.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a space has at least one point: its base"
    )]
    pub fn len(&self) -> usize {
        self.radices()
            .iter()
            .fold(1, |product, &radix| product.saturating_mul(radix))
    }

    /// The place of point `index`; the last axis changes fastest.
    ///
    /// # Panics
    /// If there is no such point.
    pub fn coordinates(&self, index: usize, base: &Arch) -> Coordinates {
        assert!(index < self.len(), "the space has {} points", self.len());
        let mut digits = [0; 8];
        let mut rest = index;
        for (digit, radix) in digits.iter_mut().zip(self.radices()).rev() {
            *digit = rest % radix;
            rest /= radix;
        }
        let number =
            |axis: &[u32], digit: usize, base: u32| axis.get(digit).copied().unwrap_or(base);
        Coordinates {
            rows: number(&self.rows, digits[0], base.array.rows),
            cols: number(&self.cols, digits[1], base.array.cols),
            reduction: self
                .reduction
                .get(digits[2])
                .copied()
                .unwrap_or(base.array.reduction),
            dataflows: self
                .dataflows
                .get(digits[3])
                .unwrap_or(&base.array.dataflows)
                .clone(),
            activation_banks: number(&self.activation_banks, digits[4], base.activations.banks),
            activation_words: number(&self.activation_words, digits[5], base.activations.words),
            weight_words: number(&self.weight_words, digits[6], base.weights.words),
            accumulator_pixels: number(
                &self.accumulator_pixels,
                digits[7],
                base.accumulators.pixels,
            ),
        }
    }

    fn radices(&self) -> [usize; 8] {
        self.axes().map(|n| n.max(1))
    }

    /// The number of values of each axis.
    fn axes(&self) -> [usize; 8] {
        [
            self.rows.len(),
            self.cols.len(),
            self.reduction.len(),
            self.dataflows.len(),
            self.activation_banks.len(),
            self.activation_words.len(),
            self.weight_words.len(),
            self.accumulator_pixels.len(),
        ]
    }
}

impl Coordinates {
    /// A name that tells apart all points around one base: `r16_c8_dot_ws_b6x2048_w4096_a512`.
    pub fn name(&self) -> String {
        let reduction = match self.reduction {
            Reduction::Systolic => "sys",
            Reduction::Dot => "dot",
        };
        let flow = |flow: &Dataflow| match flow {
            Dataflow::WeightStationary => "ws",
            Dataflow::OutputStationary => "os",
        };
        let flows: String = self.dataflows.iter().map(flow).collect();
        format!(
            "r{}_c{}_{reduction}_{flows}_b{}x{}_w{}_a{}",
            self.rows,
            self.cols,
            self.activation_banks,
            self.activation_words,
            self.weight_words,
            self.accumulator_pixels
        )
    }

    /// The arch at this place, which may be illegal: see [`Arch::problems`].
    ///
    /// What depends on the array follows it: memory and its bursts keep their bytes as far as the template family
    /// allows, there are as many requantise lanes as columns where the base has that, and never more lanes than fit.
    pub fn arch(&self, base: &Arch) -> Arch {
        let mut arch = base.clone();
        arch.array.rows = self.rows;
        arch.array.cols = self.cols;
        arch.array.reduction = self.reduction;
        arch.array.dataflows.clone_from(&self.dataflows);
        arch.activations.banks = self.activation_banks;
        arch.activations.words = self.activation_words;
        arch.weights.words = self.weight_words;
        arch.accumulators.pixels = self.accumulator_pixels;
        let lanes = base.vector.requantise_lanes;
        arch.vector.requantise_lanes = if lanes == base.array.cols {
            self.cols
        } else {
            lanes.min(self.cols)
        };
        arch.vector.table_lanes = base.vector.table_lanes.min(self.rows / 2);
        if base.memory.attachment == Attachment::Port
            && self.rows != base.array.rows
            && self.rows > 0
        {
            let words =
                u64::from(base.memory.words) * u64::from(base.array.rows) / u64::from(self.rows);
            arch.memory.words = words.min(1 << 22) as u32;
            arch.memory.burst_words = base.memory.burst_words.min(4096 / self.rows.min(4096));
        }
        arch.name = arch_name(&self.name());
        arch.description = format!("explored around {}", base.name);
        arch
    }
}

/// Cuts a name to what an arch can be called; reports use the whole name.
fn arch_name(name: &str) -> String {
    name.chars().take(32).collect()
}
