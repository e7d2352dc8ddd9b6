//! Files that PyTorch's exporters wrote: `tests/exported/export.py` made them and what onnxruntime computes from them.

use std::path::Path;

use ir::network::HostValues;
use serde_json::Value;

/// The numbers of a list.
fn floats(list: &Value) -> Vec<f32> {
    let numbers = list.as_array().unwrap().iter();
    numbers.map(|n| n.as_f64().unwrap() as f32).collect()
}

#[test]
fn files_of_both_exporters_compute_what_onnxruntime_does() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exported");
    let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    let inputs = expected["inputs"].as_array().unwrap();
    for (file, outputs) in expected["outputs"].as_object().unwrap() {
        let network = onnx::import(&folder.join(file), &onnx::Options::default());
        let network = network.unwrap_or_else(|error| panic!("{file}: {error}"));
        let input = network.tensor(network.inputs[0]);
        for (steps, expected) in inputs.iter().zip(outputs.as_array().unwrap()) {
            let image = floats(steps).iter().map(|step| step / 32.0).collect();
            let values = input.from_host(&HostValues::Float32(image)).unwrap();
            let tensors = network.reference(&[values]).unwrap();
            let outputs = network.outputs.iter().map(|id| tensors[id.index()].clone());
            let results = network.results(&[outputs.collect()]).unwrap();
            let expected = floats(expected).iter().map(|step| step / 512.0).collect();
            assert_eq!(results[0].1.values, HostValues::Float32(expected), "{file}");
        }
    }
}
