//! Artifacts changed at random places, with a right hash: none makes a device panic or run on for ever.
//!
//! `TILEWRIGHT_FUZZ_INPUTS` is the number of artifacts (2,000); `scripts/fuzz-inputs` runs more.

mod common;
#[path = "../../tests/src/fuzz.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the file is that of another crate"
)]
mod fuzz;
#[path = "../../tests/src/random.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the file is that of another crate"
)]
mod random;

use ciborium::Value;
use host_runtime::device::{Device, Reference, Simulator};
use host_runtime::{Artifact, Settings};
use ir::network::{
    Einsum, GraphOutput, HostId, HostOperator, HostStep, HostType, HostView, TensorId,
};
use ir::numerics::Clamp;
use ir::op::{Add, AveragePool, Concat, Conv, Kind, Positions, Select, Table, Window};
use random::Random;

/// The pool alone, and with a network of every other kind in front of it; devices do not compare network and program.
fn bases() -> Vec<Artifact> {
    let pool = common::pool::artifact(&common::small_dot());
    let mut all = pool.clone();
    let network = &mut all.network;
    let template = network.tensors[0].clone();
    network.tensors[0].host = Some(HostView {
        name: "x".to_owned(),
        shape: vec![1, 4, 4, 5],
        strides: [1, 20, 5],
        host_type: HostType::Float32,
    });
    let identity: Vec<i8> = (i8::MIN..=i8::MAX).collect();
    let steps: Vec<i32> = identity.iter().map(|&v| i32::from(v) << 20).collect();
    let window = Window {
        pads: [1; 4],
        ..Window::dense([3, 3])
    };
    let kinds = [
        Kind::Conv(Conv {
            out_channels: 5,
            group_channels: 1,
            groups: 5,
            window,
            stretch: [1, 1],
            weights: vec![1; 45],
            bias: vec![7; 5],
            bias_error: 0.0,
            scales: vec![0.25; 5],
            clamp: Clamp::FULL,
        }),
        Kind::Add(Add {
            tables: [steps.clone(), steps],
            fraction_bits: 20,
            clamp: Clamp::FULL,
        }),
        Kind::AveragePool(AveragePool {
            window,
            counted: [0; 4],
            clamp: Clamp::FULL,
        }),
        Kind::Table(Table {
            values: identity.clone(),
        }),
        Kind::Concat(Concat {
            tables: vec![identity],
        }),
        Kind::Select(Select {
            channels: vec![4, 3, 2, 1, 0],
            rows: Positions::all(template.height),
            columns: Positions::all(template.width),
            padding: 0,
        }),
    ];
    let pooled = network.einsums.remove(0);
    let mut last = TensorId(0);
    for kind in kinds {
        let output = TensorId(network.tensors.len() as u32);
        let mut tensor = template.clone();
        tensor.name = format!("after {}", kind.name());
        network.tensors.push(tensor);
        network.einsums.push(Einsum {
            name: kind.name().to_owned(),
            inputs: vec![last; if matches!(kind, Kind::Add(_)) { 2 } else { 1 }],
            kind,
            output,
        });
        last = output;
    }
    network.einsums.push(Einsum {
        inputs: vec![last],
        ..pooled
    });
    let steps = [
        HostOperator::Read(network.outputs[0]),
        HostOperator::Dequantise {
            scale: 0.5,
            zero_point: 1,
        },
        HostOperator::Softmax {
            axis: 0,
            end: 3,
            log: false,
        },
    ];
    for (position, operator) in (0_u32..).zip(steps) {
        network.host_steps.push(HostStep {
            name: operator.name().to_owned(),
            operator,
            inputs: position.checked_sub(1).map(HostId).into_iter().collect(),
        });
    }
    network.results.push(GraphOutput {
        name: "result".to_owned(),
        value: HostId(2),
    });
    vec![pool, all]
}

fn n_values(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(n_values).sum(),
        Value::Map(entries) => entries.iter().map(|(_, value)| n_values(value)).sum(),
        _ => 0,
    }
}

/// Changes the value number `at`, counted from the outside in.
fn change(value: &mut Value, at: &mut usize, random: &mut Random) -> bool {
    if *at == 0 {
        replace(value, random);
        return true;
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| change(item, at, random)),
        Value::Map(entries) => entries
            .iter_mut()
            .any(|(_, value)| change(value, at, random)),
        _ => false,
    }
}

