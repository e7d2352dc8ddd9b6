/// Board shell with a serial host: clock, reset, `host_uart`, and two lights.
///
/// The core runs on `core_clk_o`, which `prim_clock` makes from the board's clock. Its reset is
/// asserted at once when the button is pressed or the clock is not yet stable, and released two
/// clock edges after both are over.
///
/// It does not contain the core: the generated top joins both.
module shell_uart #(
  parameter int ClocksPerBit = 12,
  // Settings of the clock generator, see `prim_clock`.
  parameter logic [3:0] DivR        = 4'd0,
  parameter logic [6:0] DivF        = 7'd63,
  parameter logic [2:0] DivQ        = 3'd5,
  parameter logic [2:0] FilterRange = 3'd1
) (
  // Board.
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        rx_i,
  output logic        tx_o,
  output logic        led_busy_no,
  output logic        led_fault_no,
  // Core: clock and reset.
  output logic        core_clk_o,
  output logic        core_rst_no,
  // Core: identity, memory, control and status, as `host_uart` has them.
  input  logic [63:0] arch_hash_i,
  output logic        mem_valid_o,
  input  logic        mem_ready_i,
  output logic        mem_we_o,
  output logic [13:0] mem_addr_o,
  output logic [63:0] mem_wdata_o,
  input  logic        mem_rvalid_i,
  input  logic [63:0] mem_rdata_i,
  output logic        start_o,
  output logic [13:0] prog_base_o,
  output logic [13:0] prog_chunks_o,
  input  logic        busy_i,
  input  logic        fault_i,
  input  logic [31:0] cycles_i
);
  logic       clk, locked, run;
  logic [1:0] reset_q;

  prim_clock #(
    .DivR       (DivR),
    .DivF       (DivF),
    .DivQ       (DivQ),
    .FilterRange(FilterRange)
  ) u_clock (
    .clk_i,
    .clk_o   (clk),
    .locked_o(locked)
  );

  assign run = rst_ni && locked;

  always_ff @(posedge clk or negedge run) begin
    if (!run) reset_q <= 2'b00;
    else      reset_q <= {reset_q[0], 1'b1};
  end

  assign core_clk_o   = clk;
  assign core_rst_no  = reset_q[1];
  assign led_busy_no  = !busy_i;
  assign led_fault_no = !fault_i;

  host_uart #(
    .ClocksPerBit(ClocksPerBit)
  ) u_host (
    .clk_i  (clk),
    .rst_ni (core_rst_no),
    .arch_hash_i,
    .rx_i,
    .tx_o,
    .mem_valid_o,
    .mem_ready_i,
    .mem_we_o,
    .mem_addr_o,
    .mem_wdata_o,
    .mem_rvalid_i,
    .mem_rdata_i,
    .start_o,
    .prog_base_o,
    .prog_chunks_o,
    .busy_i,
    .fault_i,
    .cycles_i
  );
endmodule
