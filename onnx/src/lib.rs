//! ONNX file to Network.
//!
//! [`import`] reads a quantised ONNX file and gives an [`ir::network::Network`]; [`check`] does the same work and lists
//! everything that stands in the way, in one go. Both spellings of quantisation are understood: float operators between
//! `DequantizeLinear` and `QuantizeLinear`, and the integer operators `QLinear*` and `QGemm`.
//!
//! - `proto`, `constant`: the file format, from the schema in `proto/onnx.proto`; external data stays in its folder.
//! - `order`: address changes (reshape, transpose, flatten) as index arithmetic, so that they vanish.
//! - `dims`: the sizes that the user gives to dimensions without one.
//! - `walk`, `ops`: one pass over the nodes in topological order, one function per operator.
//! - `fold`: einsums that another can do on its way.
//! - [`zoo`]: the other direction, standard networks as QDQ ONNX with seeded weights.
//! - [`dataset`]: images, labels and logits from `.npz` files.
//! - [`oracle`]: rewrites of a file that make onnxruntime a witness of what it means.
//!
//! Deliberately not here: operators outside the closed list, which are refused by name, and float execution.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/networks/digits_int8.onnx");
//! let network = onnx::import(path.as_ref(), &onnx::Options::default())?;
//! assert_eq!(network.einsums.len(), 5);
//! # Ok(())
//! # }
//! ```

#![cfg_attr(
    not(test),
    warn(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss
    )
)]
mod constant;
mod dims;
mod error;
mod file;
mod fold;
mod node;
mod ops;
mod order;
mod proto;
#[cfg(test)]
mod tests;
mod value;
mod walk;

pub mod dataset;
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "sizes of tensors that onnxruntime has held in memory"
)]
pub mod oracle;
pub mod zoo;

pub use error::{ImportError, Problem};

use ir::network::Network;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use walk::Einsums;

/// What the user decides about an import.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The sizes of dimensions that the file leaves open, by symbol, such as `N`, or by input and axis, such as `image.2`,
    /// where there is no symbol. A first dimension without a size here is 1.
    pub dims: BTreeMap<String, usize>,
}

/// What [`check`] found in a file.
#[derive(Debug, Clone)]
pub struct Report {
    /// The name of the graph.
    pub name: String,
    /// How often each operator occurs, by name.
    pub operators: BTreeMap<String, usize>,
    /// Everything that stands in the way, in the order of the nodes; empty if the file can be imported.
    pub problems: Vec<Problem>,
    /// The files of external data, with links followed, in the order of their paths.
    pub external: Vec<PathBuf>,
    /// The network, if there are no problems.
    pub network: Option<Network>,
}

impl Report {
    /// The network.
    ///
    /// # Errors
    /// [`ImportError::Refused`] with every problem of the file.
    pub fn into_network(self) -> Result<Network, ImportError> {
        self.network.ok_or(ImportError::Refused {
            problems: self.problems,
        })
    }
}

/// Reads the ONNX file at `path` as a network.
///
/// # Errors
/// [`ImportError::Refused`] with every problem of the file, or another [`ImportError`] if it cannot be read at all.
pub fn import(path: &Path, options: &Options) -> Result<Network, ImportError> {
    check(path, options)?.into_network()
}

/// Reads the bytes of an ONNX file as a network; external data is refused, for there is no folder to find it in.
///
/// # Errors
/// As [`import`].
pub fn import_bytes(bytes: &[u8], options: &Options) -> Result<Network, ImportError> {
    let model = file::decode(bytes.to_vec())?;
    read(&model, None, options, Einsums::Folded)?.into_network()
}

/// Reads the bytes of an ONNX file, whose external data lies in `folder`, as the network that [`import`] gives, with an
/// einsum for every node: more to compute, and every tensor of the file is there.
///
/// # Errors
/// As [`import`].
pub fn import_as_written(
    bytes: &[u8],
    folder: Option<&Path>,
    options: &Options,
) -> Result<Network, ImportError> {
    let model = file::decode(bytes.to_vec())?;
    read(&model, folder, options, Einsums::AsWritten)?.into_network()
}

/// Lists everything that keeps the ONNX file at `path` from being imported.
///
/// # Errors
/// [`ImportError`] if the file cannot be read or is not ONNX.
pub fn check(path: &Path, options: &Options) -> Result<Report, ImportError> {
    read(&file::read(path)?, path.parent(), options, Einsums::Folded)
}

fn read(
    model: &proto::ModelProto,
    folder: Option<&Path>,
    options: &Options,
    einsums: Einsums,
) -> Result<Report, ImportError> {
    dims::check(model, options)?;
    walk::walk(model, folder, options, einsums)
}
