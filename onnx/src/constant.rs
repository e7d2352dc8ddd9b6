//! Constants: the tensors that a file brings along, in itself or beside it.

use crate::error::Reason;
use crate::proto::TensorProto;
use crate::proto::tensor_proto::{DataLocation, DataType};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// A constant tensor in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Constant {
    pub(crate) dims: Vec<usize>,
    pub(crate) data: Data,
}

/// The values of a constant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    Float(Vec<f32>),
    /// Integers of any width, with what import has to know of the width.
    Integer(Vec<i64>, Width),
}

/// The integer types that matter to import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    Int8,
    Uint8,
    Int32,
    Int64,
}

impl Constant {
    /// Reads `proto`, whose external data may lie in `folder`.
    pub(crate) fn read(proto: &TensorProto, folder: Option<&Path>) -> Result<Self, Reason> {
        let dims = dims(proto)?;
        let (n_values, (n_bytes, data_type)) = (count(&dims)?, value_type(proto)?);
        let raw = if proto.data_location() == DataLocation::External {
            Some(read_external(proto, folder, n_values * n_bytes)?)
        } else {
            proto.raw_data.as_ref().map(|bytes| bytes.to_vec())
        };
        let data = match raw {
            Some(raw) if raw.len() != n_values * n_bytes => {
                return Err(size_mismatch(
                    proto,
                    &dims,
                    n_values * n_bytes,
                    raw.len(),
                    "bytes",
                ));
            }
            Some(raw) => from_bytes(&raw, data_type),
            None => from_fields(proto, data_type),
        };
        let given = match &data {
            Data::Float(values) => values.len(),
            Data::Integer(values, _) => values.len(),
        };
        if given != n_values {
            return Err(size_mismatch(proto, &dims, n_values, given, "values"));
        }
        Ok(Constant { dims, data })
    }

    /// A list of int64.
    pub(crate) fn list(values: Vec<i64>) -> Self {
        Constant {
            dims: vec![values.len()],
            data: Data::Integer(values, Width::Int64),
        }
    }

    /// The float values.
    pub(crate) fn floats(&self) -> Result<&[f32], Reason> {
        match &self.data {
            Data::Float(values) => Ok(values),
            Data::Integer(..) => Err(Reason::constant(
                "a float constant is expected, this one has integers",
            )),
        }
    }

    /// The integer values with their type.
    pub(crate) fn integers(&self) -> Result<(&[i64], Width), Reason> {
        match &self.data {
            Data::Integer(values, width) => Ok((values, *width)),
            Data::Float(_) => Err(Reason::constant(
                "an integer constant is expected, this one has floats",
            )),
        }
    }
}

/// The number of values of a shape, at most 2^31.
pub(crate) fn count(dims: &[usize]) -> Result<usize, Reason> {
    let product = dims
        .iter()
        .try_fold(1_usize, |product, &dim| product.checked_mul(dim));
    product.filter(|&n| n <= 1 << 31).ok_or_else(|| {
        Reason::dimensions(format!(
            "shape {dims:?} has more than the limit of 2^31 values"
        ))
    })
}

fn dims(proto: &TensorProto) -> Result<Vec<usize>, Reason> {
    let dim = |&dim: &i64| {
        usize::try_from(dim)
            .map_err(|_| Reason::dimensions(format!("`{}` has the dimension {dim}", proto.name())))
    };
    proto.dims.iter().map(dim).collect()
}

fn value_type(proto: &TensorProto) -> Result<(usize, DataType), Reason> {
    let n_bytes = match proto.data_type() {
        t if t == DataType::Float as i32 => (4, DataType::Float),
        t if t == DataType::Int8 as i32 => (1, DataType::Int8),
        t if t == DataType::Uint8 as i32 => (1, DataType::Uint8),
        t if t == DataType::Int32 as i32 => (4, DataType::Int32),
        t if t == DataType::Int64 as i32 => (8, DataType::Int64),
        other => {
            let name = DataType::try_from(other).map_or("unknown", |t| t.as_str_name());
            return Err(
                Reason::unsupported(format!("`{}` has the type {name}", proto.name()))
                    .help("constants may be float, int8, uint8, int32 or int64"),
            );
        }
    };
    Ok(n_bytes)
}

