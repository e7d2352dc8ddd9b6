//! Arch to Design: the hand-written cells, with generated packages and top.
//!
//! The cells in `hw/rtl` are the same for every design. Generated are `isa_pkg` (from the instruction
//! set), `arch_pkg` (from the Arch), `tilewright_core`, which joins the core with its memory, and the
//! top for the Arch's host.

mod axi;
mod packages;
mod shell;
mod top;

pub use shell::hard_cells;

use std::path::Path;

use ir::Arch;
use ir::arch::{Attachment, Host};

use crate::flow::Board;

/// The emitted hardware of an Arch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Design {
    /// Name of the Arch.
    pub name: String,
    /// Name of the top module.
    pub top: String,
    /// File names and contents, packages first.
    pub files: Vec<(String, String)>,
    /// Hash of the Arch, which the design carries.
    pub arch_hash: u64,
}

/// Which multipliers and memories the design uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Technology {
    /// Behavioural models that every tool reads.
    Generic,
    /// Multipliers and single-port memories of the iCE40 UltraPlus, instantiated by hand.
    Ice40,
}

/// The module that simulation drives: the core and, if it is on chip, its memory.
pub const CORE_TOP: &str = "tilewright_core";

/// The module for systems with AXI: [`CORE_TOP`] behind `shell_axi`.
pub const AXI_TOP: &str = "tilewright_axi";

/// The module for boards with a serial host: [`CORE_TOP`] behind `shell_uart`.
pub const UART_TOP: &str = "tilewright_uart";

macro_rules! cells {
    ($($name:literal),+ $(,)?) => { &[$(($name, include_str!(concat!("../rtl/", $name)))),+] };
}

/// Cells that every technology shares.
const CELLS: &[(&str, &str)] = cells![
    "accumulators.sv",
    "add.sv",
    "array_dot.sv",
    "array_systolic.sv",
    "banks.sv",
    "burst_length.sv",
    "core.sv",
    "counters.sv",
    "exec_control.sv",
    "fetch.sv",
    "fifo.sv",
    "load.sv",
    "loop_counter.sv",
    "loops.sv",
    "max_pool.sv",
    "memory_on_chip.sv",
    "pack.sv",
    "parameters.sv",
    "read_arbiter.sv",
    "requantise.sv",
    "requantise_lanes.sv",
    "requantise_multiply.sv",
    "semaphores.sv",
    "sequencer.sv",
    "store.sv",
    "tables.sv",
    "vec.sv",
    "weights_column.sv",
    "weights_tile.sv",
    "prim/prim_ram_1r1w.sv",
];

/// The shell of a host with AXI.
const AXI: &[(&str, &str)] = cells!["shell_axi.sv"];

const GENERIC: &[(&str, &str)] = cells!["prim/prim_mac_pair.sv", "prim/prim_spram_64.sv"];
const ICE40: &[(&str, &str)] = cells!["ice40/prim_mac_pair.sv", "ice40/prim_spram_64.sv"];

/// The shell of a host with a serial line.
const UART: &[(&str, &str)] = cells!["host_uart.sv", "shell_uart.sv"];
const GENERIC_CLOCK: &[(&str, &str)] = cells!["prim/prim_clock.sv"];
const ICE40_CLOCK: &[(&str, &str)] = cells!["ice40/prim_clock.sv"];

