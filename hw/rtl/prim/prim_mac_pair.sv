/// Two signed 8x8 multipliers side by side.
///
/// Latency 2, one pair of products a cycle: operands in cycle p, products in cycle p+2. The stages
/// are an operand register and a product register; neither has a reset or an enable, so products
/// of what was on the operands before is visible in the first two cycles.
///
/// There is no accumulator. This is the generic version; the one for iCE40 UltraPlus has the same
/// name and is chosen by the file list.
module prim_mac_pair (
  input  logic        clk_i,
  // Operands, two's complement.
  input  logic [7:0]  x0_i,
  input  logic [7:0]  w0_i,
  input  logic [7:0]  x1_i,
  input  logic [7:0]  w1_i,
  // Products, two's complement.
  output logic [15:0] p0_o,
  output logic [15:0] p1_o
);
  logic signed [7:0] x0_q, w0_q, x1_q, w1_q;

  always_ff @(posedge clk_i) begin
    x0_q <= x0_i;
    w0_q <= w0_i;
    x1_q <= x1_i;
    w1_q <= w1_i;
    p0_o <= 16'(x0_q) * 16'(w0_q);
    p1_o <= 16'(x1_q) * 16'(w1_q);
  end
endmodule
