//! Constants: the tensors that a file brings along, in itself or beside it.

use crate::error::Reason;
use crate::order::{Digit, Order};
use crate::proto::tensor_proto::{DataLocation, DataType};
use crate::proto::{GraphProto, TensorProto};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// A constant tensor in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Constant {
    pub(crate) dims: Vec<usize>,
    pub(crate) data: Data,
}

/// The values of a constant, in the type of the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    Float(Vec<f32>),
    Int8(Vec<i8>),
    Uint8(Vec<u8>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
}

/// The integer types that matter to import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    Int8,
    Uint8,
    Int32,
    Int64,
}

impl Data {
    pub(crate) fn len(&self) -> usize {
        match self {
            Data::Float(values) => values.len(),
            Data::Int8(values) => values.len(),
            Data::Uint8(values) => values.len(),
            Data::Int32(values) => values.len(),
            Data::Int64(values) => values.len(),
        }
    }

    /// The values at `positions`, which must be there.
    pub(crate) fn picked(&self, positions: impl Iterator<Item = usize>) -> Data {
        match self {
            Data::Float(values) => Data::Float(positions.map(|i| values[i]).collect()),
            Data::Int8(values) => Data::Int8(positions.map(|i| values[i]).collect()),
            Data::Uint8(values) => Data::Uint8(positions.map(|i| values[i]).collect()),
            Data::Int32(values) => Data::Int32(positions.map(|i| values[i]).collect()),
            Data::Int64(values) => Data::Int64(positions.map(|i| values[i]).collect()),
        }
    }

    /// Integers in the type `width`, if all of them fit it.
    pub(crate) fn of_integers(values: &[i64], width: Width) -> Option<Data> {
        fn all<T: TryFrom<i64>>(values: &[i64]) -> Option<Vec<T>> {
            values.iter().map(|&v| T::try_from(v).ok()).collect()
        }
        Some(match width {
            Width::Int8 => Data::Int8(all(values)?),
            Width::Uint8 => Data::Uint8(all(values)?),
            Width::Int32 => Data::Int32(all(values)?),
            Width::Int64 => Data::Int64(values.to_vec()),
        })
    }
}

impl Constant {
    /// Reads `proto`, whose external data may lie in `folder`.
    pub(crate) fn read(proto: &TensorProto, folder: Option<&Path>) -> Result<Self, Reason> {
        let dims = dims(proto)?;
        let (n_values, (n_bytes, data_type)) = (count(&dims)?, value_type(proto)?);
        let raw = if proto.data_location() == DataLocation::External {
            Some(Cow::Owned(read_external(
                proto,
                folder,
                n_values * n_bytes,
            )?))
        } else {
            proto.raw_data.as_deref().map(Cow::Borrowed)
        };
        let data = match raw.as_deref() {
            Some(raw) if raw.len() != n_values * n_bytes => {
                return Err(size_mismatch(
                    proto,
                    &dims,
                    n_values * n_bytes,
                    raw.len(),
                    "bytes",
                ));
            }
            Some(raw) => from_bytes(raw, data_type)?,
            None => from_fields(proto, data_type)?,
        };
        if data.len() != n_values {
            return Err(size_mismatch(proto, &dims, n_values, data.len(), "values"));
        }
        if let Data::Float(values) = &data
            && let Some(at) = values.iter().position(|value| value.is_nan())
        {
            return Err(Reason::constant(format!(
                "value {at} of `{}` is NaN, of which no code can be made",
                proto.name()
            )));
        }
        Ok(Constant { dims, data })
    }

    /// A list of int64.
    pub(crate) fn list(values: Vec<i64>) -> Self {
        Constant {
            dims: vec![values.len()],
            data: Data::Int64(values),
        }
    }

    /// One real number.
    pub(crate) fn scalar(value: f32) -> Self {
        Constant {
            dims: Vec::new(),
            data: Data::Float(vec![value]),
        }
    }

    /// The float values.
    pub(crate) fn floats(&self) -> Result<&[f32], Reason> {
        match &self.data {
            Data::Float(values) => Ok(values),
            _ => Err(Reason::constant(
                "a float constant is expected, this one has integers",
            )),
        }
    }

    /// The integer values; meant for short lists.
    pub(crate) fn integers(&self) -> Result<Vec<i64>, Reason> {
        Ok(match &self.data {
            Data::Int8(values) => values.iter().map(|&v| v.into()).collect(),
            Data::Uint8(values) => values.iter().map(|&v| v.into()).collect(),
            Data::Int32(values) => values.iter().map(|&v| v.into()).collect(),
            Data::Int64(values) => values.clone(),
            Data::Float(_) => {
                return Err(Reason::constant(
                    "an integer constant is expected, this one has floats",
                ));
            }
        })
    }

    /// The one value of a list or scalar of one.
    pub(crate) fn single<T: Copy>(values: &[T]) -> Result<T, Reason> {
        match values {
            [value] => Ok(*value),
            _ => Err(Reason::constant(format!(
                "one value is expected, this constant has {}",
                values.len()
            ))),
        }
    }

    /// The type of integer values.
    pub(crate) fn width(&self) -> Result<Width, Reason> {
        Ok(match &self.data {
            Data::Int8(_) => Width::Int8,
            Data::Uint8(_) => Width::Uint8,
            Data::Int32(_) => Width::Int32,
            Data::Int64(_) => Width::Int64,
            Data::Float(_) => {
                return Err(Reason::constant(
                    "an integer constant is expected, this one has floats",
                ));
            }
        })
    }

