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
    let n_bytes = std::fs::metadata(path).map_err(failed)?.len();
    if n_bytes > MAX_BYTES {
        return Err(ImportError::FileSize {
            path: path.to_path_buf(),
            n_bytes,
            limit: MAX_BYTES,
        });
    }
    decode(&std::fs::read(path).map_err(failed)?)
}

/// Decodes `bytes` and checks the operator set.
pub(crate) fn decode(bytes: &[u8]) -> Result<ModelProto, ImportError> {
    let model = ModelProto::decode(bytes).map_err(|error| ImportError::Decode {
        reason: error.to_string(),
    })?;
    if model.graph.is_none() {
        return Err(ImportError::Decode {
            reason: "there is no graph in it".into(),
        });
    }
    let is_default = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let opset = model
        .opset_import
        .iter()
        .find(|opset| is_default(opset.domain()));
    let version = opset.map_or(0, |opset| opset.version());
    if !(13..=21).contains(&version) {
        return Err(ImportError::Opset { version });
    }
    Ok(model)
}
