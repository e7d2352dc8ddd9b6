//! The four MLPerf Tiny reference networks, against onnxruntime's outputs for 16 random inputs each.
#![expect(clippy::print_stderr, reason = "a skipped test says why")]

use ir::network::{HostValues, Network};
use onnx::dataset::{Values, read_npz};
use std::path::{Path, PathBuf};

/// The folder with the models, or `None` with the reason printed.
fn models() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/models");
    let models = std::env::var_os("TILEWRIGHT_MODELS").map_or(beside, PathBuf::from);
    let folder = models.join("mlperf-tiny");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "skipped: `{}` is absent; set TILEWRIGHT_MODELS to the folder that holds `mlperf-tiny`",
        folder.display()
    );
    None
}

/// Runs the 16 inputs of `model` and gives our outputs and onnxruntime's.
#[track_caller]
fn run(folder: &Path, model: &str) -> (Network, Vec<Vec<i8>>, Vec<Vec<i8>>) {
    let network = onnx::import(
        &folder.join(format!("{model}_qdq.onnx")),
        &onnx::Options::default(),
    )
    .unwrap();
    let npz = folder.join("golden_ort.npz");
    let int8 = |name: &str| match read_npz(&npz, &format!("{model}_{name}")).unwrap().values {
        Values::Int8(values) => values,
        _ => panic!("`{model}_{name}` is not int8"),
    };
    let (inputs, outputs) = (int8("in"), int8("out"));
    let tensor = network.tensor(network.inputs[0]);
    let given = inputs.chunks(inputs.len() / 16).map(|image| {
        let values = tensor.from_host(&HostValues::Int8(image.to_vec())).unwrap();
        let tensors = network.reference(&[values]).unwrap();
        let outputs = network.outputs.iter().map(|id| tensors[id.index()].clone());
        let results = network.results(&[outputs.collect()]).unwrap();
        match results[0].1.values.clone() {
            HostValues::Int8(values) => values,
            other => panic!("{model} has int8 outputs, not {:?}", other.host_type()),
        }
    });
    let given = given.collect();
    let expected = outputs
        .chunks(outputs.len() / 16)
        .map(<[i8]>::to_vec)
        .collect();
    (network, given, expected)
}

/// Checks a classifier, whose softmax the host computes: the class is onnxruntime's on all inputs, and no output differs
/// in more than `max_steps`.
#[track_caller]
fn check_classifier(model: &str, n_macs: u64, max_steps: u8) {
    let Some(folder) = models() else { return };
    let (network, given, expected) = run(&folder, model);
    assert_eq!(network.total_macs(), n_macs);
    let host: Vec<&str> = network
        .left_to_host()
        .map(|step| step.operator.name())
        .collect();
    assert_eq!(host, ["softmax"]);
    let class = |values: &Vec<i8>| values.iter().position(|v| Some(v) == values.iter().max());
    for (given, expected) in given.iter().zip(&expected) {
        assert_eq!(class(given), class(expected));
        for (value, expected) in given.iter().zip(expected) {
            let distance = value.abs_diff(*expected);
            assert!(
                distance <= max_steps,
                "{model}: {value}, onnxruntime says {expected}"
            );
        }
    }
}

#[test]
fn anomaly_detection_equals_onnxruntime() {
    let Some(folder) = models() else { return };
    let (network, given, expected) = run(&folder, "ad01_int8");
    assert_eq!(network.einsums.len(), 10);
    assert_eq!(given, expected);
}

#[test]
fn keyword_spotting_equals_onnxruntime() {
    check_classifier("kws_ref_model", 2_656_768, 0);
}

/// onnxruntime fuses only one addition and three convolutions of this file, the others run in float: near a tie a value
/// comes out one step apart, and one step of a logit is up to 21 steps behind the softmax.
#[test]
fn image_classification_has_the_classes_of_onnxruntime() {
    check_classifier("pretrainedResnet_quant", 12_501_632, 21);
}

#[test]
fn visual_wake_words_equals_onnxruntime() {
    check_classifier("vww_96_int8", 7_489_664, 0);
}
