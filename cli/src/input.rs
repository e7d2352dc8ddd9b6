//! Networks, archs and images, by name or by path.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use foreign::Foreign;
use ir::arch::{Arch, Attachment, Counters, Host};
use ir::memory::MemoryModel;
use ir::network::{HostType, HostValues, Network};
use ir::tree::Tree;
use ir::workload::Workload;
use onnx::dataset::{Array, DatasetError, Values, read_npz};
use serde::Serialize;

use crate::console::Console;
use crate::failure::{CliError, Code, Failure};

/// The archs that come with the program.
pub(crate) const PRESETS: &[(&str, &str)] = &[
    ("nano", include_str!("../../examples/archs/nano.toml")),
    ("edge", include_str!("../../examples/archs/edge.toml")),
    ("both", include_str!("../../examples/archs/both.toml")),
];

/// The network that comes with the program.
pub(crate) const DIGITS: &[u8] = include_bytes!("../../examples/networks/digits_int8.onnx");
/// Its test images and labels.
const DIGITS_DATA: &[u8] = include_bytes!("../../examples/networks/digits/digits_test.npz");
/// Pixels of digits are 0 to 16 and the network wants 0 to 1.
const DIGITS_DIVIDE: f32 = 16.0;

/// Seed of everything random, unless the user gives one.
pub(crate) const SEED: u64 = 1;
/// What names of networks of the zoo start with.
const ZOO: &str = "zoo:";

/// Arch files above this size are no arch files.
const ARCH_BYTES: u64 = 1 << 20;

/// The trees that come with the program.
const TREES: &[(&str, &str)] = &[
    (
        "gemmini_like",
        include_str!("../../examples/trees/gemmini_like.toml"),
    ),
    (
        "eyeriss_like",
        include_str!("../../examples/trees/eyeriss_like.toml"),
    ),
    (
        "tpu_like",
        include_str!("../../examples/trees/tpu_like.toml"),
    ),
    (
        "one_buffer",
        include_str!("../../examples/trees/one_buffer.toml"),
    ),
];

/// Something that a file of another tool says and that has no effect here, or that it leaves open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Ignored {
    file: String,
    line: usize,
    key: String,
    reason: String,
}

impl Ignored {
    /// Says on standard error what of `ignored` has no effect.
    pub(crate) fn note(ignored: &[Ignored], console: &Console) {
        for Ignored {
            file,
            line,
            key,
            reason,
        } in ignored
        {
            console.note(&format!("warning: {file}, line {line}, `{key}`: {reason}"));
        }
    }
}

/// Reads a file of another tool, and adds what has no effect to `ignored` once.
fn foreign(name: &str, text: &str, ignored: &mut Vec<Ignored>) -> Result<Foreign, Failure> {
    let foreign = foreign::read(name, text)?;
    for finding in &foreign.ignored {
        let entry = Ignored {
            file: name.to_owned(),
            line: finding.line,
            key: finding.key.clone(),
            reason: finding.message.clone(),
        };
        if !ignored.contains(&entry) {
            ignored.push(entry);
        }
    }
    Ok(foreign)
}

/// The tree of a bundled one's name or a file's path; none if it is an arch of the template family, or neither.
pub(crate) fn tree(name: &str, ignored: &mut Vec<Ignored>) -> Result<Option<Tree>, Failure> {
    if let Some((name, text)) = TREES.iter().find(|(tree, _)| *tree == name) {
        return Ok(Some(ir::tree::read(&format!("{name}.toml"), text)?));
    }
    let path = Path::new(name);
    if !path.exists() {
        return Ok(None);
    }
    let text = text(path, ARCH_BYTES)?;
    if ir::tree::is_tree(&text) {
        return Ok(Some(ir::tree::read(name, &text)?));
    }
    if !is_yaml(path) {
        return Ok(None);
    }
    let foreign = foreign(name, &text, ignored)?;
    match foreign.tree {
        Some(tree) => Ok(Some(tree)),
        None => Err(Failure::usage(
            format!(
                "`{name}` of {} holds no architecture",
                foreign.format.name()
            ),
            "`--arch` wants a file with one",
        )),
    }
}

