//! Order, boundary and validity of networks.

use super::*;
use crate::op::Table;

/// Two tables in a row, `[2, 1, 2]`, with a float input in the order of the host `[1, 1, 2, 2]` (channels last).
fn network() -> Network {
    let tensor = |name: &str, host| Tensor {
        name: name.into(),
        channels: 2,
        height: 1,
        width: 2,
        scale: 0.5,
        zero_point: 1,
        host,
    };
    let host = HostView {
        name: "x".into(),
        shape: vec![1, 1, 2, 2],
        strides: [1, 0, 2],
        host_type: HostType::Float32,
    };
    let double = Kind::Table(Table {
        values: (-128..=127)
            .map(|v: i32| (v * 2).clamp(-128, 127) as i8)
            .collect(),
    });
    let einsum = |name: &str, input, output| Einsum {
        name: name.into(),
        kind: double.clone(),
        inputs: vec![TensorId(input)],
        output: TensorId(output),
    };
    Network {
        name: "n".into(),
        tensors: vec![
            tensor("x", Some(host)),
            tensor("h", None),
            tensor("y", None),
        ],
        einsums: vec![einsum("first", 0, 1), einsum("second", 1, 2)],
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(2)],
        host_tail: Vec::new(),
    }
}

#[test]
fn the_reference_computes_every_tensor() {
    let network = network();
    let x = network.tensors[0]
        .from_host(&HostValues::Float32(vec![0.0, 1.0, 2.0, 3.0]))
        .unwrap();
    assert_eq!(x, [1, 5, 3, 7]);
    let tensors = network.reference(std::slice::from_ref(&x)).unwrap();
    assert_eq!(
        tensors,
        [x.clone(), vec![2, 10, 6, 14], vec![4, 20, 12, 28]]
    );
    assert_eq!(
        network.tensors[0].to_host(&x).unwrap(),
        HostValues::Float32(vec![0.0, 1.0, 2.0, 3.0])
    );
    assert_eq!(network.producer(TensorId(1)), Some(EinsumId(0)));
    assert_eq!(
        network.consumers(TensorId(1)).collect::<Vec<_>>(),
        [EinsumId(1)]
    );
}

#[test]
fn wrong_inputs_are_refused() {
    let network = network();
    let code = |error: NetworkError| miette::Diagnostic::code(&error).unwrap().to_string();
    assert_eq!(
        code(network.reference(&[]).unwrap_err()),
        "network::input_count"
    );
    assert_eq!(
        code(network.reference(&[vec![0; 3]]).unwrap_err()),
        "network::boundary"
    );
    let x = &network.tensors[0];
    assert_eq!(
        code(x.from_host(&HostValues::Int8(vec![0; 4])).unwrap_err()),
        "network::boundary"
    );
    assert_eq!(
        code(network.tensors[1].to_host(&[0; 4]).unwrap_err()),
        "network::boundary"
    );
}

#[test]
fn invalid_networks_are_refused() {
    let check = |change: fn(&mut Network), message: &str| {
        let mut network = network();
        change(&mut network);
        assert_eq!(network.validate().unwrap_err().to_string(), message);
    };
    check(
        |n| n.einsums.swap(0, 1),
        "tensor 1 of `second` is read before it is written",
    );
    check(
        |n| n.einsums[1].output = TensorId(0),
        "tensor 0 of `second` is written twice",
    );
    check(
        |n| n.outputs[0] = TensorId(7),
        "tensor 7 of `n` is not in the network",
    );
    check(
        |n| n.tensors[2].width = 3,
        "einsum `second`: output shape is [2, 1, 3], but the operands give [2, 1, 2]",
    );
}
