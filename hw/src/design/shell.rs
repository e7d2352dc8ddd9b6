//! The generated top of a board with a serial host: `shell_uart` joined with the core.

use ir::Arch;
use ir::arch::{Attachment, Host};

use crate::flow::{Board, Resources};

/// Dividers of the iCE40's PLL, in the order of their names: see `hw/rtl/ice40/prim_clock.sv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pll {
    div_r: u64,
    div_f: u64,
    div_q: u32,
    filter_range: u32,
}

impl Pll {
    /// Dividers that make exactly `wanted_hz` of `reference_hz`, if there are any.
    pub(super) fn new(reference_hz: u64, wanted_hz: u64) -> Option<Pll> {
        const MHZ: u64 = 1_000_000;
        for div_r in 0..16 {
            let phase_hz = reference_hz / (div_r + 1);
            for (div_f, div_q) in (0..64).flat_map(|f| (1..7).map(move |q| (f, q))) {
                let loop_hz = phase_hz * (div_f + 1);
                let exact = reference_hz * (div_f + 1) == (wanted_hz * (div_r + 1)) << div_q;
                let allowed = (10 * MHZ..=133 * MHZ).contains(&phase_hz)
                    && (533 * MHZ..=1066 * MHZ).contains(&loop_hz);
                if exact && allowed {
                    let limits = [17, 26, 44, 66, 101];
                    let above = limits.iter().filter(|limit| phase_hz >= **limit * MHZ);
                    return Some(Pll {
                        div_r,
                        div_f,
                        div_q,
                        filter_range: above.count() as u32 + 1,
                    });
                }
            }
        }
        None
    }
}

/// Why the shell cannot serve `arch` on `board`, or its PLL settings.
pub(super) fn settings(arch: &Arch, board: &Board) -> Result<Pll, String> {
    if arch.host != Host::Uart {
        return Err("its host is not a UART".to_owned());
    }
    if arch.memory.attachment != Attachment::OnChip {
        return Err("its memory is not on chip".to_owned());
    }
    if (arch.memory.words, arch.word_bytes()) != (16384, 8) {
        return Err("its memory is not 16384 words of 8 bytes".to_owned());
    }
    Pll::new(board.clock_hz, arch.clock_hz).ok_or_else(|| {
        format!(
            "the PLL cannot make {} Hz of the board's {} Hz",
            arch.clock_hz, board.clock_hz
        )
    })
}

/// `tilewright_uart`.
pub(super) fn top(arch: &Arch, board: &Board, pll: Pll) -> String {
    TOP.replace("ARCH", &ir::text::comment(&arch.name))
        .replace("BOARD", board.name)
        .replace("CLOCKS_PER_BIT", &board.clocks_per_bit.to_string())
        .replace("DIV_R", &pll.div_r.to_string())
        .replace("DIV_F", &pll.div_f.to_string())
        .replace("DIV_Q", &pll.div_q.to_string())
        .replace("FILTER_RANGE", &pll.filter_range.to_string())
}

/// The hard cells that the design of `arch` has on an iCE40; `logic_cells` is 0.
pub fn hard_cells(arch: &Arch) -> Resources {
    let word = u64::from(arch.word_bytes()) * 8;
    let (rows, cols) = (u64::from(arch.array.rows), u64::from(arch.array.cols));
    let lanes = u64::from(arch.vector.requantise_lanes);
    let parameter_word = word.max(64 * lanes);
    let weights = u64::from(arch.weights.words);
    let pixels = u64::from(arch.accumulators.pixels);
    let channels = u64::from(arch.parameters.channels);
    let in_memory = arch.has(ir::arch::Dataflow::WeightStationary);

    // Number, width and depth of each memory.
    let mut memories = vec![
        (
            u64::from(arch.activations.banks),
            word,
            u64::from(arch.activations.words),
        ),
        (1, parameter_word, channels * 64 / parameter_word),
    ];
    memories.push(if arch.reads_whole_tiles() {
        (cols, word, weights / cols)
    } else {
        (1, word, weights)
    });
    memories.push(if in_memory {
        (2, 32 * cols, pixels)
    } else {
        (1, 32 * cols, 2 * pixels)
    });
    if arch.vector.table_lanes > 0 {
        memories.push((
            2 * u64::from(arch.vector.table_lanes),
            word,
            256 * 32 / word,
        ));
    }
    let on_chip = arch.memory.attachment == Attachment::OnChip;
    Resources {
        logic_cells: 0,
        multipliers: (rows * cols).div_ceil(2),
        block_rams: memories
            .into_iter()
            .map(|(n, width, depth)| n * block_rams(width, depth))
            .sum(),
        single_port_rams: if on_chip { 4 } else { 0 },
    }
}

