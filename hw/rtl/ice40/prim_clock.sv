/// Clock of the design from the clock of the board: the iCE40's PLL with its input on a pin.
///
/// The clock is `clk_i * (DivF + 1) / (2**DivQ * (DivR + 1))`; the PLL wants 10 to 133 MHz before
/// the loop and 533 to 1066 MHz in it. `FilterRange` follows from the first of the two.
///
/// `locked_o` is low while the clock cannot be used yet. The board's clock must enter at the pin
/// of the PLL, and nothing else can use that pin.
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
  SB_PLL40_PAD #(
    .FEEDBACK_PATH("SIMPLE"),
    .DIVR         (DivR),
    .DIVF         (DivF),
    .DIVQ         (DivQ),
    .FILTER_RANGE (FilterRange)
  ) u_pll (
    .PACKAGEPIN     (clk_i),
    .PLLOUTGLOBAL   (clk_o),
    .LOCK           (locked_o),
    .RESETB         (1'b1),
    .BYPASS         (1'b0),
    .PLLOUTCORE     (),
    .EXTFEEDBACK    (1'b0),
    .DYNAMICDELAY   (8'd0),
    .LATCHINPUTVALUE(1'b0),
    .SDI            (1'b0),
    .SCLK           (1'b0),
    .SDO            ()
  );
endmodule
