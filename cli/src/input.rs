//! Networks, archs and images, by name or by path.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::{Path, PathBuf};

use foreign::Foreign;
use host_runtime::Artifact;
use indexmap::IndexMap;
use ir::arch::{Arch, Attachment, Counters, Host};
use ir::memory::MemoryModel;
use ir::network::{HostType, HostValues, Network, TensorId};
use ir::tree::Tree;
use ir::workload::Workload;
use onnx::dataset::Npz;
use serde::Serialize;

use crate::console::{Console, count as counted};
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
/// The largest file that protobuf allows.
const NETWORK_BYTES: u64 = 1 << 31;
/// The array of images of the only input, which need not be called as the input is.
const ONLY_INPUT: &str = "images";
/// The array of labels in a file of images.
const LABELS: &str = "labels";
/// The largest file of images, and as much that is drawn at random.
const DATA_BYTES: u64 = 1 << 32;

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
    /// Says on standard error what of `ignored` has no effect; what is true of a key in many places is said once.
    pub(crate) fn note(ignored: &[Ignored], console: &Console) {
        let mut groups: IndexMap<(&str, &str, &str), Vec<&Ignored>> = IndexMap::new();
        for entry in ignored {
            let group = (entry.file.as_str(), entry.leaf(), entry.reason.as_str());
            groups.entry(group).or_default().push(entry);
        }
        for ((file, _, reason), entries) in groups {
            let (line, key) = (entries[0].line, &entries[0].key);
            let mut others: Vec<String> = entries[1..].iter().map(|e| e.line.to_string()).collect();
            others.dedup();
            let others = match others.as_slice() {
                [] => String::new(),
                [other] => format!(" (also in line {other})"),
                others => format!(" (also in lines {})", others.join(", ")),
            };
            console.note(&format!(
                "warning: {file}, line {line}, `{key}`: {reason}{others}"
            ));
        }
    }

    /// The last name of the key.
    fn leaf(&self) -> &str {
        let name = self.key.rsplit('.').next().unwrap_or(&self.key);
        name.split('[').next().unwrap_or(name)
    }
}

