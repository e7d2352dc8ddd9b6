/// Clock of the design from the clock of the board.
///
/// This generic version passes the clock through and ignores its parameters, which are those of the
/// iCE40's PLL; the version with a PLL has the same name and is chosen by the file list.
///
/// `locked_o` is low while the clock cannot be used yet.
module prim_clock #(
  parameter logic [3:0] DivR        = 4'd0,
  parameter logic [6:0] DivF        = 7'd0,
  parameter logic [2:0] DivQ        = 3'd0,
  parameter logic [2:0] FilterRange = 3'd0
) (
  input  logic clk_i,
  output logic clk_o,
  output logic locked_o
);
  logic unused;

  assign clk_o    = clk_i;
  assign locked_o = 1'b1;
  assign unused   = ^{DivR, DivF, DivQ, FilterRange};
endmodule
