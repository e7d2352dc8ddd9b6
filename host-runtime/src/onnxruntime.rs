//! onnxruntime, loaded at run time: a device that shares nothing with the others, for it runs the ONNX file itself.
//!
//! The library is that of the Python package `onnxruntime`. Where it is not installed, this is a reason and nothing else.
//! Sessions have one thread, and no more of the optimiser than [`Optimiser`] says.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ir::network::HostValues;
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{SessionInputValue, SessionOutputs};
use ort::value::{DynValue, TensorElementType, ValueType};

use crate::Error;

/// The name of the device.
pub const NAME: &str = "onnxruntime";

/// What it is, in a few words.
pub const DESCRIPTION: &str = "the ONNX file itself, by onnxruntime";

/// What cannot be done without it, as the end of a sentence.
pub const DISABLES: &str = "the comparison of the reference with onnxruntime";

/// The command that installs it, as an instruction.
pub const INSTALL: &str = "run `pip install onnxruntime`";

/// The environment variable with the path of the library.
const LIBRARY: &str = "TILEWRIGHT_ONNXRUNTIME";

/// Values in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// 32-bit floats.
    Float32(Vec<f32>),
    /// 64-bit floats.
    Float64(Vec<f64>),
    /// Signed bytes.
    Int8(Vec<i8>),
    /// Unsigned bytes.
    Uint8(Vec<u8>),
    /// 32-bit integers.
    Int32(Vec<i32>),
    /// 64-bit integers.
    Int64(Vec<i64>),
    /// Conditions.
    Bool(Vec<bool>),
}

impl Values {
    /// The type, as numpy names it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Values::Float32(_) => "float32",
            Values::Float64(_) => "float64",
            Values::Int8(_) => "int8",
            Values::Uint8(_) => "uint8",
            Values::Int32(_) => "int32",
            Values::Int64(_) => "int64",
            Values::Bool(_) => "bool",
        }
    }

    /// Whether the values are floats.
    pub fn is_float(&self) -> bool {
        matches!(self, Values::Float32(_) | Values::Float64(_))
    }

    /// The values as doubles; integers beyond 2^53 lose their last bits.
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Values::Float32(values) => values.iter().map(|&v| f64::from(v)).collect(),
            Values::Float64(values) => values.clone(),
            Values::Int8(values) => values.iter().map(|&v| f64::from(v)).collect(),
            Values::Uint8(values) => values.iter().map(|&v| f64::from(v)).collect(),
            Values::Int32(values) => values.iter().map(|&v| f64::from(v)).collect(),
            Values::Int64(values) => values.iter().map(|&v| v as f64).collect(),
            Values::Bool(values) => values.iter().map(|&v| f64::from(u8::from(v))).collect(),
        }
    }
}

impl From<HostValues> for Values {
    fn from(values: HostValues) -> Values {
        match values {
            HostValues::Float32(values) => Values::Float32(values),
            HostValues::Int8(values) => Values::Int8(values),
            HostValues::Uint8(values) => Values::Uint8(values),
            HostValues::Int64(values) => Values::Int64(values),
        }
    }
}

/// A named tensor at the boundary of the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name in the file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values.
    pub values: Values,
}

/// How far onnxruntime may rewrite the graph before it runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optimiser {
    /// As far as it likes, with 8-bit products that are exact on every CPU (`session.x64quantprecision`). Without that,
    /// CPUs without VNNI add pairs of products in 16 bits and saturate.
    Precise,
    /// Not at all: every node as it stands.
    Off,
}

/// The library of onnxruntime.
#[derive(Clone)]
pub struct OnnxRuntime {
    environment: Environment,
    /// The file.
    pub path: PathBuf,
    /// Its version.
    pub version: String,
}

/// A graph that is ready to run.
pub struct Session {
    session: ort::session::Session,
    // The session must not outlive the environment.
    _environment: Environment,
}

