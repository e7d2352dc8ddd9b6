//! The generated top: the core, and its memory if that is on chip.

use ir::Arch;
use ir::arch::{Attachment, Counters, clog2};

const HOST_PORTS: &str = "  input  logic        clk_i,
  input  logic        rst_ni,
  // Host: doorbell, program, status.
  input  logic        start_i,
  input  logic [21:0] prog_base_i,
  input  logic [21:0] prog_chunks_i,
  output logic        busy_o,
  output logic        fault_o,
  output logic [31:0] cycles_o,
  output logic [63:0] arch_hash_o,
";

/// `tilewright_core`: what simulation drives and a host shell wraps.
pub(super) fn core(arch: &Arch) -> String {
    let counters = match arch.counters {
        Counters::Full => {
            "  // Fetch, load, exec, vec and store, four counters each.\n  output logic [32*arch_pkg::Counters-1:0] counters_o,\n"
        }
        Counters::Basic => "",
    };
    let (memory_ports, memory) = match arch.memory.attachment {
        Attachment::OnChip => (ON_CHIP_PORTS, ON_CHIP),
        Attachment::Port => (PORT_PORTS, PORT),
    };
    let unused_counters = match arch.counters {
        Counters::Full => "",
        Counters::Basic => {
            "  logic [31:0] counters_o;\n  logic        unused_counters;\n\n  assign unused_counters = ^counters_o;\n"
        }
    };
    let narrow = clog2(arch.memory.words) < 22;
    let unused_base = if narrow {
        "  logic unused_base;\n\n  assign unused_base = ^{prog_base_i, prog_chunks_i};\n"
    } else {
        ""
    };
    format!(
        "/// The machine of arch `{name}`.\n///\n/// Generated; do not edit. `core` says what the ports mean.\n\
         module {top} (\n{HOST_PORTS}{counters}  // Starts (bits 3:0) and signals (bits 7:4) of load, exec, vec and store.\n  \
         output logic [7:0]  trace_o,\n{memory_ports});\n{unused_counters}{unused_base}  assign arch_hash_o = arch_pkg::ArchHash;\n{memory}endmodule\n",
        name = ir::text::comment(&arch.name),
        top = super::CORE_TOP,
    )
}

const PORT_PORTS: &str = "  // Memory: read bursts, a beat is always taken.
  output logic        rd_valid_o,
  input  logic        rd_ready_i,
  output logic [21:0] rd_addr_o,
  output logic [8:0]  rd_len_o,
  input  logic        rdata_valid_i,
  input  logic [arch_pkg::WordBits-1:0] rdata_i,
  // Memory: write bursts.
  output logic        wr_valid_o,
  input  logic        wr_ready_i,
  output logic [21:0] wr_addr_o,
  output logic [8:0]  wr_len_o,
  output logic        wdata_valid_o,
  input  logic        wdata_ready_i,
  output logic [arch_pkg::WordBits-1:0] wdata_o,
  input  logic        wdone_i
";

const PORT: &str = "
  logic [arch_pkg::MemoryAddrWidth-1:0] rd_addr, wr_addr;
  logic [arch_pkg::BurstLenWidth-1:0]   rd_len, wr_len;

  assign rd_addr_o = 22'(rd_addr);
  assign rd_len_o  = 9'(rd_len);
  assign wr_addr_o = 22'(wr_addr);
  assign wr_len_o  = 9'(wr_len);

  core u_core (
    .clk_i,
    .rst_ni,
    .start_i,
    .prog_base_i  (prog_base_i[arch_pkg::MemoryAddrWidth-1:0]),
    .prog_chunks_i(prog_chunks_i[arch_pkg::MemoryAddrWidth-1:0]),
    .busy_o,
    .fault_o,
    .cycles_o,
    .counters_o,
    .trace_o,
    .rd_valid_o,
    .rd_ready_i,
    .rd_addr_o    (rd_addr),
    .rd_len_o     (rd_len),
    .rdata_valid_i,
    .rdata_i,
    .wr_valid_o,
    .wr_ready_i,
    .wr_addr_o    (wr_addr),
    .wr_len_o     (wr_len),
    .wdata_valid_o,
    .wdata_ready_i,
    .wdata_o,
    .wdone_i
  );
";

const ON_CHIP_PORTS: &str =
    "  // Memory, for the host while the machine is idle: one word an access.
  input  logic        host_valid_i,
  input  logic        host_write_i,
  input  logic [13:0] host_addr_i,
  input  logic [63:0] host_wdata_i,
  output logic        host_ready_o,
  output logic        host_rvalid_o,
  output logic [63:0] host_rdata_o
";

const ON_CHIP: &str = "
  logic        rd_valid, rd_ready, rdata_valid;
  logic        wr_valid, wr_ready, wdata_valid, wdata_ready, wdone;
  logic [13:0] rd_addr, wr_addr;
  logic [arch_pkg::BurstLenWidth-1:0] rd_len, wr_len;
  logic [63:0] rdata, wdata;
  logic        unused;

  core u_core (
    .clk_i,
    .rst_ni,
    .start_i,
    .prog_base_i  (prog_base_i[13:0]),
    .prog_chunks_i(prog_chunks_i[13:0]),
    .busy_o,
    .fault_o,
    .cycles_o,
    .counters_o,
    .trace_o,
    .rd_valid_o   (rd_valid),
    .rd_ready_i   (rd_ready),
    .rd_addr_o    (rd_addr),
    .rd_len_o     (rd_len),
    .rdata_valid_i(rdata_valid),
    .rdata_i      (rdata),
    .wr_valid_o   (wr_valid),
    .wr_ready_i   (wr_ready),
    .wr_addr_o    (wr_addr),
    .wr_len_o     (wr_len),
    .wdata_valid_o(wdata_valid),
    .wdata_ready_i(wdata_ready),
    .wdata_o      (wdata),
    .wdone_i      (wdone)
  );

  // STORE has its data ready when a burst is accepted, so the memory takes a beat every cycle.
  assign unused       = wdata_valid;
  assign host_rdata_o = rdata;

  memory_on_chip #(
    .LenWidth(arch_pkg::BurstLenWidth)
  ) u_memory (
    .clk_i,
    .rst_ni,
    .rd_valid_i   (rd_valid),
    .rd_ready_o   (rd_ready),
    .rd_addr_i    (rd_addr),
    .rd_len_i     (rd_len),
    .rdata_valid_o(rdata_valid),
    .rdata_o      (rdata),
    .wr_valid_i   (wr_valid),
    .wr_ready_o   (wr_ready),
    .wr_addr_i    (wr_addr),
    .wr_len_i     (wr_len),
    .wdata_ready_o(wdata_ready),
    .wdata_i      (wdata),
    .wdone_o      (wdone),
    .idle_i       (!busy_o && !start_i),
    .host_valid_i,
    .host_write_i,
    .host_addr_i,
    .host_wdata_i,
    .host_ready_o,
    .host_rvalid_o
  );
";
