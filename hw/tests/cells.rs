//! Every hand-written cell against its C++ bench, under Verilator.
//!
//! The benches stand in `hw/tb`. They are seeded, print one line that starts with `PASS` or `FAIL`,
//! and can be run alone with more vectors (arguments in their headers).

#![expect(
    clippy::disallowed_methods,
    reason = "a test runs Verilator and what it built"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use hw::flow::skip_test;

/// A cell, its parameters and how its bench is built and run.
#[derive(Default)]
struct Bench<'a> {
    /// Name of the module and of the bench.
    cell: &'a str,
    /// RTL files below `hw/rtl`, the cell's first.
    files: &'a [&'a str],
    /// Verilog parameters.
    parameters: &'a [(&'a str, i64)],
    /// Macros of the bench.
    defines: &'a [(&'a str, i64)],
    /// Arguments of the bench.
    arguments: &'a [&'a str],
    /// Needs the models of the iCE40 cells that come with yosys.
    ice40: bool,
}

#[track_caller]
fn check(bench: &Bench<'_>) {
    if let Err(error) = Command::new("verilator").arg("--version").output() {
        skip_test(&format!("`verilator` cannot be run: {error}"));
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let build = tempfile::tempdir().expect("a directory for the build");
    let mut verilator = Command::new("verilator");
    verilator
        .args(["--cc", "--exe", "--build", "-O3", "--x-initial", "unique"])
        .args(["--top-module", bench.cell])
        .arg("--Mdir")
        .arg(build.path());
    if bench.ice40 {
        let Some(models) = ice40_models() else {
            skip_test("the iCE40 cell models of yosys were not found");
            return;
        };
        // The vendor models are not written for this lint.
        verilator
            .args([
                "-DNO_ICE40_DEFAULT_ASSIGNMENTS",
                "-Wno-fatal",
                "-Wno-lint",
                "-Wno-style",
            ])
            .args(["-Wno-TIMESCALEMOD", "-Wno-UNOPTFLAT"])
            .arg(models);
    } else {
        verilator.arg("-Wall");
    }
    for (name, value) in bench.parameters {
        verilator.arg(format!("-G{name}={value}"));
    }
    let mut flags = "-O2 -ffp-contract=off".to_owned();
    for (name, value) in bench.defines {
        flags += &format!(" -D{name}={value}");
    }
    verilator.arg("-CFLAGS").arg(flags);
    for file in bench.files {
        verilator.arg(root.join("rtl").join(file));
    }
    verilator.arg(root.join("tb").join(format!("{}.cpp", bench.cell)));

    let built = verilator.output().expect("verilator starts");
    assert!(
        built.status.success(),
        "`{}` does not build:\n{}{}",
        bench.cell,
        String::from_utf8_lossy(&built.stdout),
        String::from_utf8_lossy(&built.stderr),
    );
    let ran = Command::new(build.path().join(format!("V{}", bench.cell)))
        .args(bench.arguments)
        .output()
        .expect("the bench starts");
    let text = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success() && text.starts_with("PASS"),
        "`{}`: {text}",
        bench.cell
    );
}

/// Beside the program: Debian has `yosys-config`, which would know, in another package.
fn ice40_models() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let bin = std::env::split_paths(&path).find(|dir| dir.join("yosys").is_file())?;
    let models = bin.join("../share/yosys/ice40/cells_sim.v");
    models.is_file().then_some(models)
}

fn check_requantise(interval: i64, latency: i64, held: bool) {
    check(&Bench {
        cell: "requantise",
        files: &["requantise.sv", "requantise_multiply.sv"],
        parameters: &[("Interval", interval), ("ClampHeld", i64::from(held))],
        defines: &[("INTERVAL", interval), ("LATENCY", latency)],
        arguments: &["500000", "1", if held { "1" } else { "0" }],
        ice40: false,
    });
}

#[test]
fn requantise_every_cycle() {
    check_requantise(1, 7, false);
}

#[test]
fn requantise_every_second_cycle() {
    check_requantise(2, 8, false);
}