    /// The values as real numbers, exactly but for int64 beyond 2^53.
    pub(crate) fn reals(&self) -> Vec<f64> {
        match &self.data {
            Data::Float(values) => values.iter().map(|&v| v.into()).collect(),
            Data::Int8(values) => values.iter().map(|&v| v.into()).collect(),
            Data::Uint8(values) => values.iter().map(|&v| v.into()).collect(),
            Data::Int32(values) => values.iter().map(|&v| v.into()).collect(),
            Data::Int64(values) => values.iter().map(|&v| v as f64).collect(),
        }
    }

    /// The values in another shape and order.
    pub(crate) fn arranged(&self, dims: Vec<usize>, order: &Order) -> Self {
        Constant {
            dims,
            data: self.data.picked(order.positions().into_iter()),
        }
    }
}

/// The position in a tensor of shape `dims` of each value of the shape `shape` that it is broadcast to, or `None` if it
/// cannot be: dimensions are aligned at the last, and those of size 1 repeat.
pub(crate) fn broadcast(dims: &[usize], shape: &[usize]) -> Option<Order> {
    let n_new = shape.len().checked_sub(dims.len())?;
    let mut step = 1;
    let mut digits = Vec::with_capacity(shape.len());
    for (axis, &size) in shape.iter().enumerate().rev() {
        let own = axis.checked_sub(n_new).map_or(1, |own| dims[own]);
        if own != size && own != 1 {
            return None;
        }
        let moves = if own == 1 { 0 } else { step };
        digits.push(Digit { size, step: moves });
        step *= own;
    }
    digits.reverse();
    Some(Order::new(digits))
}

fn product(sizes: &[usize], limit: usize) -> Option<usize> {
    let product = sizes
        .iter()
        .try_fold(1_usize, |product, &size| product.checked_mul(size));
    product.filter(|&n| n <= limit)
}

/// The number of values of a shape, at most 2^31.
pub(crate) fn count(dims: &[usize]) -> Result<usize, Reason> {
    product(dims, 1 << 31).ok_or_else(|| {
        Reason::dimensions(format!(
            "shape {dims:?} has more than the limit of 2^31 values"
        ))
    })
}

/// The most values of a constant that import makes itself; a small file may ask for any number.
const MADE_LIMIT: usize = 1 << 24;

/// The number of values of a constant of these sizes, if import may make it.
pub(crate) fn made(sizes: &[usize]) -> Result<usize, Reason> {
    product(sizes, MADE_LIMIT).ok_or_else(|| {
        Reason::dimensions(format!(
            "it needs a constant of {sizes:?} values that the file does not have, the limit is {MADE_LIMIT}"
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
        t if t == DataType::Double as i32 => (8, DataType::Double),
        t if t == DataType::Bool as i32 => (1, DataType::Bool),
        other => {
            let name = DataType::try_from(other).map_or("unknown", |t| t.as_str_name());
            return Err(
                Reason::unsupported(format!("`{}` has the type {name}", proto.name()))
                    .help("constants may be float, double, int8, uint8, int32, int64 or bool"),
            );
        }
    };
    Ok(n_bytes)
}

fn from_bytes(raw: &[u8], data_type: DataType) -> Result<Data, Reason> {
    let words = || raw.as_chunks::<4>().0.iter();
    let doubles = || raw.as_chunks::<8>().0.iter();
    Ok(match data_type {
        DataType::Float => Data::Float(words().map(|&b| f32::from_le_bytes(b)).collect()),
        DataType::Int8 => Data::Int8(raw.iter().map(|&b| b.cast_signed()).collect()),
        DataType::Uint8 | DataType::Bool => Data::Uint8(raw.to_vec()),
        DataType::Int32 => Data::Int32(words().map(|&b| i32::from_le_bytes(b)).collect()),
        DataType::Double => narrow(doubles().map(|&b| f64::from_le_bytes(b)))?,
        _ => Data::Int64(doubles().map(|&b| i64::from_le_bytes(b)).collect()),
    })
}

fn from_fields(proto: &TensorProto, data_type: DataType) -> Result<Data, Reason> {
    fn all<T: TryFrom<i32>>(values: &[i32]) -> Result<Vec<T>, Reason> {
        let outside = |value| Reason::constant(format!("the value {value} does not fit its type"));
        values
            .iter()
            .map(|&value| T::try_from(value).map_err(|_| outside(value)))
            .collect()
    }
    Ok(match data_type {
        DataType::Float => Data::Float(proto.float_data.clone()),
        DataType::Int8 => Data::Int8(all(&proto.int32_data)?),
        DataType::Uint8 | DataType::Bool => Data::Uint8(all(&proto.int32_data)?),
        DataType::Int32 => Data::Int32(proto.int32_data.clone()),
        DataType::Double => narrow(proto.double_data.iter().copied())?,
        _ => Data::Int64(proto.int64_data.clone()),
    })
}

/// Doubles as floats, which must keep their value.
fn narrow(values: impl Iterator<Item = f64>) -> Result<Data, Reason> {
    let float = |value: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whether it keeps its value is checked"
        )]
        let float = value as f32;
        (f64::from(float).total_cmp(&value).is_eq())
            .then_some(float)
            .ok_or_else(|| {
                Reason::constant(format!("the double {value:e} is no float"))
                    .help("export constants as float32")
            })
    };
    Ok(Data::Float(values.map(float).collect::<Result<_, _>>()?))
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

/// The files of external data of `graph` that can be read, in the order of their paths.
pub(crate) fn external_files(graph: &GraphProto, folder: Option<&Path>) -> Vec<PathBuf> {
    let external = graph
        .initializer
        .iter()
        .filter(|proto| proto.data_location() == DataLocation::External);
    let paths = external.filter_map(|proto| {
        let location = proto.external_data.iter().find(|e| e.key() == "location")?;
        external_path(proto.name(), location.value(), folder).ok()
    });
    let paths: BTreeSet<PathBuf> = paths.collect();
    paths.into_iter().collect()
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
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
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
