//! The artifact's file form: it gives back what was written, and a damaged file is an error.

mod common;

use host_runtime::{Artifact, Error};
use ir::network::{HostOperator, HostType, HostView, TensorId};
use ir::op::Kind;
use proptest::prelude::*;

fn artifact() -> Artifact {
    common::pool::artifact(&common::small_dot())
}

#[test]
fn file_gives_back_what_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pool.twa");
    let artifact = artifact();
    std::fs::write(&path, artifact.to_bytes()).unwrap();
    assert_eq!(Artifact::read(&path).unwrap(), artifact);
    assert!(matches!(
        Artifact::read(directory.path()),
        Err(Error::Artifact { .. })
    ));
}

#[test]
fn contents_that_lie_are_refused() {
    fn check(change: impl FnOnce(&mut Artifact)) {
        let mut artifact = artifact();
        change(&mut artifact);
        // The hash is right: only the contents are wrong.
        assert!(Artifact::from_bytes(&artifact.to_bytes()).is_err());
    }
    check(|a| a.program.outputs[0].word = u32::MAX);
    check(|a| a.program.outputs[0].channels = u32::MAX);
    check(|a| a.program.outputs[0].tensor = 7);
    check(|a| a.program.outputs.clear());
    check(|a| a.program.layer_of[0] = 9);
    check(|a| a.program.layer_of.clear());
    check(|a| a.program.constants = vec![0; 8 * 64]);
    check(|a| a.program.constants_word = 1);
    check(|a| a.program.memory_words = u32::MAX);
    check(|a| {
        a.program.instructions[0] = ir::isa::Instruction::Configure {
            register: ir::isa::Register::LoadMemory,
            value: u32::MAX,
        }
    });
    check(|a| a.network.tensors[0].height = usize::MAX);
    check(|a| a.network.inputs[0].0 = 99);
    check(|a| a.network.outputs[0].0 = 99);
    check(|a| a.arch.array.rows = 0);
    check(|a| a.arch.clock_hz += 1);
    check(|a| a.program.instructions.clear());
    check(|a| a.network.inputs.clear());
    check(|a| a.network.outputs.clear());
    check(|a| a.network.tensors[1].name = a.network.tensors[0].name.clone());
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        check(move |a| a.network.tensors[0].scale = scale);
    }
    check(|a| a.network.batch = 0);
    let step = |operator, inputs: &[u32]| ir::network::HostStep {
        name: "step".to_owned(),
        operator,
        inputs: inputs.iter().map(|&id| ir::network::HostId(id)).collect(),
    };
    let reads = [
        step(HostOperator::Read(TensorId(9)), &[]),
        step(HostOperator::Read(TensorId(0)), &[]),
        step(HostOperator::Rebase, &[0]),
        step(HostOperator::Rebase, &[]),
    ];
    for read in reads {
        check(move |a| a.network.host_steps = vec![read]);
    }
    check(|a| {
        a.network.results = vec![ir::network::GraphOutput {
            name: "result".to_owned(),
            value: ir::network::HostId(0),
        }]
    });
    // Two tensors of 5 channels and 4 rows and columns, and one of 2.
    for (shape, strides) in [
        (vec![5, 4, 4], [16, 4, 2]),
        (vec![5, 4, 4], [0, 0, 0]),
        (vec![5, 4, 4], [usize::MAX; 3]),
        (vec![5, 4, 5], [16, 4, 1]),
        (vec![usize::MAX, 4, 4], [16, 4, 1]),
    ] {
        check(move |a| a.network.tensors[0].host = Some(view(&shape, strides)));
    }
    check(|a| {
        let Kind::MaxPool(pool) = &mut a.network.einsums[0].kind else {
            panic!("it is a pool")
        };
        pool.window.kernel = [1 << 23, 1 << 23];
        pool.window.pads = [1 << 22; 4];
    });
}

/// A view of the host.
fn view(shape: &[usize], strides: [usize; 3]) -> HostView {
    HostView {
        name: "x".to_owned(),
        shape: shape.to_vec(),
        strides,
        host_type: HostType::Int8,
    }
}

#[test]
fn views_that_fit_are_accepted() {
    for strides in [[16, 4, 1], [1, 20, 5]] {
        let mut artifact = artifact();
        artifact.network.tensors[0].host = Some(view(&[1, 5, 4, 4], strides));
        artifact.check().unwrap();
    }
}

#[test]
fn text_that_no_description_needs_is_refused() {
    for text in [
        "a\nmodule tw_canary; endmodule",
        "a\u{2028}b",
        "\u{1b}[2J",
        "\0",
    ] {
        let mut artifact = artifact();
        artifact.arch.description = text.to_owned();
        artifact.program.arch_hash = artifact.arch.hash();
        let error = Artifact::from_bytes(&artifact.to_bytes())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`description`") && ir::text::check(&error).is_ok(),
            "{error}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_damage_is_an_error(position: prop::sample::Index, flip in 1u8..) {
        let mut bytes = artifact().to_bytes();
        let index = position.index(bytes.len());
        bytes[index] ^= flip;
        prop_assert!(Artifact::from_bytes(&bytes).is_err());
        prop_assert!(Artifact::from_bytes(&bytes[..index]).is_err());
    }

    #[test]
    fn any_bytes_behind_a_right_header_are_an_error(payload: Vec<u8>) {
        let header = artifact().to_bytes()[..24].to_vec();
        let bytes = [header, blake3::hash(&payload).as_bytes().to_vec(), payload].concat();
        prop_assert!(Artifact::from_bytes(&bytes).is_err());
    }
}
