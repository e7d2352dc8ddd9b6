//! The generated top for systems with AXI: the core behind `shell_axi`.

use ir::Arch;
use ir::arch::Counters;

/// `tilewright_axi`: AXI4-Lite registers, AXI4 memory.
pub(super) fn top(arch: &Arch) -> String {
    let (count, wire, shell, core) = match arch.counters {
        Counters::Full => (
            "arch_pkg::Counters",
            "  logic [32*arch_pkg::Counters-1:0] counters;\n",
            "counters",
            "    .counters_o   (counters),\n",
        ),
        Counters::Basic => ("1", "", "32'd0", ""),
    };
    format!(
        "/// The machine of arch `{name}` with registers on AXI4-Lite and memory on AXI4.\n///\n\
         /// Generated; do not edit. `shell_axi` says what the registers mean.\n\
         module {top} (\n{PORTS});\n{wire}{WIRES}\n  shell_axi #(\n    .WordBits (arch_pkg::WordBits),\n    \
         .AddrWidth(22),\n    .Counters ({count})\n  ) u_shell (\n{SHELL}    .counters_i   ({shell}),\n{SHELL_MEMORY}  );\n\n  \
         // The trace is for simulation.\n  assign unused_trace = ^trace;\n\n  {inner} u_machine (\n{CORE}{core}{CORE_MEMORY}  );\nendmodule\n",
        name = ir::text::comment(&arch.name),
        top = super::AXI_TOP,
        inner = super::CORE_TOP,
    )
}

const PORTS: &str = "  input  logic        clk_i,
  input  logic        rst_ni,
  // Registers: AXI4-Lite.
  input  logic        s_awvalid_i,
  output logic        s_awready_o,
  input  logic [7:0]  s_awaddr_i,
  input  logic        s_wvalid_i,
  output logic        s_wready_o,
  input  logic [31:0] s_wdata_i,
  output logic        s_bvalid_o,
  input  logic        s_bready_i,
  output logic [1:0]  s_bresp_o,
  input  logic        s_arvalid_i,
  output logic        s_arready_o,
  input  logic [7:0]  s_araddr_i,
  output logic        s_rvalid_o,
  input  logic        s_rready_i,
  output logic [31:0] s_rdata_o,
  output logic [1:0]  s_rresp_o,
  // Memory: AXI4, read channels.
  output logic        m_arvalid_o,
  input  logic        m_arready_i,
  output logic [63:0] m_araddr_o,
  output logic [7:0]  m_arlen_o,
  output logic [2:0]  m_arsize_o,
  output logic [1:0]  m_arburst_o,
  input  logic        m_rvalid_i,
  output logic        m_rready_o,
  input  logic [arch_pkg::WordBits-1:0] m_rdata_i,
  input  logic [1:0]  m_rresp_i,
  // Memory: AXI4, write channels.
  output logic        m_awvalid_o,
  input  logic        m_awready_i,
  output logic [63:0] m_awaddr_o,
  output logic [7:0]  m_awlen_o,
  output logic [2:0]  m_awsize_o,
  output logic [1:0]  m_awburst_o,
  output logic        m_wvalid_o,
  input  logic        m_wready_i,
  output logic [arch_pkg::WordBits-1:0] m_wdata_o,
  output logic [arch_pkg::WordBits/8-1:0] m_wstrb_o,
  output logic        m_wlast_o,
  input  logic        m_bvalid_i,
  output logic        m_bready_o,
  input  logic [1:0]  m_bresp_i
";

const WIRES: &str = "  logic        start, busy, fault;
  logic [21:0] prog_base, prog_chunks;
  logic [31:0] cycles;
  logic [63:0] arch_hash;
  logic [7:0]  trace;
  logic        unused_trace;
  logic        rd_valid, rd_ready, rdata_valid;
  logic        wr_valid, wr_ready, wdata_valid, wdata_ready, wdone;
  logic [21:0] rd_addr, wr_addr;
  logic [8:0]  rd_len, wr_len;
  logic [arch_pkg::WordBits-1:0] rdata, wdata;
";

const SHELL: &str = "    .clk_i,
    .rst_ni,
    .s_awvalid_i,
    .s_awready_o,
    .s_awaddr_i,
    .s_wvalid_i,
    .s_wready_o,
    .s_wdata_i,
    .s_bvalid_o,
    .s_bready_i,
    .s_bresp_o,
    .s_arvalid_i,
    .s_arready_o,
    .s_araddr_i,
    .s_rvalid_o,
    .s_rready_i,
    .s_rdata_o,
    .s_rresp_o,
    .m_arvalid_o,
    .m_arready_i,
    .m_araddr_o,
    .m_arlen_o,
    .m_arsize_o,
    .m_arburst_o,
    .m_rvalid_i,
    .m_rready_o,
    .m_rdata_i,
    .m_rresp_i,
    .m_awvalid_o,
    .m_awready_i,
    .m_awaddr_o,
    .m_awlen_o,
    .m_awsize_o,
    .m_awburst_o,
    .m_wvalid_o,
    .m_wready_i,
    .m_wdata_o,
    .m_wstrb_o,
    .m_wlast_o,
    .m_bvalid_i,
    .m_bready_o,
    .m_bresp_i,
    .start_o      (start),
    .prog_base_o  (prog_base),
    .prog_chunks_o(prog_chunks),
    .busy_i       (busy),
    .fault_i      (fault),
    .cycles_i     (cycles),
";

const SHELL_MEMORY: &str = "    .arch_hash_i  (arch_hash),
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
    .wdata_valid_i(wdata_valid),
    .wdata_ready_o(wdata_ready),
    .wdata_i      (wdata),
    .wdone_o      (wdone)
";

const CORE: &str = "    .clk_i,
    .rst_ni,
    .start_i      (start),
    .prog_base_i  (prog_base),
    .prog_chunks_i(prog_chunks),
    .busy_o       (busy),
    .fault_o      (fault),
    .cycles_o     (cycles),
    .arch_hash_o  (arch_hash),
";

const CORE_MEMORY: &str = "    .trace_o      (trace),
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
";
