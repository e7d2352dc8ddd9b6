//! Images, labels and logits from `.npz` files, as numpy writes them.
//!
//! Every type that numpy gives to numbers by default is read. A value becomes what the network takes or a class only if
//! it is one: whatever does not fit is an error with its place. Deliberately not here: Fortran order and complex numbers.

mod header;

use header::Header;
use ir::fit::Fit;
use ir::network::{HostType, HostValues};
use miette::Diagnostic;
use npyz::npz::NpzArchive;
use npyz::zip::result::ZipError;
use npyz::{Endianness, TypeChar};
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The largest array that is read, in bytes as its values are held.
pub const MAX_BYTES: u64 = 1 << 30;

/// Why a `.npz` file could not be used.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum DatasetError {
    /// The file cannot be read or is no archive of arrays.
    #[error("`{}` cannot be read: {source}", .path.display())]
    #[diagnostic(
        code(dataset::read),
        help("check the path; the file must come from `numpy.savez`")
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: std::io::Error,
    },
    /// There is no array of that name.
    #[error("`{}` has no array `{name}`, it has {}", .path.display(), listed(.names))]
    #[diagnostic(
        code(dataset::missing),
        help(
            "save each array under the name of its input; that of the only input may be called `images` too"
        )
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        name: String,
        /// The names in the file.
        names: Vec<String>,
    },
    /// The array is of another type or order than supported.
    #[error("array `{name}` is {found}, which is not supported")]
    #[diagnostic(
        code(dataset::array),
        help(
            "save it as integers, floats or bools of at most 8 bytes in C order; `numpy.ascontiguousarray` makes that of an array"
        )
    )]
    Array {
        /// The array.
        name: String,
        /// What it is.
        found: String,
    },
    /// The array is too large, whatever its file has.
    #[error("array `{name}` of shape {shape:?} takes more than {limit} B")]
    #[diagnostic(
        code(dataset::size),
        help("save fewer images in a file, or a smaller type such as uint8")
    )]
    Size {
        /// The array.
        name: String,
        /// Its shape.
        shape: Vec<u64>,
        /// The most that an array may take.
        limit: u64,
    },
    /// The array does not hold images of the input's shape.
    #[error("array `{name}` has the shape {found:?}, the input takes {input:?}")]
    #[diagnostic(
        code(dataset::shape),
        help(
            "save one image in that shape, or several with their number as the first dimension; dimensions of 1 may be left out"
        )
    )]
    Shape {
        /// The array.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape of the input.
        input: Vec<usize>,
    },
    /// A value is not one of those that the input takes.
    #[error("`{place}` is {value}, which is no {target}")]
    #[diagnostic(code(dataset::value), help("{help}"))]
    Value {
        /// The array with the indices of the value.
        place: String,
        /// The value.
        value: String,
        /// What is taken.
        target: String,
        /// What to do.
        help: &'static str,
    },
    /// A label is no class of the network.
    #[error("`{place}` is {value}, which is none of the classes 0 to {}", .classes - 1)]
    #[diagnostic(
        code(dataset::label),
        help("number the classes as the output of the network does, or leave the array out")
    )]
    Label {
        /// The array with the index of the label.
        place: String,
        /// The label.
        value: String,
        /// The number of classes.
        classes: usize,
    },
    /// There is not one label for each image.
    #[error("array `{name}` has the shape {found:?}, the number of images is {images}")]
    #[diagnostic(
        code(dataset::labels),
        help("save one label for each image, or leave the array out")
    )]
    Labels {
        /// The array.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The number of images.
        images: usize,
    },
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.join(", ")
}

/// The values of an array, in C order.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// uint8 values, and bools as 0 and 1.
    Uint8(Vec<u8>),
    /// int8 values.
    Int8(Vec<i8>),
    /// Values of any wider integer type.
    Int64(Vec<i64>),
    /// float32 values, and float16 ones.
    Float32(Vec<f32>),
    /// float64 values.
    Float64(Vec<f64>),
}

/// An array with its shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// The name in the file.
    pub name: String,
    /// The shape, first dimension the image.
    pub shape: Vec<usize>,
    /// The values.
    pub values: Values,
}

/// One value of an array.
#[derive(Debug, Clone, Copy)]
enum Number {
    Integer(i64),
    Real(f64),
}

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Number::Integer(value) => value.fmt(f),
            Number::Real(value) => value.fmt(f),
        }
    }
}