impl OnnxRuntime {
    /// Finds and loads the library: the file that `TILEWRIGHT_ONNXRUNTIME` names, or the one in the Python environment of
    /// `TILEWRIGHT_VENV`, or of `build/venv` above the running program.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with what is missing and how to install it.
    pub fn find() -> Result<OnnxRuntime, Error> {
        static LOADED: Mutex<Option<OnnxRuntime>> = Mutex::new(None);
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        // A process has one environment of onnxruntime, whatever it asks for later.
        if let Some(loaded) = loaded.as_ref() {
            return Ok(loaded.clone());
        }
        let path = library()?;
        let failed = |error: &dyn Display| unavailable(format!("`{}`: {error}", path.display()));
        let builder = ort::init_from(&path).map_err(|error| failed(&error))?;
        let environment = builder
            .with_name("tilewright")
            .with_telemetry(false)
            .build();
        let environment = environment.map_err(|error| failed(&error))?;
        environment.set_log_level(LogLevel::Fatal);
        let version = path.to_string_lossy();
        let version = version
            .rsplit_once(".so.")
            .map_or("unknown", |(_, version)| version);
        let found = OnnxRuntime {
            environment,
            version: version.to_owned(),
            path: path.clone(),
        };
        *loaded = Some(found.clone());
        Ok(found)
    }

    /// Makes the ONNX file `model` ready to run; its external data lies in `folder`.
    ///
    /// # Errors
    /// [`Error::OnnxRuntime`] with what onnxruntime says.
    pub fn session(
        &self,
        model: &[u8],
        folder: Option<&Path>,
        optimiser: Optimiser,
    ) -> Result<Session, Error> {
        let build = || -> ort::Result<ort::session::Session> {
            let mut builder = ort::session::Session::builder(&self.environment)?
                .with_log_level(LogLevel::Fatal)?
                .with_intra_threads(1)?
                .with_inter_threads(1)?
                .with_optimization_level(match optimiser {
                    Optimiser::Precise => GraphOptimizationLevel::All,
                    Optimiser::Off => GraphOptimizationLevel::Disable,
                })?;
            if optimiser == Optimiser::Precise {
                builder = builder.with_precise_qmm()?;
            }
            if let Some(folder) = folder {
                let key = "session.model_external_initializers_file_folder_path";
                builder = builder.with_config_entry(key, folder.to_string_lossy())?;
            }
            builder.commit_from_memory(model)
        };
        Ok(Session {
            session: build().map_err(|error| says(&error))?,
            _environment: self.environment.clone(),
        })
    }
}

impl Session {
    /// Runs the graph: every output in the order of the file's.
    ///
    /// # Errors
    /// [`Error::OnnxRuntime`] with what onnxruntime says.
    pub fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Error> {
        let inputs = self.values(inputs)?;
        let outputs = self.outputs(&inputs)?;
        let tensors = outputs.iter().map(|(name, value)| tensor(name, &value));
        tensors.collect()
    }

    /// Runs the graph and gives type and shape of every output, by name.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn shapes(
        &mut self,
        inputs: &[Tensor],
    ) -> Result<BTreeMap<String, (String, Vec<usize>)>, Error> {
        let inputs = self.values(inputs)?;
        let outputs = self.outputs(&inputs)?;
        let shapes = outputs.iter().map(|(name, value)| {
            let element = value.dtype().tensor_type().map_or("other", element_name);
            (name.to_owned(), (element.to_owned(), shape(&value)))
        });
        Ok(shapes.collect())
    }

    /// The inputs with their names; those of the graph that are not given, for nothing reads them, are zero.
    fn values(&self, tensors: &[Tensor]) -> Result<Vec<(String, DynValue)>, Error> {
        let mut values = Vec::new();
        for tensor in tensors {
            let value = value(&tensor.shape, &tensor.values).map_err(|error| says(&error))?;
            values.push((tensor.name.clone(), value));
        }
        for input in self.session.inputs() {
            let is_given = tensors.iter().any(|tensor| tensor.name == input.name());
            if let ValueType::Tensor { ty, shape, .. } = input.dtype()
                && !is_given
                && let Some(zeros) = zeros(*ty, shape)
            {
                let value = zeros.map_err(|error| says(&error))?;
                values.push((input.name().to_owned(), value));
            }
        }
        Ok(values)
    }

    /// The outputs of the graph; one that is an input too lies in the memory of that input.
    fn outputs<'a>(
        &'a mut self,
        inputs: &'a [(String, DynValue)],
    ) -> Result<SessionOutputs<'a>, Error> {
        let inputs = inputs
            .iter()
            .map(|(name, value)| (name.clone(), SessionInputValue::from(value)));
        let inputs: Vec<_> = inputs.collect();
        self.session.run(inputs).map_err(|error| says(&error))
    }
}

