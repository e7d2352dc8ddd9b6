/// Two signed 8x8 multipliers side by side: one SB_MAC16 in dual 8x8 mode.
///
/// Latency 2, one pair of products a cycle: operands in cycle p, products in cycle p+2. The stages
/// are the operand and product registers of the cell; neither has a reset or an enable.
///
/// There is no accumulator. Never synthesise with `synth_ice40 -dsp`: it rewrites this cell to
/// another mode without an error.
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
  SB_MAC16 #(
    .NEG_TRIGGER             (1'b0),
    .A_REG                   (1'b1),
    .B_REG                   (1'b1),
    .C_REG                   (1'b0),
    .D_REG                   (1'b0),
    .TOP_8x8_MULT_REG        (1'b1),
    .BOT_8x8_MULT_REG        (1'b1),
    .PIPELINE_16x16_MULT_REG1(1'b0),
    .PIPELINE_16x16_MULT_REG2(1'b0),
    .TOPOUTPUT_SELECT        (2'b10),
    .TOPADDSUB_LOWERINPUT    (2'b00),
    .TOPADDSUB_UPPERINPUT    (1'b0),
    .TOPADDSUB_CARRYSELECT   (2'b00),
    .BOTOUTPUT_SELECT        (2'b10),
    .BOTADDSUB_LOWERINPUT    (2'b00),
    .BOTADDSUB_UPPERINPUT    (1'b0),
    .BOTADDSUB_CARRYSELECT   (2'b00),
    // Without it the low lane is unsigned.
    .MODE_8x8                (1'b1),
    .A_SIGNED                (1'b1),
    .B_SIGNED                (1'b1)
  ) u_mac (
    .CLK       (clk_i),
    .CE        (1'b1),
    .A         ({x1_i, x0_i}),
    .B         ({w1_i, w0_i}),
    .C         (16'd0),
    .D         (16'd0),
    .AHOLD     (1'b0),
    .BHOLD     (1'b0),
    .CHOLD     (1'b0),
    .DHOLD     (1'b0),
    .IRSTTOP   (1'b0),
    .IRSTBOT   (1'b0),
    .ORSTTOP   (1'b0),
    .ORSTBOT   (1'b0),
    .OLOADTOP  (1'b0),
    .OLOADBOT  (1'b0),
    .ADDSUBTOP (1'b0),
    .ADDSUBBOT (1'b0),
    .OHOLDTOP  (1'b0),
    .OHOLDBOT  (1'b0),
    .CI        (1'b0),
    .ACCUMCI   (1'b0),
    .SIGNEXTIN (1'b0),
    .O         ({p1_o, p0_o}),
    .CO        (),
    .ACCUMCO   (),
    .SIGNEXTOUT()
  );
endmodule