impl Number {
    /// The integer that it is.
    fn integer(self) -> Option<i64> {
        match self {
            Number::Integer(value) => Some(value),
            // Above this not every integer is a float64.
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it is whole and below 2^53"
            )]
            Number::Real(value) if value.fract() == 0.0 && value.abs() < (1_i64 << 53) as f64 => {
                Some(value as i64)
            }
            Number::Real(_) => None,
        }
    }

    /// The float32 that it is; a float64 is rounded, as numpy's `astype` does.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounding is meant, and whole floats fit i128"
    )]
    fn float(self) -> Option<f32> {
        match self {
            Number::Integer(value) => {
                let float = value as f32;
                (float as i128 == i128::from(value)).then_some(float)
            }
            Number::Real(value) => Some(value as f32).filter(|float| float.is_finite()),
        }
    }
}

impl Array {
    /// The number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values as floats, rounded where their type is wider.
    #[expect(clippy::cast_possible_truncation, reason = "rounding is meant")]
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.values {
            Values::Uint8(v) => v.iter().map(|&x| f32::from(x)).collect(),
            Values::Int8(v) => v.iter().map(|&x| f32::from(x)).collect(),
            Values::Int64(v) => v.iter().map(|&x| x as f32).collect(),
            Values::Float32(v) => v.clone(),
            Values::Float64(v) => v.iter().map(|&x| x as f32).collect(),
        }
    }

    /// Whether the values are of an integer type.
    pub fn is_integer(&self) -> bool {
        !matches!(self.values, Values::Float32(_) | Values::Float64(_))
    }

    /// How many images for an input of `shape` the array holds, which is at least one; a file that takes `batch` images at
    /// once may have its data in batches too.
    ///
    /// # Errors
    /// [`DatasetError::Shape`] if it is neither one image nor several behind each other.
    pub fn n_images(&self, shape: &[usize], batch: usize) -> Result<usize, DatasetError> {
        let squeezed = |shape: &[usize]| -> Vec<usize> {
            shape.iter().copied().filter(|&size| size != 1).collect()
        };
        let image = squeezed(match shape {
            [1, image @ ..] => image,
            image => image,
        });
        match self.shape.as_slice() {
            all if squeezed(all) == image => Ok(1),
            [n, each @ ..] if *n > 0 && squeezed(each) == image => Ok(*n),
            [n, size, each @ ..] if *n > 0 && *size == batch && squeezed(each) == image => {
                Ok(n * batch)
            }
            _ => Err(DatasetError::Shape {
                name: self.name.clone(),
                found: self.shape.clone(),
                input: shape.to_vec(),
            }),
        }
    }

    /// The values `range` for an input of `host_type`; a float input takes them divided by `divide`.
    ///
    /// # Errors
    /// [`DatasetError::Value`] for the first value that is none of that type, or not finite.
    pub fn host_values(
        &self,
        range: Range<usize>,
        host_type: HostType,
        divide: f32,
    ) -> Result<HostValues, DatasetError> {
        let help = match host_type {
            HostType::Float32 => {
                "every pixel must be a finite float32; look for what made this one"
            }
            HostType::Int8 | HostType::Uint8 | HostType::Int64 => {
                "the input takes quantised values as they are"
            }
        };
        Ok(match host_type {
            HostType::Float32 => {
                let float = |value: Number| value.float().filter(|pixel| pixel.is_finite());
                let mut pixels = self.map(range.clone(), "float32", help, float)?;
                if divide != 1.0 {
                    let quotient =
                        |value: Number| Some(float(value)? / divide).filter(|q| q.is_finite());
                    let target = format!("float32 when divided by {divide:e}");
                    pixels = self.map(range, &target, help, quotient)?;
                }
                HostValues::Float32(pixels)
            }
            HostType::Int8 => {
                let int8 = |value: Number| value.integer()?.try_into().ok();
                HostValues::Int8(self.map(range, "int8", help, int8)?)
            }
            HostType::Uint8 => {
                let uint8 = |value: Number| value.integer()?.try_into().ok();
                HostValues::Uint8(self.map(range, "uint8", help, uint8)?)
            }
            HostType::Int64 => {
                HostValues::Int64(self.map(range, "int64", help, Number::integer)?)
            }
        })
    }

    /// The class of each of `images` images, of a network with `classes` classes.
    ///
    /// # Errors
    /// [`DatasetError::Labels`] if they are not as many, or [`DatasetError::Label`] for the first that is no class.
    pub fn labels(&self, images: usize, classes: usize) -> Result<Vec<usize>, DatasetError> {
        let columns = self.shape.iter().skip(1).all(|&size| size == 1);
        if !columns || self.len() != images {
            return Err(DatasetError::Labels {
                name: self.name.clone(),
                found: self.shape.clone(),
                images,
            });
        }
        let label = |idx| {
            let value = self.number(idx);
            let class = value
                .integer()
                .and_then(|value| usize::try_from(value).ok())
                .filter(|&class| class < classes);
            class.ok_or_else(|| DatasetError::Label {
                place: self.place(idx),
                value: value.to_string(),
                classes,
            })
        };
        (0..images).map(label).collect()
    }

    fn map<T>(
        &self,
        range: Range<usize>,
        target: &str,
        help: &'static str,
        convert: impl Fn(Number) -> Option<T>,
    ) -> Result<Vec<T>, DatasetError> {
        let value = |idx| {
            let number = self.number(idx);
            convert(number).ok_or_else(|| DatasetError::Value {
                place: self.place(idx),
                value: number.to_string(),
                target: target.to_owned(),
                help,
            })
        };
        range.map(value).collect()
    }

    fn number(&self, idx: usize) -> Number {
        match &self.values {
            Values::Uint8(values) => Number::Integer(values[idx].into()),
            Values::Int8(values) => Number::Integer(values[idx].into()),
            Values::Int64(values) => Number::Integer(values[idx]),
            Values::Float32(values) => Number::Real(values[idx].into()),
            Values::Float64(values) => Number::Real(values[idx]),
        }
    }

    /// The name with the indices of value `idx`, as numpy would write it.
    fn place(&self, idx: usize) -> String {
        let mut rest = idx;
        let mut indices: Vec<String> = Vec::new();
        for &size in self.shape.iter().rev() {
            indices.push((rest % size).to_string());
            rest /= size;
        }
        indices.reverse();
        format!("{}[{}]", self.name, indices.join(", "))
    }
}

