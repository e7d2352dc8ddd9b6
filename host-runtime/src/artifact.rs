//! The Artifact: what `compile` writes and every device loads.
//!
//! The file is a magic line, a version, the BLAKE3 hash of the rest, and the rest as CBOR. A file may come from
//! anywhere, so reading checks everything that a device would otherwise have to trust: shapes, places in memory,
//! instructions, and that the program ends.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use ir::arch::Arch;
use ir::isa::Instruction;
use ir::network::{HostOperator, Network, TensorId};
use ir::op::Kind;
use ir::program::{Checked, Program, TensorImage, instruction_words};
use ir::text;
use serde::{Deserialize, Serialize};

use crate::Error;

const MAGIC: &[u8; 20] = b"tilewright artifact\n";

/// The version of the file form.
pub const VERSION: u32 = 3;

/// Whether the file at `path` begins as an artifact does.
pub fn is_artifact(path: &Path) -> bool {
    // Opening a FIFO or a device may wait for ever.
    if !fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        return false;
    }
    let mut begin = [0; MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut begin));
    read.is_ok() && begin == *MAGIC
}

/// Files above this size are refused.
pub const SIZE_LIMIT: u64 = 1 << 30;

/// Values of one tensor above which a network is refused: far above what the largest memory holds.
const VALUE_LIMIT: usize = 1 << 28;

/// Values of all tensors together: what the reference keeps.
const TOTAL_LIMIT: usize = 1 << 30;

/// Steps of the reference for one image: ten times what the largest networks for classification need.
const STEP_LIMIT: u64 = 1 << 38;

/// A compiled network with everything that a device needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    /// What it computes.
    pub network: Network,
    /// What it runs on.
    pub arch: Arch,
    /// How.
    pub program: Program,
}