#[test]
fn requantise_every_fourth_cycle() {
    check_requantise(4, 10, false);
}

#[test]
fn requantise_with_constant_clamp() {
    check_requantise(2, 8, true);
}

#[test]
fn pack() {
    for bytes in [8, 32] {
        check(&Bench {
            cell: "pack",
            files: &["pack.sv"],
            parameters: &[("WordBytes", bytes)],
            defines: &[("WORD_BYTES", bytes)],
            ..Bench::default()
        });
    }
}

#[test]
fn host_uart() {
    for clocks in [8, 17] {
        check(&Bench {
            cell: "host_uart",
            files: &["host_uart.sv"],
            parameters: &[("ClocksPerBit", clocks), ("TimeoutBits", 6)],
            defines: &[("CLOCKS_PER_BIT", clocks), ("TIMEOUT_BITS", 6)],
            arguments: &["1000"],
            ice40: false,
        });
    }
}

#[test]
fn prim_mac_pair() {
    for (file, ice40) in [
        ("prim/prim_mac_pair.sv", false),
        ("ice40/prim_mac_pair.sv", true),
    ] {
        check(&Bench {
            cell: "prim_mac_pair",
            files: &[file],
            ice40,
            ..Bench::default()
        });
    }
}

#[test]
fn prim_spram_64() {
    for (file, ice40) in [
        ("prim/prim_spram_64.sv", false),
        ("ice40/prim_spram_64.sv", true),
    ] {
        check(&Bench {
            cell: "prim_spram_64",
            files: &[file],
            ice40,
            ..Bench::default()
        });
    }
}

#[test]
fn prim_ram_1r1w() {
    check(&Bench {
        cell: "prim_ram_1r1w",
        files: &["prim/prim_ram_1r1w.sv"],
        parameters: &[("Depth", 100), ("Lanes", 8)],
        defines: &[("DEPTH", 100)],
        ..Bench::default()
    });
}

/// The clock generator has no model to simulate: its parameters and pins are looked at after yosys.
#[test]
fn prim_clock_of_ice40() {
    let build = tempfile::tempdir().expect("a directory for the netlist");
    let json = build.path().join("prim_clock.json");
    let script = format!(
        "read_verilog -lib +/ice40/cells_sim.v; read_verilog -sv {}; \
         chparam -set DivR 1 -set DivF 2 -set DivQ 3 -set FilterRange 4 prim_clock; \
         hierarchy -top prim_clock; proc; write_json {}",
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("rtl/ice40/prim_clock.sv")
            .display(),
        json.display(),
    );
    let ran = match Command::new("yosys").args(["-q", "-p", &script]).output() {
        Ok(ran) => ran,
        Err(error) => {
            skip_test(&format!("`yosys` cannot be run: {error}"));
            return;
        }
    };
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let netlist: serde_json::Value =
        serde_json::from_slice(&std::fs::read(json).expect("yosys wrote it"))
            .expect("yosys writes JSON");
    let module = &netlist["modules"]["prim_clock"];
    let cells = module["cells"].as_object().expect("cells by name");
    assert_eq!(cells.len(), 1);
    let pll = cells.values().next().expect("one cell");
    assert_eq!(pll["type"], "SB_PLL40_PAD");
    for (parameter, value) in [
        ("DIVR", "0001"),
        ("DIVF", "0000010"),
        ("DIVQ", "011"),
        ("FILTER_RANGE", "100"),
        ("FEEDBACK_PATH", "SIMPLE"),
    ] {
        assert_eq!(pll["parameters"][parameter], value, "{parameter}");
    }
    for (pin, port) in [
        ("PACKAGEPIN", "clk_i"),
        ("PLLOUTGLOBAL", "clk_o"),
        ("LOCK", "locked_o"),
    ] {
        assert_eq!(
            pll["connections"][pin], module["ports"][port]["bits"],
            "{pin}"
        );
    }
    // The reset is active low.
    for (pin, level) in [("RESETB", "1"), ("BYPASS", "0")] {
        assert_eq!(pll["connections"][pin], serde_json::json!([level]), "{pin}");
    }
}
