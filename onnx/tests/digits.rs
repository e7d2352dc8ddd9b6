//! The digits network: every logit equals onnxruntime's.

use ir::network::HostValues;
use onnx::dataset::read_npz;
use std::path::{Path, PathBuf};

fn networks() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/networks")
}

/// The logits of all 360 test images, and how many images are right.
fn run_all() -> (Vec<f32>, usize) {
    let network = onnx::import(
        &networks().join("digits_int8.onnx"),
        &onnx::Options::default(),
    )
    .unwrap();
    let npz = networks().join("digits/digits_test.npz");
    let images = read_npz(&npz, "images").unwrap();
    let labels = read_npz(&npz, "labels").unwrap().to_f32();
    assert_eq!(images.shape, [360, 1, 8, 8]);
    let input = network.tensor(network.inputs[0]);
    let (mut all, mut n_right) = (Vec::new(), 0);
    for (image, &label) in images.to_f32().chunks(64).zip(&labels) {
        let floats = image.iter().map(|pixel| pixel / 16.0).collect();
        let values = input.from_host(&HostValues::Float32(floats)).unwrap();
        let tensors = network.reference(&[values]).unwrap();
        let outputs = network.outputs.iter().map(|id| tensors[id.index()].clone());
        let results = network.results(&[outputs.collect()]).unwrap();
        let HostValues::Float32(logits) = results[0].1.values.clone() else {
            panic!("digits has float logits")
        };
        let class = (0..10).max_by(|&a, &b| logits[a].total_cmp(&logits[b]).then(b.cmp(&a)));
        n_right += usize::from(class == Some(label as usize));
        all.extend(logits);
    }
    (all, n_right)
}

#[test]
fn all_logits_equal_onnxruntime() {
    let (logits, n_right) = run_all();
    let fused = read_npz(&networks().join("digits/digits_fused.npz"), "logits_int8").unwrap();
    let unfused = read_npz(&networks().join("digits/digits_test.npz"), "logits_int8").unwrap();
    let n_equal = |expected: Vec<f32>| logits.iter().zip(&expected).filter(|(a, b)| a == b).count();
    assert_eq!((logits.len(), n_right), (3600, 354));
    assert_eq!(n_equal(fused.to_f32()), 3600);
    // Without optimisations onnxruntime runs the same file in float, and image 343 comes out otherwise in three places.
    assert_eq!(n_equal(unfused.to_f32()), 3597);
}

#[test]
fn digits_has_the_expected_shape() {
    let network = onnx::import(
        &networks().join("digits_int8.onnx"),
        &onnx::Options::default(),
    )
    .unwrap();
    let kinds: Vec<&str> = network.einsums.iter().map(|e| e.kind.name()).collect();
    assert_eq!(kinds, ["conv", "conv", "conv", "average_pool", "conv"]);
    let shapes: Vec<_> = network.tensors.iter().map(|t| t.shape()).collect();
    assert_eq!(
        shapes,
        [
            [1, 8, 8],
            [16, 8, 8],
            [32, 4, 4],
            [32, 2, 2],
            [32, 1, 1],
            [10, 1, 1]
        ]
    );
    assert_eq!(network.total_macs(), 9_216 + 73_728 + 36_864 + 320);
}
