//! The four MLPerf Tiny reference networks, against onnxruntime's outputs for 16 random inputs each.
#![expect(clippy::print_stderr, reason = "a skipped test says why")]
#![expect(
    clippy::disallowed_methods,
    reason = "the last bit of `exp` is below a step of the softmax"
)]

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

/// Runs the 16 inputs of `model` and gives the int8 outputs before and onnxruntime's after the host's steps.
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
        network.reference(&[values]).unwrap()[network.outputs[0].index()].clone()
    });
    let given = given.collect();
    let expected = outputs
        .chunks(outputs.len() / 16)
        .map(<[i8]>::to_vec)
        .collect();
    (network, given, expected)
}

/// Checks a classifier, whose softmax is the host's: the class is onnxruntime's on all inputs, and the float softmax of
/// our logits differs from its outputs in at most `max_steps`.
#[track_caller]
fn check_classifier(model: &str, n_macs: u64, max_steps: f32) {
    let Some(folder) = models() else { return };
    let (network, given, expected) = run(&folder, model);
    assert_eq!(network.total_macs(), n_macs);
    assert_eq!(network.host_tail[0].operator, "Softmax");
    let scale = network.tensor(network.outputs[0]).scale;
    for (logits, expected) in given.iter().zip(&expected) {
        let top = *logits.iter().max().unwrap();
        let exponent = |&v: &i8| ((f32::from(v) - f32::from(top)) * scale).exp();
        let exponents: Vec<f32> = logits.iter().map(exponent).collect();
        let sum: f32 = exponents.iter().sum();
        let class = expected
            .iter()
            .position(|v| Some(v) == expected.iter().max());
        assert_eq!(logits.iter().position(|&v| v == top), class);
        for (exponent, &expected) in exponents.iter().zip(expected) {
            let step = ((exponent / sum * 256.0).round_ties_even() - 128.0).min(127.0);
            let distance = (step - f32::from(expected)).abs();
            assert!(
                distance <= max_steps,
                "{model}: {step}, onnxruntime says {expected}"
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
    check_classifier("kws_ref_model", 2_656_768, 0.0);
}

/// onnxruntime fuses only one addition and three convolutions of this file, the others run in float: near a tie a value
/// comes out one step apart, and one step of a logit is up to 21 steps behind the softmax.
#[test]
fn image_classification_has_the_classes_of_onnxruntime() {
    check_classifier("pretrainedResnet_quant", 12_501_632, 21.0);
}

#[test]
fn visual_wake_words_equals_onnxruntime() {
    check_classifier("vww_96_int8", 7_489_664, 0.0);
}
