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
        constants: Vec::new(),
        host_steps: Vec::new(),
        results: Vec::new(),
        batch: 1,
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
        code(x.from_host(&HostValues::Int64(vec![0; 4])).unwrap_err()),
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

/// The network with host steps, each on the one before.
fn with_steps(operators: Vec<HostOperator>) -> Network {
    let mut network = network();
    for (i, operator) in operators.into_iter().enumerate() {
        let before = HostId((i as u32).wrapping_sub(1));
        network.host_steps.push(HostStep {
            name: format!("step {i}"),
            inputs: if i == 0 { Vec::new() } else { vec![before] },
            operator,
        });
    }
    network.results.push(GraphOutput {
        name: "out".into(),
        value: HostId(network.host_steps.len() as u32 - 1),
    });
    network
}

fn result(network: &Network, output: &[i8]) -> (Vec<usize>, HostValues) {
    let results = network.results(&[vec![output.to_vec()]]).unwrap();
    let (name, tensor) = &results[0];
    assert_eq!(name, "out");
    (tensor.shape.clone(), tensor.values.clone())
}

#[test]
fn the_host_gives_the_outputs_of_the_file() {
    let read = || HostOperator::Read(TensorId(2));
    let nhwc = || {
        HostOperator::Arrange(Arrangement {
            shape: vec![1, 1, 2, 2],
            digits: vec![(2, 1), (2, 2)],
        })
    };
    let dequantise = || HostOperator::Dequantise {
        scale: 0.5,
        zero_point: 1,
    };
    let network = with_steps(vec![read(), nhwc(), dequantise()]);
    let expected = HostValues::Float32(vec![0.0, 1.0, 0.5, 1.5]);
    assert_eq!(
        result(&network, &[1, 2, 3, 4]),
        (vec![1, 1, 2, 2], expected)
    );
    let network = with_steps(vec![read(), HostOperator::Rebase]);
    let expected = HostValues::Uint8(vec![0, 128, 129, 255]);
    assert_eq!(result(&network, &[-128, 0, 1, 127]).1, expected);
    let position = |last, smallest| HostOperator::ArgMax {
        axis: 2,
        last,
        smallest,
    };
    for (operator, expected) in [
        (position(false, false), [0, 1]),
        (position(true, false), [1, 1]),
        (position(false, true), [0, 0]),
    ] {
        let network = with_steps(vec![read(), operator]);
        let expected = HostValues::Int64(expected.to_vec());
        assert_eq!(result(&network, &[5, 5, 3, 4]), (vec![2, 1, 1], expected));
    }
    let softmax = HostOperator::Softmax {
        axis: 0,
        end: 1,
        log: false,
    };
    let network = with_steps(vec![read(), dequantise(), softmax]);
    let HostValues::Float32(values) = result(&network, &[1, 1, 1, 127]).1 else {
        panic!("a softmax is float")
    };
    assert_eq!((values[0], values[2]), (0.5, 0.5));
    assert!(values[1] < 1e-20 && values[3] == 1.0);
}

#[test]
fn images_of_a_batch_follow_each_other() {
    let mut network = with_steps(vec![
        HostOperator::Read(TensorId(2)),
        HostOperator::Arrange(Arrangement {
            shape: vec![1, 4],
            digits: vec![(4, 1)],
        }),
    ]);
    network.batch = 2;
    let image = |value: i8| vec![vec![value; 4]];
    let results = network.results(&[image(1), image(2)]).unwrap();
    assert_eq!(results[0].1.shape, [2, 4]);
    assert_eq!(
        results[0].1.values,
        HostValues::Int8(vec![1, 1, 1, 1, 2, 2, 2, 2])
    );
}

#[test]
fn host_steps_that_contradict_the_network_are_refused() {
    let fault = |operators| {
        let network = with_steps(operators);
        match network.results(&[vec![vec![0; 4]]]).unwrap_err() {
            NetworkError::Host { fault, .. } => fault,
            other => panic!("{other}"),
        }
    };
    let read = || HostOperator::Read(TensorId(2));
    let arrange = |shape: &[usize], digits: &[(usize, usize)]| {
        HostOperator::Arrange(Arrangement {
            shape: shape.to_vec(),
            digits: digits.to_vec(),
        })
    };
    let far = arrange(&[4], &[(4, 2)]);
    assert_eq!(fault(vec![read(), far]), HostFault::Shape);
    let many = arrange(&[5], &[(5, 1)]);
    assert_eq!(fault(vec![read(), many]), HostFault::Shape);
    let softmax = HostOperator::Softmax {
        axis: 0,
        end: 1,
        log: false,
    };
    assert_eq!(fault(vec![read(), softmax]), HostFault::Type);
    let short = HostOperator::Lookup(vec![0.0; 3]);
    assert_eq!(fault(vec![read(), short]), HostFault::Shape);
    assert_eq!(fault(vec![read(), HostOperator::Add]), HostFault::Operand);
}
