//! Reading and decoding the file.

use crate::error::ImportError;
use crate::proto::ModelProto;
use prost::Message;
use std::path::Path;

/// The largest file that protobuf allows.
const MAX_BYTES: u64 = 1 << 31;

/// Reads and decodes the file at `path`.
pub(crate) fn read(path: &Path) -> Result<ModelProto, ImportError> {
    let failed = |source| ImportError::Read {
        path: path.to_path_buf(),
        source,
    };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        // Opening a FIFO or a device may wait for ever.
        let error = std::io::Error::other("it is not a regular file");
        return Err(failed(error));
    }
    let n_bytes = metadata.len();
    if n_bytes > MAX_BYTES {
        return Err(ImportError::FileSize {
            path: path.to_path_buf(),
            n_bytes,
            limit: MAX_BYTES,
        });
    }
    decode(std::fs::read(path).map_err(failed)?)
}

/// The versions of ONNX's own operators that import knows.
pub(crate) const OPSETS: std::ops::RangeInclusive<i64> = 7..=28;

/// What other files begin with, at which byte, and what they are.
const OTHERS: &[(usize, &[u8], &str)] = &[
    (4, b"TFL3", "a TensorFlow Lite model"),
    (0, b"\x89HDF", "an HDF5 file, as Keras writes it"),
    (
        0,
        b"PK\x03\x04",
        "a ZIP archive, as PyTorch and Keras write it",
    ),
    (0, b"GGUF", "a GGUF file"),
];

/// Decodes `bytes` and checks the operator set.
pub(crate) fn decode(bytes: Vec<u8>) -> Result<ModelProto, ImportError> {
    let begins =
        |(at, magic, _): &&(usize, &[u8], &str)| bytes.get(*at..at + magic.len()) == Some(*magic);
    if let Some((_, _, what)) = OTHERS.iter().find(begins) {
        return Err(ImportError::Format { what });
    }
    let model = ModelProto::decode(prost::bytes::Bytes::from(bytes)).map_err(|error| {
        ImportError::Decode {
            reason: error.to_string(),
        }
    })?;
    if model.graph.is_none() {
        return Err(ImportError::Decode {
            reason: "there is no graph in it".into(),
        });
    }
    let version = opset(&model);
    if !OPSETS.contains(&version) {
        return Err(ImportError::Opset { version });
    }
    Ok(model)
}

/// The version of ONNX's own operators, 0 if the file does not say.
pub(crate) fn opset(model: &ModelProto) -> i64 {
    let is_default = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let mut imports = model.opset_import.iter();
    imports
        .find(|opset| is_default(opset.domain()))
        .map_or(0, |opset| opset.version())
}