fn from_bytes(raw: &[u8], data_type: DataType) -> Data {
    let words = || raw.as_chunks::<4>().0.iter();
    match data_type {
        DataType::Float => Data::Float(words().map(|&b| f32::from_le_bytes(b)).collect()),
        DataType::Int8 => Data::Integer(
            raw.iter().map(|&b| i64::from(b as i8)).collect(),
            Width::Int8,
        ),
        DataType::Uint8 => Data::Integer(raw.iter().map(|&b| i64::from(b)).collect(), Width::Uint8),
        DataType::Int32 => Data::Integer(
            words().map(|&b| i64::from(i32::from_le_bytes(b))).collect(),
            Width::Int32,
        ),
        _ => {
            let doubles = raw.as_chunks::<8>().0.iter();
            Data::Integer(
                doubles.map(|&b| i64::from_le_bytes(b)).collect(),
                Width::Int64,
            )
        }
    }
}

fn from_fields(proto: &TensorProto, data_type: DataType) -> Data {
    let narrow = || proto.int32_data.iter();
    match data_type {
        DataType::Float => Data::Float(proto.float_data.clone()),
        DataType::Int8 => {
            Data::Integer(narrow().map(|&v| i64::from(v as i8)).collect(), Width::Int8)
        }
        DataType::Uint8 => Data::Integer(
            narrow().map(|&v| i64::from(v as u8)).collect(),
            Width::Uint8,
        ),
        DataType::Int32 => Data::Integer(narrow().map(|&v| i64::from(v)).collect(), Width::Int32),
        _ => Data::Integer(proto.int64_data.clone(), Width::Int64),
    }
}

fn size_mismatch(
    proto: &TensorProto,
    dims: &[usize],
    needed: usize,
    given: usize,
    unit: &str,
) -> Reason {
    let name = proto.name();
    Reason::constant(format!(
        "`{name}` has {given} {unit}, its shape {dims:?} needs {needed}"
    ))
    .help("the file is damaged; export it again")
}

/// Reads the `n_bytes` of external data of `proto`, never outside `folder`.
fn read_external(
    proto: &TensorProto,
    folder: Option<&Path>,
    n_bytes: usize,
) -> Result<Vec<u8>, Reason> {
    let entry = |key: &str| {
        proto
            .external_data
            .iter()
            .find(|e| e.key() == key)
            .map(|e| e.value())
    };
    let number = |key: &str| entry(key).map_or(Some(0), |text| text.parse::<u64>().ok());
    let name = proto.name();
    let path = external_path(name, entry("location").unwrap_or_default(), folder)?;
    let (Some(offset), Some(length)) = (number("offset"), number("length")) else {
        return Err(Reason::external(format!(
            "`{name}` has an offset or length that is no number"
        )));
    };
    if entry("length").is_some() && length != n_bytes as u64 {
        return Err(Reason::external(format!(
            "`{name}` has {length} bytes of external data, its shape needs {n_bytes}"
        )));
    }
    let failed = |error: std::io::Error| {
        Reason::external(format!("`{}` cannot be read: {error}", path.display()))
    };
    let mut file = File::open(&path).map_err(failed)?;
    let available = file.metadata().map_err(failed)?.len();
    if offset
        .checked_add(n_bytes as u64)
        .is_none_or(|end| end > available)
    {
        let file = path.display();
        return Err(Reason::external(format!(
            "`{name}` needs {n_bytes} bytes at offset {offset}, `{file}` has {available}"
        )));
    }
    let mut bytes = vec![0; n_bytes];
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    file.read_exact(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// The path of external data, which must lie in the folder of the model, symbolic links followed.
fn external_path(name: &str, location: &str, folder: Option<&Path>) -> Result<PathBuf, Reason> {
    let folder =
        folder.ok_or_else(|| Reason::external(format!("`{name}` lies outside the file")))?;
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let relative = Path::new(location);
    let plain = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let outside = || {
        Reason::external(format!(
            "`{name}` wants `{location}`, outside the folder of the model"
        ))
    };
    if location.is_empty() || !plain {
        return Err(outside());
    }
    let failed =
        |error: std::io::Error| Reason::external(format!("`{location}` cannot be read: {error}"));
    let path = folder.join(relative).canonicalize().map_err(failed)?;
    if !path.starts_with(folder.canonicalize().map_err(failed)?) || !path.is_file() {
        return Err(outside());
    }
    Ok(path)
}