/// The einsums of a file: a workload, one of another tool, or the operators of a network.
pub(crate) fn workload(
    args: &NetworkArgs,
    ignored: &mut Vec<Ignored>,
) -> Result<Workload, Failure> {
    let path = Path::new(&args.network);
    if path.extension().is_some_and(|e| e == "toml") {
        return Ok(ir::workload::read(&args.network, &text(path, ARCH_BYTES)?)?);
    }
    if is_yaml(path) {
        let foreign = foreign(&args.network, &text(path, ARCH_BYTES)?, ignored)?;
        return foreign.workload.ok_or_else(|| {
            Failure::usage(
                format!(
                    "`{}` of {} holds no workload",
                    args.network,
                    foreign.format.name()
                ),
                "name a file with einsums or layers",
            )
        });
    }
    // Einsums have no values, and calibration takes half a minute for the largest of the zoo.
    if let Some(name) = args.network.strip_prefix(ZOO) {
        return Ok(Workload::of(&onnx::zoo::shapes(name, SEED)?));
    }
    Ok(Workload::of(&args.load()?.network))
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "yaml" || e == "yml")
}

/// The arch of a preset's name or a file's path.
pub(crate) fn arch(name: &str) -> Result<Arch, Failure> {
    if let Some((name, text)) = PRESETS.iter().find(|(preset, _)| *preset == name) {
        return Ok(ir::arch::read(&format!("{name}.toml"), text)?);
    }
    let path = Path::new(name);
    if is_plain_name(name) && !path.exists() {
        let known = PRESETS
            .iter()
            .map(|(name, _)| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ");
        return Err(Failure::new(
            Code::Usage,
            CliError::Name {
                kind: "arch",
                name: name.to_owned(),
                known,
            },
        ));
    }
    let text = text(path, ARCH_BYTES)?;
    if ir::tree::is_tree(&text) {
        return Err(Failure::usage(
            format!(
                "`{name}` is a tree: what it describes can be mapped to, but not generated or run"
            ),
            "use it with `tilewright map`, or name an arch of the template family",
        ));
    }
    Ok(ir::arch::read(name, &text)?)
}

/// The same arch with its memory behind a port, if it is on chip, and with all counters.
pub(crate) fn port_variant(arch: &Arch) -> Option<Arch> {
    if arch.memory.attachment == Attachment::Port {
        return None;
    }
    let mut variant = arch.clone();
    variant.name += "_port";
    variant.memory.attachment = Attachment::Port;
    variant.host = Host::Axi;
    variant.counters = Counters::Full;
    Some(variant)
}

fn is_plain_name(name: &str) -> bool {
    !name.contains('/') && !name.contains('.')
}

/// Reads a text file of at most `limit` bytes.
pub(crate) fn text(path: &Path, limit: u64) -> Result<String, Failure> {
    let bytes = bytes(path, limit)?;
    String::from_utf8(bytes).map_err(|_| Failure::read(path, "it is not UTF-8 text"))
}

/// Reads a regular file of at most `limit` bytes.
fn bytes(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let metadata = std::fs::metadata(path).map_err(|error| Failure::read(path, error))?;
    if !metadata.is_file() {
        return Err(Failure::read(path, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| Failure::read(path, error))?;
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::read(path, error))?;
    if bytes.len() as u64 > limit {
        return Err(Failure::read(path, format!("it is larger than {limit} B")));
    }
    Ok(bytes)
}

/// Where a network comes from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    contents: Contents,
}

#[derive(Clone, Debug)]
enum Contents {
    File(PathBuf),
    Bytes(Vec<u8>),
}

/// A network with its provenance.
pub(crate) struct Loaded {
    pub(crate) network: Network,
    /// BLAKE3 of the file, in hexadecimal.
    pub(crate) hash: String,
}

impl Source {
    /// Finds the network: `digits`, `zoo:NAME`, or a path.
    pub(crate) fn find(name: &str) -> Result<Source, Failure> {
        let contents = if name == "digits" {
            Contents::Bytes(DIGITS.to_vec())
        } else if let Some(entry) = name.strip_prefix(ZOO) {
            Contents::Bytes(onnx::zoo::write(entry, SEED)?)
        } else if is_plain_name(name) && !Path::new(name).exists() {
            let known = "`digits`, `zoo:NAME` (`tilewright zoo --list` has the names)".to_owned();
            return Err(Failure::new(
                Code::Usage,
                CliError::Name {
                    kind: "network",
                    name: name.to_owned(),
                    known,
                },
            ));
        } else {
            Contents::File(name.into())
        };
        Ok(Source { contents })
    }

    /// Reads the network with all that stands in its way.
    pub(crate) fn check(&self, options: &onnx::Options) -> Result<onnx::Report, Failure> {
        match &self.contents {
            Contents::File(path) => Ok(onnx::check(path, options)?),
            Contents::Bytes(bytes) => {
                let network = onnx::import_bytes(bytes, options)?;
                let name = network.name.clone();
                Ok(onnx::Report {
                    name,
                    operators: Default::default(),
                    problems: Vec::new(),
                    network: Some(network),
                })
            }
        }
    }

    /// BLAKE3 of the file, in hexadecimal.
    pub(crate) fn hash(&self) -> Result<String, Failure> {
        let mut hasher = blake3::Hasher::new();
        match &self.contents {
            Contents::Bytes(bytes) => hasher.update(bytes),
            Contents::File(path) => {
                let file = File::open(path).map_err(|error| Failure::read(path, error))?;
                hasher
                    .update_reader(file)
                    .map_err(|error| Failure::read(path, error))?
            }
        };
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// Reads the network.
    pub(crate) fn load(&self, options: &onnx::Options) -> Result<Loaded, Failure> {
        let network = match &self.contents {
            Contents::File(path) => onnx::import(path, options)?,
            Contents::Bytes(bytes) => onnx::import_bytes(bytes, options)?,
        };
        let hash = self.hash()?;
        Ok(Loaded { network, hash })
    }
}

/// BLAKE3 in hexadecimal.
pub(crate) fn hash_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Options of every command that reads a network.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct NetworkArgs {
    /// The network: an ONNX file, `digits`, or `zoo:NAME`
    #[arg(value_name = "NET")]
    pub(crate) network: String,
    /// The size of a symbolic dimension, such as `N=1`
    #[arg(long = "dim", value_name = "NAME=SIZE", value_parser = dimension)]
    pub(crate) dims: Vec<(String, usize)>,
}

impl NetworkArgs {
    pub(crate) fn options(&self) -> onnx::Options {
        onnx::Options {
            dims: self.dims.iter().cloned().collect(),
        }
    }

    pub(crate) fn load(&self) -> Result<Loaded, Failure> {
        Source::find(&self.network)?.load(&self.options())
    }
}

fn dimension(text: &str) -> Result<(String, usize), String> {
    let (name, size) = text.split_once('=').ok_or("it must be NAME=SIZE")?;
    let size: usize = size
        .parse()
        .map_err(|_| format!("`{size}` is not a size"))?;
    if name.is_empty() || size == 0 {
        return Err("a name and a size of at least 1 are needed".to_owned());
    }
    Ok((name.to_owned(), size))
}

/// The memory behind the port, by its name.
pub(crate) fn memory_model(name: &str) -> Result<MemoryModel, String> {
    match name {
        "m0" => Ok(MemoryModel::Ideal),
        "m1" => Ok(MemoryModel::M1),
        "m2" => Ok(MemoryModel::M2),
        _ => {
            Err("it must be `m0` (ideal), `m1` (latency and bandwidth) or `m2` (jitter)".to_owned())
        }
    }
}

/// How many images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// All that there are.
    All,
    /// The first ones.
    First(usize),
}

impl Count {
    fn limit(self, n: usize) -> usize {
        match self {
            Count::All => n,
            Count::First(limit) => n.min(limit),
        }
    }
}

/// Reads `all` or a number.
pub(crate) fn image_count(text: &str) -> Result<Count, String> {
    match text.parse() {
        Ok(0) => Err("at least one image is needed".to_owned()),
        Ok(n) => Ok(Count::First(n)),
        Err(_) if text == "all" => Ok(Count::All),
        Err(_) => Err("it must be a number or `all`".to_owned()),
    }
}

/// Images for a network, with their labels where those exist.
pub(crate) struct Images {
    /// For each image the inputs, in the order of the network's.
    pub(crate) images: Vec<Vec<Vec<i8>>>,
    /// The class of each image.
    pub(crate) labels: Option<Vec<usize>>,
    /// What they are, for people.
    pub(crate) origin: String,
    /// BLAKE3 of the data, where it comes from a file.
    pub(crate) hash: Option<String>,
}

/// Where images come from.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DataArgs {
    /// Images and labels, as `numpy.savez` writes them; digits brings its own
    #[arg(long = "data", alias = "input", value_name = "NPZ")]
    pub(crate) data: Option<PathBuf>,
    /// Divides integer images by this before a float input, such as 255
    #[arg(long, value_name = "NUMBER")]
    pub(crate) divide: Option<f32>,
    /// Seed of the random images of a network without data
    #[arg(long, value_name = "SEED", default_value_t = SEED)]
    pub(crate) seed: u64,
}