impl Artifact {
    /// Checks that network, arch and program are sound and fit each other.
    ///
    /// # Errors
    /// [`Error::Network`], [`Error::Program`], or [`Error::Unsound`] with the reason.
    pub fn check(&self) -> Result<Checked<'_>, Error> {
        if let Some(problem) = self.arch.problems().first() {
            return unsound(format!("arch: {problem}"));
        }
        self.check_sizes()?;
        self.network.validate()?;
        self.check_network()?;
        self.check_layout()?;
        Ok(self.program.check(&self.arch)?)
    }

    /// The steps of the reference and the host for one image: window taps of all outputs.
    ///
    /// The shapes of the network must have been checked.
    pub fn reference_steps(&self) -> u64 {
        let steps = self.network.einsums.iter().map(|einsum| {
            let taps = match &einsum.kind {
                Kind::Conv(op) => op.group_channels.saturating_mul(op.window.n_taps()),
                Kind::ConvAdd(op) => op
                    .conv
                    .group_channels
                    .saturating_mul(op.conv.window.n_taps()),
                Kind::MaxPool(op) => op.window.n_taps(),
                Kind::AveragePool(op) => op.window.n_taps(),
                _ => 1,
            };
            let output = self.network.tensor(einsum.output);
            (output.n_values() as u64).saturating_mul(taps as u64)
        });
        let host_steps = self.network.host_steps.iter().map(|step| {
            let HostOperator::Conv(op) = &step.operator else {
                return 0;
            };
            let taps = op
                .conv
                .group_channels
                .saturating_mul(op.conv.window.n_taps());
            let sizes = op.output.into_iter().fold(taps, usize::saturating_mul);
            sizes as u64
        });
        steps.chain(host_steps).fold(0, u64::saturating_add)
    }

    /// The place of `tensor` in memory at the end of a run, if it has one.
    pub fn image_of(&self, tensor: TensorId) -> Option<&TensorImage> {
        let program = &self.program;
        let all = program
            .inputs
            .iter()
            .chain(&program.outputs)
            .chain(&program.intermediates);
        all.into_iter().find(|image| image.tensor == tensor.0)
    }

    /// The file form; [`Artifact::from_bytes`] gives the same Artifact back.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        ciborium::into_writer(self, &mut payload)
            .expect("an artifact is plain data, and memory does not fail");
        let hash = blake3::hash(&payload);
        [
            &MAGIC[..],
            &VERSION.to_le_bytes(),
            hash.as_bytes(),
            &payload,
        ]
        .concat()
    }

    /// Reads the file form and checks it.
    ///
    /// # Errors
    /// [`Error::Unsound`] for anything that [`Artifact::to_bytes`] did not write, otherwise as [`Artifact::check`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Artifact, Error> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            return unsound("this is no artifact".to_owned());
        };
        let Some((version, rest)) = rest.split_first_chunk::<4>() else {
            return unsound("it ends in the header".to_owned());
        };
        let version = u32::from_le_bytes(*version);
        if version != VERSION {
            return unsound(format!(
                "it has version {version}, this is version {VERSION}: compile the network again"
            ));
        }
        let Some((hash, payload)) = rest.split_first_chunk::<32>() else {
            return unsound("it ends in the header".to_owned());
        };
        if blake3::hash(payload).as_bytes() != hash {
            return unsound("its contents are damaged".to_owned());
        }
        let mut reader = payload;
        let artifact: Artifact = match ciborium::from_reader(&mut reader) {
            Ok(artifact) => artifact,
            Err(error) => return unsound(format!("it does not hold an artifact: {error}")),
        };
        if !reader.is_empty() {
            return unsound(format!("{} B follow its end", reader.len()));
        }
        artifact.check()?;
        Ok(artifact)
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Error::Artifact`] with the reason.
    pub fn read(path: &Path) -> Result<Artifact, Error> {
        let refused = |reason: String, help: Option<String>| Error::Artifact {
            path: path.to_owned(),
            reason,
            help,
        };
        let fault = |reason: String| {
            let help = "an artifact is a file that `tilewright compile` writes";
            refused(reason, Some(help.to_owned()))
        };
        // A FIFO or a device would have the reader wait for ever when it is opened.
        let metadata = fs::metadata(path).map_err(|error| fault(error.to_string()))?;
        if !metadata.is_file() {
            return Err(fault("it is not a regular file".to_owned()));
        }
        let file = File::open(path).map_err(|error| fault(error.to_string()))?;
        let mut bytes = Vec::new();
        file.take(SIZE_LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| fault(error.to_string()))?;
        if bytes.len() as u64 > SIZE_LIMIT {
            return Err(fault(format!("it is larger than {SIZE_LIMIT} B")));
        }
        Artifact::from_bytes(&bytes).map_err(|error| {
            let help = miette::Diagnostic::help(&error).map(|help| help.to_string());
            refused(error.to_string(), help)
        })
    }

    /// Keeps later arithmetic on shapes from overflowing.
    fn check_sizes(&self) -> Result<(), Error> {
        let mut total = 0_usize;
        for tensor in &self.network.tensors {
            let values = tensor
                .shape()
                .iter()
                .try_fold(1usize, |product, &n| product.checked_mul(n));
            if tensor.shape().contains(&0) || values.is_none_or(|n| n > VALUE_LIMIT) {
                return unsound(format!(
                    "tensor `{}` has the shape {:?}",
                    tensor.name,
                    tensor.shape()
                ));
            }
            total = total.saturating_add(tensor.n_values());
        }
        if total > TOTAL_LIMIT {
            return unsound(format!(
                "its tensors have {total} values, {TOTAL_LIMIT} at most"
            ));
        }
        Ok(())
    }

    /// What a network of the importer always has, and a device or the host relies on.
    fn check_network(&self) -> Result<(), Error> {
        let network = &self.network;
        if network.batch == 0 {
            return unsound("the network takes 0 images at once, at least 1 is needed".to_owned());
        }
        for (what, ids) in [("input", &network.inputs), ("output", &network.outputs)] {
            if ids.is_empty() {
                return unsound(format!("the network has no {what}, at least 1 is needed"));
            }
        }
        let tensors = network
            .tensors
            .iter()
            .map(|tensor| ("tensor", &tensor.name));
        let einsums = network
            .einsums
            .iter()
            .map(|einsum| ("einsum", &einsum.name));
        let mut names = BTreeSet::new();
        if let Some((what, name)) = tensors.chain(einsums).find(|name| !names.insert(*name)) {
            return unsound(format!("{what} `{}` is there twice", text::cell(name)));
        }
        for tensor in &network.tensors {
            let name = text::cell(&tensor.name);
            if !tensor.scale.is_finite() || tensor.scale <= 0.0 {
                return unsound(format!(
                    "the scale of tensor `{name}` is {:e}: it must be finite and above 0",
                    tensor.scale
                ));
            }
            if let Some(view) = tensor.host.as_ref().filter(|v| !v.fits(tensor.shape())) {
                return unsound(format!(
                    "the host's shape {:?} and strides {:?} of tensor `{name}` do not fit its shape {:?}",
                    view.shape,
                    view.strides,
                    tensor.shape()
                ));
            }
        }
        let steps = self.reference_steps();
        if steps > STEP_LIMIT {
            return unsound(format!(
                "the network takes {steps} steps, {STEP_LIMIT} at most"
            ));
        }
        network.result_types()?;
        Ok(())
    }

    fn check_layout(&self) -> Result<(), Error> {
        let Artifact {
            network,
            arch,
            program,
        } = self;
        let word_bytes = arch.word_bytes() as usize;
        if program.instructions.is_empty() {
            return unsound("the program has no instruction, at least 1 is needed".to_owned());
        }
        if program.semaphores.len() > arch.semaphores.count as usize {
            return unsound(format!(
                "the program has {} semaphores, the arch {}",
                program.semaphores.len(),
                arch.semaphores.count
            ));
        }
        let constants_end = program.constants_word as usize + program.constants.len() / word_bytes;
        if instruction_words(arch, program.instructions.len().min(1 << 26)) > program.constants_word
        {
            return unsound("the constants start inside the instructions".to_owned());
        }
        if program.constants.len() % word_bytes != 0
            || constants_end > program.memory_words as usize
        {
            return unsound("the constants do not fit the program's memory".to_owned());
        }
        if program.layer_of.len() != program.instructions.len() {
            return unsound("not every instruction has a layer".to_owned());
        }
        if program
            .layer_of
            .iter()
            .any(|&layer| usize::from(layer) >= program.layers.len())
        {
            return unsound("an instruction names a layer that is not there".to_owned());
        }
        if let Some(wrong) = program
            .instructions
            .iter()
            .position(|i| Instruction::decode(i.encode()) != Ok(*i))
        {
            return unsound(format!("instruction {wrong} cannot be encoded"));
        }
        for image in program
            .inputs
            .iter()
            .chain(&program.outputs)
            .chain(&program.intermediates)
        {
            self.check_image(image)?;
        }
        let has_place = |ids: &[TensorId], images: &[TensorImage]| {
            ids.iter()
                .all(|id| images.iter().any(|image| image.tensor == id.0))
        };
        if !has_place(&network.inputs, &program.inputs)
            || !has_place(&network.outputs, &program.outputs)
        {
            return unsound("an input or output of the network has no place in memory".to_owned());
        }
        Ok(())
    }

    fn check_image(&self, image: &TensorImage) -> Result<(), Error> {
        let Some(tensor) = self.network.tensors.get(image.tensor as usize) else {
            return unsound(format!("there is no tensor {}", image.tensor));
        };
        if [image.channels, image.height, image.width].map(|n| n as usize) != tensor.shape() {
            return unsound(format!(
                "tensor `{}` lies in memory with another shape",
                tensor.name
            ));
        }
        // The shape is that of a tensor, whose product is small.
        let end = u64::from(image.word) + u64::from(image.words(self.arch.word_bytes()));
        if end > u64::from(self.program.memory_words) {
            return unsound(format!(
                "tensor `{}` lies beyond the program's memory",
                tensor.name
            ));
        }
        Ok(())
    }
}

fn unsound<T>(reason: String) -> Result<T, Error> {
    Err(Error::Unsound { reason })
}
