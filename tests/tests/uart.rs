//! The serial top: digits on `nano` over the pins, in plain RTL, without vendor cells.

use std::path::{Path, PathBuf};

use host_runtime::netlist::{self, NetlistError};
use host_runtime::verilated::{Model, Optimise, Rtl, build};
use host_runtime::{Artifact, Error};
use hw::Technology;
use hw::flow::Board;
use tilewright_tests::random::Random;

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

#[test]
fn digits_through_the_serial_line() {
    let text =
        std::fs::read_to_string(file("examples/archs/nano.toml")).expect("the preset is there");
    let arch = ir::arch::read("nano", &text).expect("presets are legal");
    let network = onnx::import(
        &file("examples/networks/digits_int8.onnx"),
        &onnx::Options::default(),
    )
    .expect("digits");
    let program = mapper::compile(&network, &arch, &mapper::Options::default())
        .expect("digits fits")
        .program;
    let board = Board::named("icebreaker").expect("a bundled board");
    let design = hw::design::generate_for(&arch, &board, Technology::Generic)
        .expect("the board carries `nano`");
    let artifact = Artifact {
        network,
        arch,
        program,
    };

    let mut random = Random(7);
    let images: Vec<Vec<Vec<i8>>> = (0..2)
        .map(|_| vec![(0..64).map(|_| random.bits() as i8).collect()])
        .collect();
    match netlist::check(
        &design.files,
        board.clocks_per_bit,
        &artifact,
        &images,
        &mut |_| {},
    ) {
        Ok(run) => assert_eq!(
            (run.images, run.values_compared, run.cycles[0]),
            (2, 20, run.cycles[1])
        ),
        Err(NetlistError::Build(error)) => {
            let error = Error::from(error);
            let reason = error.unavailable().unwrap_or_else(|| panic!("{error}"));
            hw::flow::skip_test(&reason);
            return;
        }
        Err(error) => panic!("{error}"),
    }

    // The lights of an idle machine are off; they are lit by a low pin.
    let files = design
        .files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let built = build(
        &Rtl {
            top: hw::design::UART_TOP,
            files,
        },
        Optimise::Quick,
    )
    .expect("it was built above");
    let mut model = Model::load(&built.path).expect("it was loaded above");
    let [clk, rst_n] = ["clk_i", "rst_ni"].map(|name| model.port(name, 1).expect("a pin"));
    for (level, cycles) in [(1, 1), (0, 4), (1, 8)] {
        model.set(rst_n, level);
        for clock in [0, 1].repeat(cycles) {
            model.set(clk, clock);
            model.eval();
        }
    }
    for light in ["led_busy_no", "led_fault_no"] {
        let light = model.port(light, 1).expect("a pin");
        assert_eq!(model.get(light), 1);
    }
}
