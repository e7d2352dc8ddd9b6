//! ONNX file to Network.
