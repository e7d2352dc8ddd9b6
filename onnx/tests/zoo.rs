//! The networks of the zoo: alive, reproducible, and the same after import.

use ir::op::{Difference, Kind};
use onnx::zoo;
use std::collections::BTreeSet;

/// Checks that every layer of `name` shows at least 64 codes and saturates in under 5 % of its values.
#[track_caller]
fn check(name: &str, n_macs: u64) {
    let (built, file) = zoo::build(name, 7).unwrap();
    let network = onnx::import_bytes(&file, &onnx::Options::default()).unwrap();
    assert_eq!(network, built);
    assert_eq!(network.total_macs(), n_macs);
    let image = network.tensor(network.inputs[0]).shape();
    // Fresh images, not those of the calibration.
    let mut values: Vec<Vec<i8>> = vec![Vec::new(); network.tensors.len()];
    for image in zoo::images(image, 16, 99) {
        for (all, one) in values.iter_mut().zip(network.reference(&[image]).unwrap()) {
            all.extend(one);
        }
    }
    for einsum in &network.einsums {
        let (values, tensor) = (
            &values[einsum.output.index()],
            network.tensor(einsum.output),
        );
        let codes: BTreeSet<i8> = values.iter().copied().collect();
        // A layer of two outputs cannot show 64 codes on 16 images.
        let wanted = 64.min(values.len() / 2);
        assert!(
            codes.len() >= wanted,
            "{name}, {}: {} codes of {wanted}",
            einsum.name,
            codes.len()
        );
        // The floor of a ReLU is no saturation.
        let is_end = |&&v: &&i8| v == 127 || (v == -128 && tensor.zero_point != -128);
        let n_saturated = values.iter().filter(is_end).count();
        assert!(
            n_saturated * 20 < values.len(),
            "{name}, {}: {n_saturated} of {}",
            einsum.name,
            values.len()
        );
    }
}

#[test]
fn ds_cnn_is_alive() {
    check("ds_cnn", 2_656_768);
}

#[test]
fn resnet8_is_alive() {
    check("resnet8", 12_501_632);
}

#[test]
fn mobilenet_v1_025_is_alive() {
    check("mobilenet_v1_025", 7_489_664);
}

#[test]
fn the_same_seed_gives_the_same_file_and_another_seed_another() {
    assert_eq!(zoo::write("ds_cnn", 1), zoo::write("ds_cnn", 1));
    assert_ne!(zoo::write("ds_cnn", 1), zoo::write("ds_cnn", 2));
}

#[test]
fn residual_additions_are_exact_for_all_pairs() {
    let network = zoo::build("resnet8", 7).unwrap().0;
    for einsum in &network.einsums {
        if let Kind::Add(op) = &einsum.kind {
            let [a, b] = [0, 1].map(|i| network.tensor(einsum.inputs[i]));
            let difference = op.difference(a, b, network.tensor(einsum.output));
            assert_eq!(difference, Ok(Difference::default()));
        }
    }
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let error = zoo::write("resnet9", 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no network `resnet9` in the zoo"
    );
    assert!(
        miette::Diagnostic::help(&error)
            .unwrap()
            .to_string()
            .contains("resnet8, mobilenet_v1_025")
    );
}

#[test]
#[ignore = "takes minutes in the dev profile: run with `--release -- --ignored`"]
fn large_networks_are_the_same_after_import() {
    for (name, n_macs) in [
        ("mobilenet_v2", 300_774_272),
        ("resnet18", 1_814_073_344),
        ("resnet50", 4_089_184_256),
    ] {
        let (built, file) = zoo::build(name, 7).unwrap();
        let network = onnx::import_bytes(&file, &onnx::Options::default()).unwrap();
        assert_eq!(network, built);
        assert_eq!(network.total_macs(), n_macs, "{name}");
    }
}