impl Default for DataArgs {
    fn default() -> DataArgs {
        DataArgs {
            data: None,
            divide: None,
            seed: SEED,
        }
    }
}

/// Random images that stand for `all` where there is no data.
const RANDOM_IMAGES: usize = 16;

impl Loaded {
    /// The given images, those that come with the network, or random ones.
    pub(crate) fn images(&self, data: &DataArgs, count: Count) -> Result<Images, Failure> {
        match &data.data {
            Some(path) => from_npz(
                path,
                &path.display().to_string(),
                data.divide,
                &self.network,
                count,
            ),
            None if self.hash == hash_of(DIGITS) => digits_images(&self.network, count),
            None => Ok(random(&self.network, count, data.seed)),
        }
    }
}

/// The test images of digits.
pub(crate) fn digits_images(network: &Network, count: Count) -> Result<Images, Failure> {
    let fault = |error| Failure::write(&std::env::temp_dir(), error);
    let mut file = tempfile::NamedTempFile::new().map_err(fault)?;
    file.write_all(DIGITS_DATA).map_err(fault)?;
    from_npz(
        file.path(),
        "the test images of digits",
        Some(DIGITS_DIVIDE),
        network,
        count,
    )
}

fn random(network: &Network, count: Count, seed: u64) -> Images {
    let n = count.limit(if count == Count::All {
        RANDOM_IMAGES
    } else {
        usize::MAX
    });
    let inputs: Vec<Vec<Vec<i8>>> = network
        .inputs
        .iter()
        .zip(seed..)
        .map(|(id, seed)| onnx::zoo::images(network.tensor(*id).shape(), n, seed))
        .collect();
    let images = (0..n)
        .map(|image| inputs.iter().map(|of| of[image].clone()).collect())
        .collect();
    Images {
        images,
        labels: None,
        origin: format!("random images of seed {seed}"),
        hash: None,
    }
}

