//! The AXI top: digits on `edge` through registers and an AXI memory.

use std::path::{Path, PathBuf};

use host_runtime::machine::memory_image;
use host_runtime::verilated::{Optimise, Rtl, build};
use ir::Arch;
use tilewright_tests::axi::{Axi, Expected, check};
use tilewright_tests::random::Random;

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn arch(name: &str) -> Arch {
    let path = file(&format!("examples/archs/{name}.toml"));
    ir::arch::read(
        name,
        &std::fs::read_to_string(path).expect("the preset is there"),
    )
    .expect("presets are legal")
}

#[test]
fn digits_through_axi() {
    let arch = arch("edge");
    let network = onnx::import(
        &file("examples/networks/digits_int8.onnx"),
        &onnx::Options::default(),
    )
    .expect("digits is supported");
    let mut random = Random(2024);
    let input: Vec<i8> = (0..64).map(|_| random.bits() as i8).collect();
    let values = network
        .reference(std::slice::from_ref(&input))
        .expect("one input");
    let program = mapper::compile(&network, &arch, &mapper::Options::default())
        .expect("fits")
        .program;
    let checked = program.check(&arch).expect("a sound program");

    let mut before = memory_image(checked);
    let place = &program.inputs[0];
    let start = (place.word * arch.word_bytes()) as usize;
    let bytes = place.pack(arch.word_bytes(), &input);
    before[start..start + bytes.len()].copy_from_slice(&bytes);
    let expected = Expected::of(&arch, program.clone(), before).expect("the simulator runs it");
    for output in &program.outputs {
        let got = output.unpack(
            arch.word_bytes(),
            &expected.memory[1][(output.word * arch.word_bytes()) as usize..],
        );
        assert_eq!(got, values[output.tensor as usize]);
    }

    let design = hw::generate(&arch, hw::Technology::Generic);
    let files = design
        .files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let built = match build(
        &Rtl {
            top: hw::design::AXI_TOP,
            files,
        },
        Optimise::Quick,
    ) {
        Ok(built) => built,
        Err(error) => {
            let error = host_runtime::Error::from(error);
            let reason = error.unavailable().unwrap_or_else(|| panic!("{error}"));
            hw::flow::skip_test(&reason);
            return;
        }
    };
    for seed in 0..3 {
        let mut axi = Axi::load(&arch, &built.path, seed).expect("it is this design");
        check(&mut axi, std::slice::from_ref(&expected))
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}