/// The path of the library, loaded or not.
///
/// # Errors
/// As [`OnnxRuntime::find`].
pub fn library() -> Result<PathBuf, Error> {
    if let Some(path) = env::var_os(LIBRARY) {
        let path = PathBuf::from(path);
        return if path.is_file() {
            // A relative path would be looked for beside the running program.
            path.canonicalize()
                .map_err(|error| unavailable(format!("`{}`: {error}", path.display())))
        } else {
            let path = path.display();
            Err(unavailable(format!(
                "`{LIBRARY}` names `{path}`, which is no file"
            )))
        };
    }
    let venv = env::var_os("TILEWRIGHT_VENV")
        .map(PathBuf::from)
        .or_else(|| {
            let executable = env::current_exe().ok()?;
            let mut above = executable.ancestors().map(|dir| dir.join("build/venv"));
            above.find(|dir| dir.is_dir())
        });
    let Some(venv) = venv else {
        let hint = "run `make setup`, or set `TILEWRIGHT_ONNXRUNTIME` to the path of its library";
        return Err(unavailable(format!(
            "there is no Python environment; {hint}"
        )));
    };
    let mut found: Vec<PathBuf> = entries(&venv.join("lib"))
        .iter()
        .flat_map(|python| entries(&python.join("site-packages/onnxruntime/capi")))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("libonnxruntime.so.")
        })
        .collect();
    found.sort();
    found.pop().ok_or_else(|| {
        let venv = venv.display();
        unavailable(format!(
            "`{venv}` has no onnxruntime; {INSTALL} in it, or `make setup`"
        ))
    })
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}

fn unavailable(reason: String) -> Error {
    Error::Unavailable {
        device: NAME,
        reason,
    }
}

fn says(error: &ort::Error) -> Error {
    Error::OnnxRuntime {
        message: error.to_string(),
    }
}

fn value(shape: &[usize], values: &Values) -> ort::Result<DynValue> {
    let shape: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
    macro_rules! values {
        ($($kind:ident),*) => {
            match values {
                $(Values::$kind(values) => ort::value::Tensor::from_array((shape, values.clone()))?.into_dyn(),)*
            }
        };
    }
    Ok(values!(Float32, Float64, Int8, Uint8, Int32, Int64, Bool))
}

/// Zeros of a type and a shape, of which unknown sizes are 1; none for a type that has no [`Values`].
fn zeros(element: TensorElementType, shape: &[i64]) -> Option<ort::Result<DynValue>> {
    let shape: Vec<usize> = shape
        .iter()
        .map(|&size| usize::try_from(size).unwrap_or(1))
        .collect();
    let n_values = shape.iter().product();
    macro_rules! values {
        ($($kind:ident),*) => {
            match element {
                $(TensorElementType::$kind => Values::$kind(vec![Default::default(); n_values]),)*
                _ => return None,
            }
        };
    }
    let values = values!(Float32, Float64, Int8, Uint8, Int32, Int64, Bool);
    Some(value(&shape, &values))
}

fn tensor(name: &str, value: &DynValue) -> Result<Tensor, Error> {
    macro_rules! values {
        ($($kind:ident $element:ident),*) => {
            match value.dtype().tensor_type() {
                $(Some(TensorElementType::$element) => value
                    .try_extract_tensor()
                    .map(|(_, values)| Values::$kind(values.to_vec()))
                    .map_err(|error| says(&error))?,)*
                _ => {
                    let message = format!("output `{name}` has the type {:?}", value.dtype());
                    return Err(Error::OnnxRuntime { message });
                }
            }
        };
    }
    let values = values!(
        Float32 Float32, Float64 Float64, Int8 Int8, Uint8 Uint8, Int32 Int32, Int64 Int64, Bool Bool
    );
    Ok(Tensor {
        name: name.to_owned(),
        shape: shape(value),
        values,
    })
}

fn shape(value: &DynValue) -> Vec<usize> {
    let shape = value.dtype().tensor_shape();
    shape.map_or_else(Vec::new, |shape| {
        shape.iter().map(|&size| size.max(0) as usize).collect()
    })
}

fn element_name(element: TensorElementType) -> &'static str {
    match element {
        TensorElementType::Float32 => "float32",
        TensorElementType::Float64 => "float64",
        TensorElementType::Int8 => "int8",
        TensorElementType::Uint8 => "uint8",
        _ => "other",
    }
}