/// Generates the Design of `arch` in `technology`, with [`CORE_TOP`] as its top.
///
/// The files also hold the top for the Arch's host, [`AXI_TOP`] for AXI.
pub fn generate(arch: &Arch, technology: Technology) -> Design {
    let mut files = vec![
        ("isa_pkg.sv".to_owned(), packages::isa()),
        ("arch_pkg.sv".to_owned(), packages::arch(arch)),
    ];
    let primitives = match technology {
        Technology::Generic => GENERIC,
        Technology::Ice40 => ICE40,
    };
    for (path, text) in CELLS.iter().chain(primitives) {
        let on_chip = arch.memory.attachment == Attachment::OnChip;
        if on_chip || !path.contains("memory_on_chip") && !path.contains("spram") {
            files.push((file_name(path), (*text).to_owned()));
        }
    }
    files.push((format!("{CORE_TOP}.sv"), top::core(arch)));
    if arch.host == Host::Axi {
        files.extend(
            AXI.iter()
                .map(|(path, text)| (file_name(path), (*text).to_owned())),
        );
        files.push((format!("{AXI_TOP}.sv"), axi::top(arch)));
    }
    Design {
        name: arch.name.clone(),
        top: CORE_TOP.to_owned(),
        files,
        arch_hash: arch.hash(),
    }
}

/// Generates the Design of `arch` for `board`, with [`UART_TOP`] as its top.
///
/// # Errors
/// Why this board cannot carry this Arch, as the end of a sentence.
pub fn generate_for(arch: &Arch, board: &Board, technology: Technology) -> Result<Design, String> {
    let pll = shell::settings(arch, board)?;
    let clock = match technology {
        Technology::Generic => GENERIC_CLOCK,
        Technology::Ice40 => ICE40_CLOCK,
    };
    let mut design = generate(arch, technology);
    for (path, text) in UART.iter().chain(clock) {
        design.files.push((file_name(path), (*text).to_owned()));
    }
    let top = shell::top(arch, board, pll);
    design.files.push((format!("{UART_TOP}.sv"), top));
    UART_TOP.clone_into(&mut design.top);
    Ok(design)
}

fn file_name(path: &str) -> String {
    Path::new(path)
        .file_name()
        .and_then(|n| n.to_str())
        .expect("cells have file names")
        .to_owned()
}

/// The SystemVerilog package of the instruction set, the same for all designs.
pub fn isa_package() -> String {
    packages::isa()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arch(text: &str) -> Arch {
        ir::arch::read("arch.toml", text).expect("it is an arch")
    }

    /// The text without its comments; a comment that is never closed ends with the text.
    fn code(text: &str) -> String {
        let mut code = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('/') {
            code += &rest[..at];
            rest = &rest[at..];
            let end = match rest.as_bytes().get(1) {
                // Whatever some reader takes for the end of a line.
                Some(b'/') => rest.find(|c| "\n\r\u{b}\u{c}\u{85}\u{2028}\u{2029}\0".contains(c)),
                Some(b'*') => rest[2..].find("*/").map(|end| end + 4),
                _ => {
                    code.push('/');
                    Some(1)
                }
            };
            rest = &rest[end.unwrap_or(rest.len())..];
        }
        code + rest
    }

    #[test]
    fn text_of_an_arch_stays_in_comments() {
        let board = Board::named("icebreaker").expect("a board");
        for toml in [
            include_str!("../../examples/archs/nano.toml"),
            include_str!("../../examples/archs/edge.toml"),
        ] {
            let arch = arch(toml);
            let designs = |arch: &Arch| {
                let mut designs = vec![generate(arch, Technology::Generic)];
                designs.extend(generate_for(arch, &board, Technology::Ice40).ok());
                designs
            };
            let plain = designs(&arch);
            for text in ir::text::hostile() {
                // The reader refuses both; the generator does not rely on it.
                let hostile = Arch {
                    name: text.clone(),
                    description: text,
                    ..arch.clone()
                };
                for (plain, hostile) in plain.iter().zip(designs(&hostile)) {
                    for ((file, plain), (_, hostile)) in plain.files.iter().zip(&hostile.files) {
                        let code = |text: &str| code(text).replace(hash_of(text), "HASH");
                        assert_eq!(code(hostile), code(plain), "{file}");
                    }
                }
            }
        }
    }

    /// The hash of the arch that the text of a package holds.
    fn hash_of(text: &str) -> &str {
        text.split_once("ArchHash = 64'h")
            .map_or("no hash", |(_, rest)| &rest[..16])
    }
}