fn replace(value: &mut Value, random: &mut Random) {
    const INTEGERS: [i128; 26] = [
        0,
        1,
        -1,
        2,
        3,
        4,
        5,
        7,
        8,
        16,
        63,
        127,
        -128,
        255,
        256,
        1023,
        2047,
        65_535,
        1 << 20,
        1 << 22,
        -(1 << 31),
        (1 << 31) - 1,
        1 << 31,
        (1 << 32) - 1,
        (1 << 63) - 1,
        (1 << 64) - 1,
    ];
    const FLOATS: [f64; 9] = [
        0.0,
        -0.0,
        -1.0,
        1e-45,
        1e38,
        1e-38,
        f64::NAN,
        f64::INFINITY,
        2.0,
    ];
    match value {
        Value::Integer(number) => {
            let near = i128::from(*number) + random.index(5) as i128 - 2;
            let given = match random.index(2) {
                0 => near,
                _ => *random.of(&INTEGERS),
            };
            *number = given.try_into().unwrap_or(*number);
        }
        Value::Float(number) => *number = *random.of(&FLOATS),
        Value::Text(text) => {
            text.clone_from(random.of(&ir::text::hostile()));
        }
        Value::Bool(flag) => *flag = !*flag,
        Value::Array(items) if !items.is_empty() => {
            let (a, b) = (random.index(items.len()), random.index(items.len()));
            match random.index(5) {
                0 => items.clear(),
                1 => items.swap(a, b),
                2 => items.insert(b, items[a].clone()),
                3 => items.truncate(a),
                _ => drop(items.remove(a)),
            }
        }
        Value::Bytes(bytes) => bytes.truncate(random.index(bytes.len() + 1)),
        other => *other = Value::Null,
    }
}

/// A seed's artifact, if it is one in form.
fn artifact(base: &Value, random: &mut Random) -> Option<Artifact> {
    let mut value = base.clone();
    for _ in 0..=random.index(2) {
        let n = n_values(&value);
        let mut at = random.index(n);
        change(&mut value, &mut at, random);
    }
    let mut artifact: Artifact = value.deserialized().ok()?;
    // An arch that is still legal has another hash, which would end most tries.
    if random.index(4) > 0 {
        artifact.program.arch_hash = artifact.arch.hash();
    }
    Some(artifact)
}

#[test]
fn changed_artifacts_are_refused_or_run() {
    let bases: Vec<Value> = bases()
        .iter()
        .map(|artifact| {
            artifact.check().unwrap();
            Value::serialized(artifact).unwrap()
        })
        .collect();
    let counts = fuzz::run("artifacts", |random, seed| {
        let artifact = artifact(&bases[seed as usize % bases.len()], random)
            .ok_or(Some("no artifact in form".to_owned()))?;
        if let Err(error) = artifact.check() {
            return Err(miette::Diagnostic::code(&error).map(|code| code.to_string()));
        }
        Ok(if run(&artifact) {
            "ran"
        } else {
            "stopped by the simulator"
        })
    });
    // Both must be met, or the changes are too many or too few.
    let (refused, ran, n) = (counts.n_refused(), counts.taken["ran"], counts.executions);
    assert!(
        refused > n / 10 && ran > n / 10,
        "{refused} refused, {ran} ran"
    );
}

/// Runs an accepted artifact wherever that is quick; whether the simulator came to an end.
fn run(artifact: &Artifact) -> bool {
    assert!(!artifact.program.disassembly().is_empty());
    let network = &artifact.network;
    let inputs: Vec<Vec<i8>> = network
        .inputs
        .iter()
        .map(|id| vec![1; network.tensor(*id).n_values()])
        .collect();
    for (id, values) in network.inputs.iter().zip(&inputs) {
        let tensor = network.tensor(*id);
        if let Ok(host) = tensor.to_host(values) {
            assert_eq!(&tensor.from_host(&host).unwrap(), values);
        }
    }
    if artifact.reference_steps() < 1 << 20 {
        let mut session = Reference.load(artifact).unwrap();
        session.run(&inputs).unwrap();
    }
    let settings = Settings {
        cycle_limit: 100_000,
        ..Settings::default()
    };
    let mut session = Simulator { settings }.load(artifact).unwrap();
    session.run(&inputs).is_ok()
}
