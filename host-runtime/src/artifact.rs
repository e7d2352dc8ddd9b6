//! The Artifact: what `compile` writes and every device loads.
//!
//! The file is a magic line, a version, the BLAKE3 hash of the rest, and the rest as CBOR. A file may come from
//! anywhere, so reading checks everything that a device would otherwise have to trust: shapes, places in memory,
//! instructions, and that the program ends.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;

use ir::arch::Arch;
use ir::isa::Instruction;
use ir::network::{Network, TensorId};
use ir::program::{Checked, Program, TensorImage, instruction_words};
use serde::{Deserialize, Serialize};

use crate::Error;

const MAGIC: &[u8] = b"tilewright artifact\n";

/// The version of the file form.
pub const VERSION: u32 = 1;

/// Files above this size are refused.
pub const SIZE_LIMIT: u64 = 1 << 30;

/// Values of one tensor above which a network is refused: far above what the largest memory holds.
const VALUE_LIMIT: usize = 1 << 28;

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
        self.check_layout()?;
        Ok(self.program.check(&self.arch)?)
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
        [MAGIC, &VERSION.to_le_bytes(), hash.as_bytes(), &payload].concat()
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

    /// Writes the file at `path` in one step: a reader sees the old file or the new one.
    ///
    /// # Errors
    /// [`Error::Artifact`].
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let fault = |error: std::io::Error| Error::Artifact {
            action: "write",
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let directory = path
            .parent()
            .filter(|d| !d.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(directory).map_err(fault)?;
        file.write_all(&self.to_bytes()).map_err(fault)?;
        file.persist(path).map_err(|error| fault(error.error))?;
        Ok(())
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Error::Artifact`] with the reason.
    pub fn read(path: &Path) -> Result<Artifact, Error> {
        let fault = |reason: String| Error::Artifact {
            action: "read",
            path: path.to_owned(),
            reason,
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
            fault(match error {
                Error::Unsound { reason } => reason,
                other => other.to_string(),
            })
        })
    }

    /// Keeps later arithmetic on shapes from overflowing.
    fn check_sizes(&self) -> Result<(), Error> {
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
        }
        Ok(())
    }

    fn check_layout(&self) -> Result<(), Error> {
        let Artifact {
            network,
            arch,
            program,
        } = self;
        let word_bytes = arch.word_bytes() as usize;
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
