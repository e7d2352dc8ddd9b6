//! Images, labels and logits from `.npz` files, as numpy writes them.

use miette::Diagnostic;
use npyz::npz::NpzArchive;
use npyz::{DType, NpyFile, Order, TypeChar};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest array that is read, in values.
const MAX_VALUES: u64 = 1 << 31;

/// Why a `.npz` file could not be read.
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
    #[error("`{}` has no array `{name}`, it has {}", .path.display(), .names.join(", "))]
    #[diagnostic(
        code(dataset::missing),
        help("give one of the names that the file has")
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        name: String,
        /// The names in the file.
        names: Vec<String>,
    },
    /// The array is of another type, order or size than supported.
    #[error("array `{name}` is {found}, which is not supported")]
    #[diagnostic(
        code(dataset::array),
        help("save it as uint8, int8 or float32 in C order")
    )]
    Array {
        /// The array.
        name: String,
        /// What it is.
        found: String,
    },
}

/// The values of an array, in C order.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// uint8 values.
    Uint8(Vec<u8>),
    /// int8 values.
    Int8(Vec<i8>),
    /// float32 values.
    Float32(Vec<f32>),
}

/// An array with its shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// The shape, first dimension the image.
    pub shape: Vec<usize>,
    /// The values.
    pub values: Values,
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

    /// The values as floats.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.values {
            Values::Uint8(v) => v.iter().map(|&x| f32::from(x)).collect(),
            Values::Int8(v) => v.iter().map(|&x| f32::from(x)).collect(),
            Values::Float32(v) => v.clone(),
        }
    }
}

/// Reads the array `name` of the `.npz` file at `path`.
///
/// # Errors
/// [`DatasetError`] if the file, the array or its type is not as expected.
pub fn read_npz(path: &Path, name: &str) -> Result<Array, DatasetError> {
    let failed = |source| DatasetError::Read {
        path: path.to_path_buf(),
        source,
    };
    let mut archive = NpzArchive::open(path).map_err(failed)?;
    let names: Vec<String> = archive.array_names().map(str::to_string).collect();
    let Some(file) = archive.by_name(name).map_err(failed)? else {
        return Err(DatasetError::Missing {
            path: path.to_path_buf(),
            name: name.to_string(),
            names,
        });
    };
    let unsupported = |found: String| DatasetError::Array {
        name: name.to_string(),
        found,
    };
    let n_values = file
        .shape()
        .iter()
        .try_fold(1_u64, |product, &size| product.checked_mul(size));
    if file.order() != Order::C || n_values.is_none_or(|n| n > MAX_VALUES) {
        return Err(unsupported(format!(
            "{:?} order, shape {:?}",
            file.order(),
            file.shape()
        )));
    }
    let shape = file.shape().iter().map(|&size| size as usize).collect();
    let values = read_values(file, unsupported)?.map_err(failed)?;
    Ok(Array { shape, values })
}

fn read_values<R: Read>(
    file: NpyFile<R>,
    unsupported: impl Fn(String) -> DatasetError,
) -> Result<std::io::Result<Values>, DatasetError> {
    let DType::Plain(plain) = file.dtype() else {
        return Err(unsupported("an array of records".into()));
    };
    Ok(match (plain.type_char(), plain.size_field()) {
        (TypeChar::Uint, 1) => file.into_vec().map(Values::Uint8),
        (TypeChar::Int, 1) => file.into_vec().map(Values::Int8),
        (TypeChar::Float, 4) => file.into_vec().map(Values::Float32),
        _ => return Err(unsupported(format!("of the type {plain}"))),
    })
}
