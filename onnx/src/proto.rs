//! The ONNX messages, generated from `proto/onnx.proto` (Apache-2.0, the ONNX project).
#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]

include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
