//! Boards and parts, which are data: `constraints/` says what the files hold.

use serde::{Deserialize, Serialize};

/// The files of a board: name, description, pins.
const BOARDS: &[(&str, &str, &str)] = &[(
    "icebreaker",
    include_str!("../../../constraints/boards/icebreaker.toml"),
    include_str!("../../../constraints/boards/icebreaker.pcf"),
)];

const PARTS: &[(&str, &str)] = &[(
    "up5k-sg48",
    include_str!("../../../constraints/parts/up5k-sg48.toml"),
)];

/// A board that a bitstream is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// Its name: that of its files.
    pub name: &'static str,
    /// One line for people.
    pub description: String,
    /// The FPGA on it.
    pub part: Part,
    /// Frequency of the oscillator.
    pub clock_hz: u64,
    /// Cycles of the core's clock for a bit of the serial line.
    pub clocks_per_bit: u32,
    /// Pins of the shell's ports, as the placer reads them.
    pub pins: &'static str,
}

/// An FPGA in its package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name: that of its file.
    pub name: &'static str,
    /// The device, as the placer calls it.
    pub device: String,
    /// The package, as the placer calls it.
    pub package: String,
    /// What it has.
    pub capacity: Resources,
}

/// Numbers of cells of an FPGA, used or available.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Look-up table with carry and flip-flop.
    pub logic_cells: u64,
    /// Multiplier blocks.
    pub multipliers: u64,
    /// Block memories with two ports.
    pub block_rams: u64,
    /// Large memories with one port.
    pub single_port_rams: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BoardFile {
    format: u32,
    description: String,
    part: String,
    clock_hz: u64,
    clocks_per_bit: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartFile {
    format: u32,
    family: String,
    device: String,
    package: String,
    capacity: Resources,
}

impl Board {
    /// The names of all boards.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BOARDS.iter().map(|(name, ..)| *name)
    }

    /// The board `name`, if there is one.
    ///
    /// # Panics
    /// When the files of the board, which are part of the program, are wrong.
    pub fn named(name: &str) -> Option<Board> {
        let (name, text, pins) = BOARDS.iter().find(|(n, ..)| *n == name)?;
        let file: BoardFile = toml::from_str(text).expect("the board's file is legal");
        assert_eq!(file.format, 1, "the format of the board's file");
        assert_eq!(ir::text::check(&file.description), Ok(()));
        Some(Board {
            name,
            description: file.description,
            part: Part::named(&file.part),
            clock_hz: file.clock_hz,
            clocks_per_bit: file.clocks_per_bit,
            pins,
        })
    }

    /// Bits a second on the serial line when the core runs at `clock_hz`.
    pub fn baud(&self, clock_hz: u64) -> u64 {
        clock_hz / u64::from(self.clocks_per_bit)
    }
}

impl Part {
    fn named(name: &str) -> Part {
        let entry = PARTS.iter().find(|(n, _)| *n == name);
        let (name, text) = entry.expect("the board's part has a file");
        let file: PartFile = toml::from_str(text).expect("the part's file is legal");
        assert_eq!(file.format, 1, "the format of the part's file");
        assert_eq!(file.family, "ice40", "the family of the part");
        // Both become arguments of the placer.
        for word in [&file.device, &file.package] {
            assert!(
                word.chars().all(|c| c.is_ascii_alphanumeric()),
                "`{word}` is a word"
            );
        }
        Part {
            name,
            device: file.device,
            package: file.package,
            capacity: file.capacity,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_boards_are_legal() {
        for name in Board::names() {
            let board = Board::named(name).expect("a board of the list");
            let ports: Vec<&str> = (board.pins.lines())
                .filter(|line| line.starts_with("set_io"))
                .filter_map(|line| line.split(' ').rev().nth(1))
                .collect();
            assert_eq!(
                ports,
                [
                    "clk_i",
                    "rst_ni",
                    "rx_i",
                    "tx_o",
                    "led_busy_no",
                    "led_fault_no"
                ],
                "{name}"
            );
            assert!(board.clocks_per_bit >= 4);
        }
        assert_eq!(Board::named("nothing"), None);
    }
}
