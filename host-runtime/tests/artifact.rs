//! The artifact's file form: it gives back what was written, and a damaged file is an error.

mod common;

use host_runtime::{Artifact, Error};
use proptest::prelude::*;

fn artifact() -> Artifact {
    common::pool::artifact(&common::small_dot())
}

#[test]
fn file_gives_back_what_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pool.twa");
    let artifact = artifact();
    artifact.write(&path).unwrap();
    artifact.write(&path).unwrap();
    assert_eq!(Artifact::read(&path).unwrap(), artifact);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    assert!(matches!(
        Artifact::read(directory.path()),
        Err(Error::Artifact { .. })
    ));
}

#[test]
fn contents_that_lie_are_refused() {
    let check = |change: fn(&mut Artifact)| {
        let mut artifact = artifact();
        change(&mut artifact);
        // The hash is right: only the contents are wrong.
        assert!(Artifact::from_bytes(&artifact.to_bytes()).is_err());
    };
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