fn from_npz(
    path: &Path,
    origin: &str,
    divide: Option<f32>,
    network: &Network,
    count: Count,
) -> Result<Images, Failure> {
    if divide.is_some_and(|divide| !divide.is_finite() || divide == 0.0) {
        return Err(Failure::usage(
            "`--divide` must be a finite number other than 0",
            "give the largest pixel value, such as 255",
        ));
    }
    let hash = hash_of(&bytes(path, 1 << 32)?);
    let divide = if hash == hash_of(DIGITS_DATA) {
        divide.or(Some(DIGITS_DIVIDE))
    } else {
        divide
    };
    let mut images: Vec<Vec<Vec<i8>>> = Vec::new();
    for id in &network.inputs {
        let tensor = network.tensor(*id);
        let view = tensor.host.as_ref().ok_or_else(|| {
            Failure::read(
                path,
                format!("`{}` is no input of the network", tensor.name),
            )
        })?;
        let array = input_array(path, &view.name, network.inputs.len() == 1)?;
        let per_image = tensor.n_values();
        let n = array.len() / per_image.max(1);
        if n * per_image != array.len() || n == 0 {
            let shape = &array.shape;
            return Err(Failure::read(
                path,
                format!(
                    "its array of shape {shape:?} does not hold images of {:?}",
                    view.shape
                ),
            ));
        }
        let n = count.limit(n);
        images.resize(n.max(images.len()), Vec::new());
        for (index, image) in images.iter_mut().enumerate().take(n) {
            let values = host_values(
                &array,
                index * per_image..(index + 1) * per_image,
                view.host_type,
                divide,
            );
            image.push(tensor.from_host(&values)?);
        }
    }
    if images
        .iter()
        .any(|image| image.len() != network.inputs.len())
    {
        return Err(Failure::read(
            path,
            "its inputs have different numbers of images",
        ));
    }
    let labels = match read_npz(path, "labels") {
        Ok(labels) => Some(
            labels
                .to_f32()
                .iter()
                .map(|label| *label as usize)
                .take(images.len())
                .collect::<Vec<_>>(),
        ),
        Err(DatasetError::Missing { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let labels = labels.filter(|labels| labels.len() == images.len());
    Ok(Images {
        images,
        labels,
        origin: origin.to_owned(),
        hash: Some(hash),
    })
}

/// The array of an input: by the input's name, or `images` where there is only one input.
fn input_array(path: &Path, name: &str, only: bool) -> Result<Array, Failure> {
    match read_npz(path, name) {
        Err(DatasetError::Missing { .. }) if only => Ok(read_npz(path, "images")?),
        other => Ok(other?),
    }
}

fn host_values(
    array: &Array,
    range: std::ops::Range<usize>,
    host_type: HostType,
    divide: Option<f32>,
) -> HostValues {
    let floats = |divide: f32| -> Vec<f32> {
        match &array.values {
            Values::Uint8(values) => values[range.clone()]
                .iter()
                .map(|&value| f32::from(value) / divide)
                .collect(),
            Values::Int8(values) => values[range.clone()]
                .iter()
                .map(|&value| f32::from(value) / divide)
                .collect(),
            Values::Float32(values) => values[range.clone()].to_vec(),
        }
    };
    match (host_type, &array.values) {
        (HostType::Int8, Values::Int8(values)) => HostValues::Int8(values[range].to_vec()),
        (HostType::Uint8, Values::Uint8(values)) => HostValues::Uint8(values[range].to_vec()),
        // A type that does not fit is refused by the tensor, with its name and both types.
        _ => HostValues::Float32(floats(divide.unwrap_or(1.0))),
    }
}

/// The class of an output: its largest value, the first of several.
pub(crate) fn class(output: &[i8]) -> usize {
    (0..output.len())
        .max_by_key(|&index| (output[index], std::cmp::Reverse(index)))
        .unwrap_or(0)
}

/// How many images have the class of their label.
pub(crate) fn n_right(classes: &[usize], labels: &[usize]) -> usize {
    classes
        .iter()
        .zip(labels)
        .filter(|(class, label)| class == label)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn einsums_of_the_zoo_need_no_values() {
        for name in ["zoo:ds_cnn", "zoo:resnet8"] {
            let args = NetworkArgs {
                network: name.to_owned(),
                dims: Vec::new(),
            };
            let loaded = args.load().expect("it is in the zoo");
            let einsums = workload(&args, &mut Vec::new()).expect("it is in the zoo");
            assert_eq!(einsums, Workload::of(&loaded.network));
        }
    }
}