/// Block memories for `depth` words of `width` bits: the least of the four shapes.
fn block_rams(width: u64, depth: u64) -> u64 {
    let shapes = [(16, 256), (8, 512), (4, 1024), (2, 2048)];
    let counts = shapes.map(|(w, d)| width.div_ceil(w) * depth.div_ceil(d));
    counts.into_iter().min().expect("four shapes")
}

const TOP: &str = "/// Arch `ARCH` on board `BOARD`, with a serial host.
///
/// Generated; do not edit. `shell_uart` says what the ports mean.
module tilewright_uart (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic rx_i,
  output logic tx_o,
  output logic led_busy_no,
  output logic led_fault_no
);
  logic        clk, rst_n, start, busy, fault, unused;
  logic [13:0] prog_base, prog_chunks, host_addr;
  logic [31:0] cycles;
  logic [63:0] arch_hash, host_wdata, host_rdata;
  logic        host_valid, host_write, host_ready, host_rvalid;
  logic [7:0]  trace;

  assign unused = ^trace;

  shell_uart #(
    .ClocksPerBit(CLOCKS_PER_BIT),
    .DivR        (4'dDIV_R),
    .DivF        (7'dDIV_F),
    .DivQ        (3'dDIV_Q),
    .FilterRange (3'dFILTER_RANGE)
  ) u_shell (
    .clk_i,
    .rst_ni,
    .rx_i,
    .tx_o,
    .led_busy_no,
    .led_fault_no,
    .core_clk_o   (clk),
    .core_rst_no  (rst_n),
    .arch_hash_i  (arch_hash),
    .mem_valid_o  (host_valid),
    .mem_ready_i  (host_ready),
    .mem_we_o     (host_write),
    .mem_addr_o   (host_addr),
    .mem_wdata_o  (host_wdata),
    .mem_rvalid_i (host_rvalid),
    .mem_rdata_i  (host_rdata),
    .start_o      (start),
    .prog_base_o  (prog_base),
    .prog_chunks_o(prog_chunks),
    .busy_i       (busy),
    .fault_i      (fault),
    .cycles_i     (cycles)
  );

  tilewright_core u_machine (
    .clk_i        (clk),
    .rst_ni       (rst_n),
    .start_i      (start),
    .prog_base_i  (22'(prog_base)),
    .prog_chunks_i(22'(prog_chunks)),
    .busy_o       (busy),
    .fault_o      (fault),
    .cycles_o     (cycles),
    .arch_hash_o  (arch_hash),
    .trace_o      (trace),
    .host_valid_i (host_valid),
    .host_write_i (host_write),
    .host_addr_i  (host_addr),
    .host_wdata_i (host_wdata),
    .host_ready_o (host_ready),
    .host_rvalid_o(host_rvalid),
    .host_rdata_o (host_rdata)
  );
endmodule
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pll_settings_are_those_of_icepll() {
        let pll = |div_r, div_f, div_q, filter_range| {
            Some(Pll {
                div_r,
                div_f,
                div_q,
                filter_range,
            })
        };
        assert_eq!(Pll::new(12_000_000, 24_000_000), pll(0, 63, 5, 1));
        assert_eq!(Pll::new(12_000_000, 24_000_001), None);
    }

    #[test]
    fn block_memories_by_shape() {
        assert_eq!(block_rams(64, 256), 4);
        assert_eq!(block_rams(8, 512), 1);
        assert_eq!(block_rams(64, 300), 8);
    }
}
