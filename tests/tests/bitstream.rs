//! The bitstream of `nano` but for its placement, which takes minutes and is what `scripts/bitstream` adds: the mapped
//! netlist runs a real program over its serial line, and a wrong device is told from a right one.

#![expect(clippy::print_stderr, reason = "the speed is shown with `--nocapture`")]

use std::path::{Path, PathBuf};

use host_runtime::Artifact;
use host_runtime::netlist::{NetlistError, NetlistRun, check};
use hw::Technology;
use hw::design::generate_for;
use hw::flow::{Board, BuildError, ToolError, synthesise};
use ir::Arch;

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn nano() -> Arch {
    let path = file("examples/archs/nano.toml");
    ir::arch::read(
        "nano",
        &std::fs::read_to_string(path).expect("the preset is there"),
    )
    .expect("presets are legal")
}

fn icebreaker() -> Board {
    Board::named("icebreaker").expect("the board is part of the program")
}

fn digits(arch: &Arch) -> Artifact {
    let path = file("examples/networks/digits_int8.onnx");
    let network = onnx::import(&path, &onnx::Options::default()).expect("digits is supported");
    let program = mapper::compile(&network, arch, &mapper::Options::default())
        .expect("it fits")
        .program;
    Artifact {
        network,
        arch: arch.clone(),
        program,
    }
}

/// An image, as the network takes it: a diagonal stroke.
fn image() -> Vec<Vec<i8>> {
    vec![(0..64).map(|i| if i % 9 < 2 { 90 } else { -128 }).collect()]
}

/// What a check says of the digits program on `files`; `None` with a printed reason when a tool is missing.
fn checked(
    files: &[(String, String)],
    clocks_per_bit: u32,
    artifact: &Artifact,
) -> Option<Result<NetlistRun, NetlistError>> {
    let result = check(files, clocks_per_bit, artifact, &[image()], &mut |_| {});
    if let Some(reason) = result.as_ref().err().and_then(NetlistError::unavailable) {
        hw::flow::skip_test(&reason);
        return None;
    }
    Some(result)
}

#[test]
fn mapped_netlist_runs_digits() {
    let work = tempfile::tempdir().expect("a directory");
    let (arch, board) = (nano(), icebreaker());
    let synthesis = match synthesise(&arch, &board, work.path(), &mut |_| {}) {
        Err(BuildError::Tool(error @ ToolError::Missing { .. })) => {
            hw::flow::skip_test(&error.to_string());
            return;
        }
        other => other.expect("lint, synthesis and the check of hard cells"),
    };
    let files = synthesis.netlist().expect("the netlist");
    let Some(result) = checked(&files, board.clocks_per_bit, &digits(&arch)) else {
        return;
    };
    let run = result.expect("the mapped netlist is right");
    assert_eq!((run.images, run.values_compared), (1, 10));
    eprintln!(
        "{} cycles simulated in {:.1} s",
        run.simulated_cycles, run.wall_seconds
    );
}

/// The controls of the check, on the RTL with its serial line, which is compiled faster than its netlist.
#[test]
fn wrong_device_is_told_from_a_right_one() {
    let (arch, board) = (nano(), icebreaker());
    let design = generate_for(&arch, &board, Technology::Generic).expect("the board carries it");
    let right = digits(&arch);
    let Some(result) = checked(&design.files, board.clocks_per_bit, &right) else {
        return;
    };
    result.expect("the RTL is right");

    let message = |clocks_per_bit, artifact: &Artifact| {
        let result =
            checked(&design.files, clocks_per_bit, artifact).expect("it was not skipped before");
        result.expect_err("it is wrong").to_string()
    };
    // Constants that are not the network's.
    let mut other = right.clone();
    other.program.constants[..64].fill(0x55);
    let text = message(board.clocks_per_bit, &other);
    assert!(
        text.starts_with("image 0, output 0, value ") && text.contains("the reference"),
        "{text}"
    );
    // A host with another bit rate.
    let text = message(board.clocks_per_bit + 3, &right);
    assert_eq!(text, "the netlist does not answer");
    // A program for another arch.
    let mut other = right;
    other.arch.clock_hz += 1;
    other.program.arch_hash = other.arch.hash();
    let text = message(board.clocks_per_bit, &other);
    assert!(text.starts_with("the netlist was made for arch "), "{text}");
}