/// An open `.npz` file.
pub struct Npz<R: Read + Seek> {
    archive: NpzArchive<R>,
    path: PathBuf,
}

impl Npz<BufReader<File>> {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`DatasetError::Read`].
    pub fn open(path: &Path) -> Result<Self, DatasetError> {
        let file = File::open(path).map_err(|source| DatasetError::Read {
            path: path.to_path_buf(),
            source,
        })?;
        Npz::new(BufReader::new(file), path)
    }
}

impl<R: Read + Seek> Npz<R> {
    /// Reads the contents of the archive in `reader`, which errors call `path`.
    ///
    /// # Errors
    /// [`DatasetError::Read`] if it is no archive.
    pub fn new(reader: R, path: &Path) -> Result<Self, DatasetError> {
        let path = path.to_path_buf();
        match NpzArchive::new(reader) {
            Ok(archive) => Ok(Npz { archive, path }),
            Err(source) => Err(DatasetError::Read { path, source }),
        }
    }

    /// Whether there is an array of that name.
    pub fn has(&self, name: &str) -> bool {
        self.archive.array_names().any(|other| other == name)
    }

    /// Reads the array `name`.
    ///
    /// # Errors
    /// [`DatasetError`] if the array, its type or its size is not as expected.
    pub fn array(&mut self, name: &str) -> Result<Array, DatasetError> {
        let path = &self.path;
        let failed = |source| DatasetError::Read {
            path: path.clone(),
            source,
        };
        let names: Vec<String> = self.archive.array_names().map(str::to_string).collect();
        let mut file = match self.archive.zip_archive().by_name(&format!("{name}.npy")) {
            Ok(file) => file,
            Err(ZipError::FileNotFound) => {
                return Err(DatasetError::Missing {
                    path: path.clone(),
                    name: name.to_string(),
                    names,
                });
            }
            Err(ZipError::Io(error)) => return Err(failed(error)),
            Err(error) => return Err(failed(std::io::Error::other(error.to_string()))),
        };
        let header = Header::read(&mut file).map_err(|error| {
            let reason = format!("array `{name}`: {error}");
            failed(std::io::Error::new(error.kind(), reason))
        })?;
        let unsupported = |found: String| DatasetError::Array {
            name: name.to_string(),
            found,
        };
        if header.fortran_order {
            return Err(unsupported("in Fortran order".to_owned()));
        }
        let kind = Kind::of(&header).map_err(unsupported)?;
        let shape = header.shape;
        let held = shape
            .iter()
            .try_fold(kind.held_bytes(), |product, &size| {
                product.checked_mul(size)
            })
            .filter(|&held| held <= MAX_BYTES);
        let Some(held) = held else {
            return Err(DatasetError::Size {
                name: name.to_string(),
                shape,
                limit: MAX_BYTES,
            });
        };
        let n_bytes = held / kind.held_bytes() * kind.bytes;
        let mut bytes = Vec::new();
        file.take(n_bytes).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 != n_bytes {
            return Err(failed(std::io::Error::other(format!(
                "array `{name}` ends after {} of {n_bytes} B",
                bytes.len()
            ))));
        }
        let values = kind.values(bytes).map_err(|idx| {
            unsupported(format!(
                "of the type uint64 with a value of 2^63 or more at {idx}"
            ))
        })?;
        let shape = shape.iter().map(|&size| size.fit::<usize>()).collect();
        let name = name.to_string();
        Ok(Array {
            name,
            shape,
            values,
        })
    }
}