/// Reads a file of another tool, and adds what has no effect to `ignored`, once for a file that is both arch and network.
fn foreign(name: &str, text: &str, ignored: &mut Vec<Ignored>) -> Result<Foreign, Failure> {
    let foreign = foreign::read(name, text)?;
    if ignored.iter().any(|entry| entry.file == name) {
        return Ok(foreign);
    }
    ignored.extend(foreign.ignored.iter().map(|finding| Ignored {
        file: name.to_owned(),
        line: finding.line,
        key: finding.key.clone(),
        reason: finding.message.clone(),
    }));
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
    let is_toml = path.extension().is_some_and(|e| e == "toml");
    if (is_toml || is_yaml(path)) && !args.dims.is_empty() {
        return Err(Failure::usage(
            format!("`--dim` is for networks, `{}` is a workload", args.network),
            "leave it out: a workload states its sizes",
        ));
    }
    if is_toml {
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
    if let Some(name) = args.network.strip_prefix(ZOO)
        && args.dims.is_empty()
    {
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

/// Reads a file of at most `limit` bytes.
fn bytes(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    // What a file says of its size may be old.
    open(path, limit)?
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::read(path, error))?;
    within(path, bytes.len() as u64, limit)?;
    Ok(bytes)
}

/// Opens a regular file of at most `limit` bytes; every file that the user names for reading comes through here.
///
/// It is looked at before it is opened, for opening a FIFO or a device may wait for ever.
fn open(path: &Path, limit: u64) -> Result<File, Failure> {
    let metadata = std::fs::metadata(path).map_err(|error| Failure::read(path, error))?;
    if !metadata.is_file() {
        return Err(Failure::read(path, "it is not a regular file"));
    }
    within(path, metadata.len(), limit)?;
    File::open(path).map_err(|error| Failure::read(path, error))
}

fn within(path: &Path, bytes: u64, limit: u64) -> Result<(), Failure> {
    if bytes > limit {
        return Err(Failure::new(
            Code::Input,
            CliError::Size {
                path: path.to_owned(),
                limit,
            },
        ));
    }
    Ok(())
}

/// Reads an artifact.
pub(crate) fn artifact(path: &Path) -> Result<Artifact, Failure> {
    open(path, host_runtime::artifact::SIZE_LIMIT)?;
    Ok(Artifact::read(path)?)
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

/// An ONNX file as it is.
pub(crate) struct OnnxFile {
    pub(crate) bytes: Vec<u8>,
    pub(crate) folder: Option<PathBuf>,
}

/// A network with its provenance.
pub(crate) struct Loaded {
    pub(crate) network: Network,
    /// BLAKE3 of the file and its external data, in hexadecimal.
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
            let path = PathBuf::from(name);
            open(&path, NETWORK_BYTES)?;
            Contents::File(path)
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
                    external: Vec::new(),
                    network: Some(network),
                })
            }
        }
    }

    /// The bytes of the file, and the folder of its external data.
    pub(crate) fn file(&self) -> Result<OnnxFile, Failure> {
        match &self.contents {
            Contents::Bytes(bytes) => Ok(OnnxFile {
                bytes: bytes.clone(),
                folder: None,
            }),
            Contents::File(path) => {
                let absolute =
                    std::path::absolute(path).map_err(|error| Failure::read(path, error))?;
                Ok(OnnxFile {
                    bytes: bytes(path, NETWORK_BYTES)?,
                    folder: absolute.parent().map(Path::to_owned),
                })
            }
        }
    }

    /// BLAKE3 of the file and of its files of `external` data, one behind the other, in hexadecimal.
    pub(crate) fn hash(&self, external: &[PathBuf]) -> Result<String, Failure> {
        let mut hasher = blake3::Hasher::new();
        let mut add = |path: &Path, limit| -> Result<(), Failure> {
            let read = hasher.update_reader(open(path, limit)?);
            read.map(|_| ()).map_err(|error| Failure::read(path, error))
        };
        match &self.contents {
            Contents::Bytes(bytes) => drop(hasher.update(bytes)),
            Contents::File(path) => {
                add(path, NETWORK_BYTES)?;
                external.iter().try_for_each(|path| add(path, u64::MAX))?;
            }
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// Reads the network.
    pub(crate) fn load(&self, options: &onnx::Options) -> Result<Loaded, Failure> {
        let report = self.check(options)?;
        let hash = self.hash(&report.external)?;
        let network = report.into_network()?;
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
    /// The size of a dimension that the file leaves open, by symbol, such as `N=1`, or by input and axis, such as
    /// `image.2=224`
    #[arg(long = "dim", value_name = "NAME=SIZE", value_parser = dimension)]
    pub(crate) dims: Vec<(String, usize)>,
}

impl NetworkArgs {
    pub(crate) fn options(&self) -> Result<onnx::Options, Failure> {
        let mut dims = BTreeMap::new();
        for (name, size) in &self.dims {
            if let Some(other) = dims.insert(name.clone(), *size) {
                return Err(Failure::usage(
                    format!("`--dim` gives `{name}` twice, as {other} and as {size}"),
                    "give each dimension once",
                ));
            }
        }
        Ok(onnx::Options { dims })
    }

    pub(crate) fn load(&self) -> Result<Loaded, Failure> {
        Source::find(&self.network)?.load(&self.options()?)
    }

    /// The network, and the file that it comes from.
    pub(crate) fn load_with_file(&self) -> Result<(Loaded, OnnxFile), Failure> {
        let source = Source::find(&self.network)?;
        Ok((source.load(&self.options()?)?, source.file()?))
    }
}

/// Reads `NAME=SIZE`.
pub(crate) fn dimension(text: &str) -> Result<(String, usize), String> {
    let (name, size) = text.rsplit_once('=').ok_or("it must be NAME=SIZE")?;
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
    /// At most so many of data, and one where there is none.
    UpTo(usize),
}

impl Count {
    /// As many images for each of `batch` that a file takes at once.
    fn times(self, batch: usize) -> Count {
        match self {
            Count::All => Count::All,
            Count::First(n) => Count::First(n.saturating_mul(batch)),
            Count::UpTo(n) => Count::UpTo(n.next_multiple_of(batch)),
        }
    }

    fn limit(self, n: usize) -> usize {
        match self {
            Count::All => n,
            Count::First(limit) | Count::UpTo(limit) => n.min(limit),
        }
    }
}

/// Reads `all` or a number.
pub(crate) fn image_count(text: &str) -> Result<Count, String> {
    match text.parse() {
        Ok(0) => Err("at least one image is needed".to_owned()),
        Ok(n) => Ok(Count::First(n)),
        Err(_) if text == "all" => Ok(Count::All),
        Err(_) => Err(format!("it must be a number up to {} or `all`", usize::MAX)),
    }
}

/// Images for a network, with their labels where those exist.
pub(crate) struct Images {
    /// For each image the inputs, in the order of the network's.
    pub(crate) images: Vec<Vec<Vec<i8>>>,
    /// The same as the host has them, before they are quantised.
    pub(crate) host: Vec<Vec<HostValues>>,
    /// The class of each image.
    pub(crate) labels: Option<Vec<usize>>,
    /// How many more there are, which do not fill a batch.
    pub(crate) left_out: usize,
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
    #[arg(long, value_name = "NUMBER", requires = "data")]
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
    /// The given images, those that come with the network, or random ones; `count` is of what the file takes at once.
    pub(crate) fn images(
        &self,
        data: &DataArgs,
        count: Count,
        console: &Console,
    ) -> Result<Images, Failure> {
        let count = count.times(self.network.batch);
        let found = match &data.data {
            Some(path) => from_file(path, data.divide, &self.network, count)?,
            None if self.hash == hash_of(DIGITS) => digits_images(&self.network, count)?,
            None => random(&self.network, count, data.seed)?,
        };
        if found.left_out > 0 {
            console.note(&format!(
                "note: the last {} of {} {} no batch of {} and {} left out",
                counted(found.left_out as u64, "image"),
                found.origin,
                if found.left_out == 1 { "fills" } else { "fill" },
                self.network.batch,
                if found.left_out == 1 { "is" } else { "are" },
            ));
        }
        if let Count::First(asked) = count
            && found.images.len() < asked
        {
            console.note(&format!(
                "note: there {} {}, fewer than {asked}: {}",
                if found.images.len() == 1 { "is" } else { "are" },
                counted(found.images.len() as u64, "image"),
                found.origin
            ));
        }
        Ok(found)
    }
}

/// The test images of digits.
pub(crate) fn digits_images(network: &Network, count: Count) -> Result<Images, Failure> {
    let origin = "the test images of digits";
    let npz = Npz::new(Cursor::new(DIGITS_DATA), Path::new(origin))?;
    let images = from_npz(npz, origin, Some(DIGITS_DIVIDE), network, count)?;
    Ok(Images {
        hash: Some(hash_of(DIGITS_DATA)),
        ..images
    })
}

fn from_file(
    path: &Path,
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
    let mut hasher = blake3::Hasher::new();
    hasher
        .update_reader(open(path, DATA_BYTES)?)
        .map_err(|error| Failure::read(path, error))?;
    let hash = hasher.finalize().to_hex().to_string();
    let divide = divide.or((hash == hash_of(DIGITS_DATA)).then_some(DIGITS_DIVIDE));
    let npz = Npz::new(BufReader::new(open(path, DATA_BYTES)?), path)?;
    let origin = path.display().to_string();
    let images = from_npz(npz, &origin, divide, network, count)?;
    Ok(Images {
        hash: Some(hash),
        ..images
    })
}

fn random(network: &Network, count: Count, seed: u64) -> Result<Images, Failure> {
    let n = match count {
        Count::All => RANDOM_IMAGES.next_multiple_of(network.batch),
        Count::First(n) => n,
        Count::UpTo(_) => network.batch,
    };
    let values: usize = network
        .inputs
        .iter()
        .map(|id| network.tensor(*id).n_values())
        .sum();
    // What the machine gets, and what the host has before it is quantised.
    let image_bytes = values as u64 * 5;
    let most = (DATA_BYTES / image_bytes.max(1)).max(1) as usize;
    if n > most {
        return Err(Failure::usage(
            format!("{n} random images of {image_bytes} B are more than {DATA_BYTES} B"),
            format!("ask for at most {} with `--images`", most / network.batch),
        ));
    }
    let mut drawn: Vec<_> = network
        .inputs
        .iter()
        .zip(seed..)
        .map(|(id, seed)| onnx::zoo::images(network.tensor(*id).shape(), n, seed).into_iter())
        .collect();
    let name = |id: &TensorId| network.tensor(*id).host.as_ref().map(|view| &view.name);
    let (mut images, mut host) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let mut values: Vec<HostValues> = Vec::new();
        for (idx, (id, drawn)) in network.inputs.iter().zip(&mut drawn).enumerate() {
            let drawn = drawn
                .next()
                .expect("as many images are drawn for each input");
            // An input that is quantised in two ways is one for the host.
            let first = network.inputs[..idx]
                .iter()
                .position(|other| name(other) == name(id));
            values.push(match first {
                Some(first) => values[first].clone(),
                None => network
                    .tensor(*id)
                    .to_host(&drawn)
                    .expect("inputs have a host view"),
            });
        }
        let inputs = network.inputs.iter().zip(&values);
        let int8 = inputs.map(|(id, values)| network.tensor(*id).from_host(values));
        images.push(int8.map(|int8| int8.expect("the values fit")).collect());
        host.push(values);
    }
    Ok(Images {
        host,
        images,
        labels: None,
        left_out: 0,
        origin: format!("random images of seed {seed}"),
        hash: None,
    })
}

fn from_npz<R: Read + Seek>(
    mut npz: Npz<R>,
    origin: &str,
    divide: Option<f32>,
    network: &Network,
    count: Count,
) -> Result<Images, Failure> {
    let fault = |reason: String| Failure::read(Path::new(origin), reason);
    let mut images: Vec<Vec<Vec<i8>>> = Vec::new();
    let mut n_images = None;
    let (mut left_out, mut divided) = (0, false);
    let mut host: Vec<Vec<HostValues>> = Vec::new();
    for id in &network.inputs {
        let tensor = network.tensor(*id);
        let view = tensor.host.as_ref();
        let view = view.ok_or_else(|| fault(format!("`{}` is no input", tensor.name)))?;
        // Whoever has one input need not know its name.
        let by_name = network.inputs.len() > 1 || npz.has(&view.name) || !npz.has(ONLY_INPUT);
        let array = npz.array(if by_name { &view.name } else { ONLY_INPUT })?;
        let divides = array.is_integer() && view.host_type == HostType::Float32;
        divided |= divides;
        let divisor = divide.filter(|_| divides).unwrap_or(1.0);
        let n = array.n_images(&view.shape, network.batch)?;
        if *n_images.get_or_insert(n) != n {
            return Err(fault(
                "its inputs have different numbers of images".to_owned(),
            ));
        }
        let per_image = tensor.n_values();
        let wanted = count.limit(n);
        left_out = wanted % network.batch;
        if wanted == left_out {
            return Err(Failure::usage(
                format!(
                    "array `{}` has {}, and the network takes {} at once",
                    array.name,
                    counted(n as u64, "image"),
                    network.batch
                ),
                "give as many images as a batch has, or a multiple",
            ));
        }
        images.resize(wanted - left_out, Vec::new());
        host.resize(images.len(), Vec::new());
        for (idx, image) in images.iter_mut().enumerate() {
            let range = idx * per_image..(idx + 1) * per_image;
            let values = array.host_values(range, view.host_type, divisor)?;
            image.push(tensor.from_host(&values)?);
            host[idx].push(values);
        }
    }
    if let Some(divide) = divide.filter(|_| !divided) {
        return Err(Failure::usage(
            format!("`--divide {divide}` has no effect: no array of integers is for a float input"),
            "leave it out: it divides integer images for a float input",
        ));
    }
    let is_input = |id: &TensorId| {
        let view = network.tensor(*id).host.as_ref();
        view.is_some_and(|view| view.name == LABELS)
    };
    let labels = if npz.has(LABELS) && !network.inputs.iter().any(is_input) {
        let n_classes = network.n_classes()?.ok_or_else(|| {
            let output = network.results.first().map_or("", |output| &output.name);
            Failure::usage(
                format!(
                    "`{origin}` gives each image one class in `{LABELS}`, and output `{output}` says more of an image \
                     than one class"
                ),
                "leave the array out: accuracy is that of classes",
            )
        })?;
        let mut labels = npz
            .array(LABELS)?
            .labels(n_images.unwrap_or(0), n_classes)?;
        labels.truncate(images.len());
        Some(labels)
    } else {
        None
    };
    Ok(Images {
        images,
        host,
        labels,
        left_out,
        origin: origin.to_owned(),
        hash: None,
    })
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
