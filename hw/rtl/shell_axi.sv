/// Host shell for systems with AXI: registers on AXI4-Lite, memory on AXI4.
///
/// The core's bursts map to AXI one to one: a read burst is one AR, a write burst is one AW, its W
/// beats and one B. Bursts are incrementing, of full width, and never cross `BurstWords` words, so
/// none crosses 4 KiB. All use one ID, so answers come in order. A beat or response is taken in the
/// cycle in which it is offered. A write address that has to wait is held here, so that data never
/// wait for it: they are offered from the cycle after their address on.
///
/// Registers (32 bits, byte addresses; all others read 0 and ignore writes):
///
/// - 0x00, 0x04: hash of the Arch, low and high half
/// - 0x08: control; writing bit 0 starts the program if the machine is idle
/// - 0x0c: status; bit 0 busy, bit 1 semaphore fault, bit 2 error response from memory
/// - 0x10: word address of the program; 0x14: its length in chunks
/// - 0x18, 0x1c: byte address of memory word 0, low and high half; a multiple of 4 KiB
/// - 0x20: cycles of the last run
/// - 0x40 and up: the counters, if the design has them
///
/// It has no interrupt and no write strobes: a register is written whole.
module shell_axi #(
  parameter int WordBits  = 128,
  parameter int AddrWidth = 22,
  // Number of 32-bit counters.
  parameter int Counters  = 20,
  parameter int StrbWidth = WordBits / 8
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  // Registers: AXI4-Lite.
  input  logic                   s_awvalid_i,
  output logic                   s_awready_o,
  input  logic [7:0]             s_awaddr_i,
  input  logic                   s_wvalid_i,
  output logic                   s_wready_o,
  input  logic [31:0]            s_wdata_i,
  output logic                   s_bvalid_o,
  input  logic                   s_bready_i,
  output logic [1:0]             s_bresp_o,
  input  logic                   s_arvalid_i,
  output logic                   s_arready_o,
  input  logic [7:0]             s_araddr_i,
  output logic                   s_rvalid_o,
  input  logic                   s_rready_i,
  output logic [31:0]            s_rdata_o,
  output logic [1:0]             s_rresp_o,
  // Memory: AXI4, read channels.
  output logic                   m_arvalid_o,
  input  logic                   m_arready_i,
  output logic [63:0]            m_araddr_o,
  output logic [7:0]             m_arlen_o,
  output logic [2:0]             m_arsize_o,
  output logic [1:0]             m_arburst_o,
  input  logic                   m_rvalid_i,
  output logic                   m_rready_o,
  input  logic [WordBits-1:0]    m_rdata_i,
  input  logic [1:0]             m_rresp_i,
  // Memory: AXI4, write channels.
  output logic                   m_awvalid_o,
  input  logic                   m_awready_i,
  output logic [63:0]            m_awaddr_o,
  output logic [7:0]             m_awlen_o,
  output logic [2:0]             m_awsize_o,
  output logic [1:0]             m_awburst_o,
  output logic                   m_wvalid_o,
  input  logic                   m_wready_i,
  output logic [WordBits-1:0]    m_wdata_o,
  output logic [StrbWidth-1:0]   m_wstrb_o,
  output logic                   m_wlast_o,
  input  logic                   m_bvalid_i,
  output logic                   m_bready_o,
  input  logic [1:0]             m_bresp_i,
  // Core: control.
  output logic                   start_o,
  output logic [AddrWidth-1:0]   prog_base_o,
  output logic [AddrWidth-1:0]   prog_chunks_o,
  input  logic                   busy_i,
  input  logic                   fault_i,
  input  logic [31:0]            cycles_i,
  input  logic [32*Counters-1:0] counters_i,
  input  logic [63:0]            arch_hash_i,
  // Core: memory bursts.
  input  logic                   rd_valid_i,
  output logic                   rd_ready_o,
  input  logic [AddrWidth-1:0]   rd_addr_i,
  input  logic [8:0]             rd_len_i,
  output logic                   rdata_valid_o,
  output logic [WordBits-1:0]    rdata_o,
  input  logic                   wr_valid_i,
  output logic                   wr_ready_o,
  input  logic [AddrWidth-1:0]   wr_addr_i,
  input  logic [8:0]             wr_len_i,
  input  logic                   wdata_valid_i,
  output logic                   wdata_ready_o,
  input  logic [WordBits-1:0]    wdata_i,
  output logic                   wdone_o
);
  localparam int ByteBits = $clog2(StrbWidth);

  localparam logic [7:0] RegHashLow   = 8'h00;
  localparam logic [7:0] RegHashHigh  = 8'h04;
  localparam logic [7:0] RegControl   = 8'h08;
  localparam logic [7:0] RegStatus    = 8'h0c;
  localparam logic [7:0] RegBase      = 8'h10;
  localparam logic [7:0] RegChunks    = 8'h14;
  localparam logic [7:0] RegMemLow    = 8'h18;
  localparam logic [7:0] RegMemHigh   = 8'h1c;
  localparam logic [7:0] RegCycles    = 8'h20;
  localparam logic [7:0] RegCounters  = 8'h40;

  // ---- Registers ------------------------------------------------------------------------------

  logic [AddrWidth-1:0] base_q, chunks_q;
  logic [63:0]          memory_q;
  logic                 start_q, error_q, bvalid_q, rvalid_q;
  logic [31:0]          rdata_q, read_value;
  logic                 write, read;

  // Address and data of a write are taken together, when the last response is gone.
  assign write       = s_awvalid_i && s_wvalid_i && (!bvalid_q || s_bready_i);
  assign s_awready_o = write;
  assign s_wready_o  = write;
  assign s_bvalid_o  = bvalid_q;
  assign s_bresp_o   = 2'b00;
  assign read        = s_arvalid_i && (!rvalid_q || s_rready_i);
  assign s_arready_o = read;
  assign s_rvalid_o  = rvalid_q;
  assign s_rdata_o   = rdata_q;
  assign s_rresp_o   = 2'b00;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      bvalid_q <= 1'b0;
      rvalid_q <= 1'b0;
      start_q  <= 1'b0;
      error_q  <= 1'b0;
      base_q   <= '0;
      chunks_q <= '0;
      memory_q <= '0;
    end else begin
      bvalid_q <= write || (bvalid_q && !s_bready_i);
      rvalid_q <= read || (rvalid_q && !s_rready_i);
      start_q  <= write && (s_awaddr_i == RegControl) && s_wdata_i[0] && !busy_i && !start_q;
      if (start_q) error_q <= 1'b0;
      else if ((m_rvalid_i && m_rresp_i[1]) || (m_bvalid_i && m_bresp_i[1])) error_q <= 1'b1;
      if (write && (s_awaddr_i == RegBase))    base_q          <= s_wdata_i[AddrWidth-1:0];
      if (write && (s_awaddr_i == RegChunks))  chunks_q        <= s_wdata_i[AddrWidth-1:0];
      if (write && (s_awaddr_i == RegMemLow))  memory_q[31:0]  <= s_wdata_i;
      if (write && (s_awaddr_i == RegMemHigh)) memory_q[63:32] <= s_wdata_i;
    end
  end

  always_comb begin
    unique case (s_araddr_i)
      RegHashLow:  read_value = arch_hash_i[31:0];
      RegHashHigh: read_value = arch_hash_i[63:32];
      RegStatus:   read_value = {29'd0, error_q, fault_i, busy_i || start_q};
      RegBase:     read_value = 32'(base_q);
      RegChunks:   read_value = 32'(chunks_q);
      RegMemLow:   read_value = memory_q[31:0];
      RegMemHigh:  read_value = memory_q[63:32];
      RegCycles:   read_value = cycles_i;
      default:     read_value = 32'd0;
    endcase
    for (int c = 0; c < Counters; c++) begin
      if (s_araddr_i == RegCounters + 8'(4 * c)) read_value = counters_i[32*c +: 32];
    end
  end

  always_ff @(posedge clk_i) begin
    if (read) rdata_q <= read_value;
  end

  assign start_o       = start_q;
  assign prog_base_o   = base_q;
  assign prog_chunks_o = chunks_q;

  // ---- Memory ---------------------------------------------------------------------------------

  logic                 held_q;
  logic [AddrWidth-1:0] held_addr_q, write_addr;
  logic [8:0]           held_len_q, write_len, beats_q;
  logic                 accept, unused_resp;

  assign m_arvalid_o   = rd_valid_i;
  assign rd_ready_o    = m_arready_i;
  assign m_araddr_o    = memory_q + {{(64-AddrWidth-ByteBits){1'b0}}, rd_addr_i, {ByteBits{1'b0}}};
  assign m_arlen_o     = 8'(rd_len_i - 9'd1);
  assign m_arsize_o    = 3'(ByteBits);
  assign m_arburst_o   = 2'b01;
  assign m_rready_o    = 1'b1;
  assign rdata_valid_o = m_rvalid_i;
  assign rdata_o       = m_rdata_i;

  assign accept        = wr_valid_i && !held_q;
  assign write_addr    = held_q ? held_addr_q : wr_addr_i;
  assign write_len     = held_q ? held_len_q : wr_len_i;
  assign m_awvalid_o   = wr_valid_i || held_q;
  assign wr_ready_o    = !held_q;
  assign m_awaddr_o    = memory_q + {{(64-AddrWidth-ByteBits){1'b0}}, write_addr, {ByteBits{1'b0}}};
  assign m_awlen_o     = 8'(write_len - 9'd1);
  assign m_awsize_o    = 3'(ByteBits);
  assign m_awburst_o   = 2'b01;
  assign m_wvalid_o    = wdata_valid_i;
  assign wdata_ready_o = m_wready_i;
  assign m_wdata_o     = wdata_i;
  assign m_wstrb_o     = '1;
  assign m_wlast_o     = (beats_q == 9'd1);
  assign m_bready_o    = 1'b1;
  assign wdone_o       = m_bvalid_i;
  assign unused_resp   = ^{m_rresp_i[0], m_bresp_i[0]};

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) held_q <= 1'b0;
    else         held_q <= m_awvalid_o && !m_awready_i;
  end

  // Beats left of the write burst under way.
  always_ff @(posedge clk_i) begin
    if (accept) begin
      held_addr_q <= wr_addr_i;
      held_len_q  <= wr_len_i;
      beats_q     <= wr_len_i;
    end else if (wdata_valid_i && wdata_ready_o) begin
      beats_q <= beats_q - 9'd1;
    end
  end
endmodule