/// Reads the array `name` of the `.npz` file at `path`.
///
/// # Errors
/// As [`Npz::open`] and [`Npz::array`].
pub fn read_npz(path: &Path, name: &str) -> Result<Array, DatasetError> {
    Npz::open(path)?.array(name)
}

/// The type of the values in a file.
struct Kind {
    character: TypeChar,
    bytes: u64,
    big_endian: bool,
}

impl Kind {
    /// The type that `header` states, or what it is instead of one that can be read.
    fn of(header: &Header) -> Result<Kind, String> {
        let Some(plain) = &header.descr else {
            return Err("an array of records".to_owned());
        };
        let (character, bytes) = (plain.type_char(), plain.size_field());
        match (character, bytes) {
            (TypeChar::Bool, 1)
            | (TypeChar::Int | TypeChar::Uint, 1 | 2 | 4 | 8)
            | (TypeChar::Float, 2 | 4 | 8) => Ok(Kind {
                character,
                bytes,
                big_endian: plain.endianness() == Endianness::Big,
            }),
            _ => Err(format!("of the type {plain}")),
        }
    }

    /// The bytes of a value of [`Values`].
    fn held_bytes(&self) -> u64 {
        match (self.character, self.bytes) {
            (TypeChar::Float, 2) => 4,
            (TypeChar::Int | TypeChar::Uint, 2 | 4) => 8,
            _ => self.bytes,
        }
    }

    /// The values in `bytes`, or the index of the first that no type here holds.
    fn values(&self, bytes: Vec<u8>) -> Result<Values, usize> {
        Ok(match (self.character, self.bytes) {
            (TypeChar::Int, 1) => {
                Values::Int8(bytes.into_iter().map(|byte| byte.cast_signed()).collect())
            }
            (TypeChar::Int, 2) => Values::Int64(self.each(&bytes, i16::from_le_bytes, i64::from)),
            (TypeChar::Int, 4) => Values::Int64(self.each(&bytes, i32::from_le_bytes, i64::from)),
            (TypeChar::Int, _) => Values::Int64(self.each(&bytes, i64::from_le_bytes, i64::from)),
            (TypeChar::Uint, 2) => Values::Int64(self.each(&bytes, u16::from_le_bytes, i64::from)),
            (TypeChar::Uint, 4) => Values::Int64(self.each(&bytes, u32::from_le_bytes, i64::from)),
            (TypeChar::Uint, 8) => {
                let wide = self.each(&bytes, u64::from_le_bytes, i64::try_from);
                let fit = |(idx, value): (usize, Result<i64, _>)| value.map_err(|_| idx);
                Values::Int64(
                    wide.into_iter()
                        .enumerate()
                        .map(fit)
                        .collect::<Result<_, _>>()?,
                )
            }
            (TypeChar::Float, 2) => {
                Values::Float32(self.each(&bytes, u16::from_le_bytes, float_of_half))
            }
            (TypeChar::Float, 4) => {
                Values::Float32(self.each(&bytes, f32::from_le_bytes, f32::from))
            }
            (TypeChar::Float, _) => {
                Values::Float64(self.each(&bytes, f64::from_le_bytes, f64::from))
            }
            // Bools are bytes of 0 and 1.
            _ => Values::Uint8(bytes),
        })
    }

    /// Decodes values of `N` bytes.
    fn each<const N: usize, T, U>(
        &self,
        bytes: &[u8],
        decode: impl Fn([u8; N]) -> T,
        convert: impl Fn(T) -> U,
    ) -> Vec<U> {
        let (values, _) = bytes.as_chunks::<N>();
        let value = |value: &[u8; N]| {
            let mut value = *value;
            if self.big_endian {
                value.reverse();
            }
            convert(decode(value))
        };
        values.iter().map(value).collect()
    }
}

/// The value of the IEEE half-precision float `bits`, all of which are float32 values.
fn float_of_half(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7fff);
    let float = match magnitude >> 10 {
        // Subnormals are multiples of 2^-24.
        0 => f32::from(bits & 0x3ff) / 16_777_216.0,
        31 => f32::from_bits(0x7f80_0000 | magnitude << 13),
        // The exponents differ in their bias, by 112.
        _ => f32::from_bits((magnitude << 13) + (112 << 23)),
    };
    if bits & 0x8000 == 0 { float } else { -float }
}
