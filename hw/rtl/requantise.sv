/// Exact requantisation of an int32 accumulator to int8, without a floating-point unit:
///
///   y = clamp(rne(f32(acc + bias) * s) + zp, lo, hi),   s = mantissa * 2^-shift
///
/// as float32 arithmetic computes it: `acc + bias` wraps at 32 bits, its conversion to float32, the
/// float32 product and the conversion to an integer each round half to even. `mantissa_i` is 0 or
/// has bit 23 set; `lo_i <= hi_i`. A product beyond the int8 range saturates at the clamp.
///
/// `Interval` is the number of cycles per result: 1, 2 or 4. `valid_i` may come at most every
/// `Interval` cycles, and from that cycle on the inputs are stable for `Interval` cycles. With
/// `valid_i` in cycle p the result is on `y_o` in cycle p + `Latency` only: 7, 8 or 10 cycles for
/// `Interval` 1, 2 or 4. There is no back-pressure.
///
/// `ClampHeld` 1 states that `zp_i`, `lo_i` and `hi_i` stay constant until the result is out, which
/// saves their delay registers.
///
/// How it works. The sum is normalised so that its leading one is at a fixed place (a negative sum
/// as its one's complement with ones shifted in: the missing +1 is part of the rounding), rounded
/// to 24 bits, and multiplied. The product is *not* rounded to 24 bits and shifted: only nine bits
/// of it can matter for the result, and rounding twice differs from rounding once only where the
/// first rounding makes a tie. So the nine bits are shifted into place, and the bits below are
/// compared with all zeros and all ones.
module requantise #(
  parameter int Interval  = 2,
  parameter int ClampHeld = 0
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  // Accumulator and parameters of its channel.
  input  logic        valid_i,
  input  logic [31:0] acc_i,
  input  logic [31:0] bias_i,
  input  logic [23:0] mantissa_i,
  input  logic [5:0]  shift_i,
  input  logic [7:0]  zp_i,
  input  logic [7:0]  lo_i,
  input  logic [7:0]  hi_i,
  // Result.
  output logic        valid_o,
  output logic [7:0]  y_o
);
  // Cycle 0 adds, 1 and 2 normalise and round, then the multiplier, then the two tail cycles.
  localparam int Multiply = 3;
  localparam int Tail     = Multiply + ((Interval == 1) ? 2 : Interval + 1);
  localparam int Latency  = Tail + 2;

  // The cycle in which the exponent is formed, and the place in its delay line of the two tail
  // cycles. A delay line advances at the end of the last cycle in which its input is stable.
  localparam int Exponent  = (Interval == 4) ? 5 : 3;
  localparam int ShiftLine = (Interval == 1) ? 3 : 1;
  localparam int PlaceA    = (Tail - Exponent - 1) / Interval;
  localparam int PlaceB    = (Tail - Exponent) / Interval;
  localparam int ClampLine = (Tail + 1) / Interval;

  if (Interval != 1 && Interval != 2 && Interval != 4) begin : gen_check_interval
    interval_must_be_1_2_or_4 u_error ();
  end

  // Bit k: a valid sum entered k cycles ago.
  logic [Latency:1] valid_q;
  logic [Latency:0] valid;

  assign valid   = {valid_q, valid_i};
  assign valid_o = valid_q[Latency];

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid_q <= '0;
    else         valid_q <= valid[Latency-1:0];
  end

  // Cycle 0: the sum.
  logic [31:0] sum_q;

  always_ff @(posedge clk_i) begin
    sum_q <= acc_i + bias_i;
  end

  // Cycle 1: one's complement of a negative sum, normalised by 16, 8 and 4.
  logic        neg, neg_norm_q;
  logic [30:0] norm0, norm1, norm2, norm3, norm_q;
  logic        zeros16, zeros8, zeros4;
  logic [2:0]  zeros_norm_q;

  assign neg      = sum_q[31];
  assign norm0    = sum_q[30:0] ^ {31{neg}};
  assign zeros16  = norm0[30:15] == '0;
  assign norm1    = zeros16 ? {norm0[14:0], {16{neg}}} : norm0;
  assign zeros8   = norm1[30:23] == '0;
  assign norm2    = zeros8 ? {norm1[22:0], {8{neg}}} : norm1;
  assign zeros4   = norm2[30:27] == '0;
  assign norm3    = zeros4 ? {norm2[26:0], {4{neg}}} : norm2;

  always_ff @(posedge clk_i) begin
    neg_norm_q   <= neg;
    norm_q       <= norm3;
    zeros_norm_q <= {zeros16, zeros8, zeros4};
  end

  // Cycle 2: normalised by 2 and 1, then rounded to 24 bits.
  // `fill` looks at the bits below the half bit before they are moved: are they all equal to what
  // is shifted in? For a positive sum they are then zero, for a negative sum they become zero, with
  // a carry into the half bit, once the missing 1 is added.
  logic        zeros2, zeros1, fill, up;
  logic [30:5] norm4;
  logic [30:6] norm5;
  logic [23:0] round;
  logic        neg_a_q, some_q, over;
  logic [23:0] round_q, a;
  logic [4:0]  zeros_q;

  assign zeros2 = !norm_q[30] && !norm_q[29];
  assign zeros1 = !norm_q[30] && (norm_q[29] || !norm_q[28]);
  assign norm4  = zeros2 ? norm_q[28:3] : norm_q[30:5];
  assign norm5  = zeros1 ? norm4[29:5] : norm4[30:6];

  assign fill = norm_q[2:0] == {3{neg_norm_q}} &&
                (norm_q[3] == neg_norm_q || (zeros2 && zeros1)) &&
                (norm_q[4] == neg_norm_q || zeros2) &&
                (norm_q[5] == neg_norm_q || zeros2 || zeros1);
  assign up   = neg_norm_q ? (norm5[6] || (norm5[7] && fill)) : (norm5[6] && (norm5[7] || !fill));
  assign round = norm5[30:7] + 24'(up);

  always_ff @(posedge clk_i) begin
    neg_a_q <= neg_norm_q;
    some_q  <= norm5[30];
    round_q <= round;
    zeros_q <= {zeros_norm_q, zeros2, zeros1};
  end

  // Bit 30 was set unless the sum is zero. Where the rounding cleared it, it carried out.
  assign a    = {some_q, round_q[22:0]};
  assign over = some_q && !round_q[23];

  // The product, stable from cycle `Tail` on for one cycle.
  logic [47:0] product;

  requantise_multiply #(
    .Interval(Interval)
  ) u_multiply (
    .clk_i,
    .load_i    ((Interval == 1) ? 1'b1 : valid[1]),
    .first_i   (valid[4]),
    .mantissa_i,
    .a_i       (a),
    .product_o (product)
  );

  // The exponent: how far the ten top bits of the product move down, 0 to 9, or one of the two
  // outcomes that need no product.
  logic [ShiftLine*8-1:0] shift_q;
  logic [6:0]             place;
  logic                   nonzero;
  logic [6:0]             out_d;
  logic [(PlaceB+1)*7-1:0] out_q;

  for (genvar k = 0; k < ShiftLine; k++) begin : gen_shift
    if (k == 0) begin : gen_first
      always_ff @(posedge clk_i) begin
        if (valid[Interval-1]) shift_q[7:0] <= {mantissa_i[23], 7'(shift_i) - 7'd47};
      end
    end else begin : gen_next
      always_ff @(posedge clk_i) begin
        if (valid[(k+1)*Interval-1]) shift_q[k*8 +: 8] <= shift_q[(k-1)*8 +: 8];
      end
    end
  end

  assign place   = shift_q[(ShiftLine-1)*8 +: 7] + 7'(zeros_q) + 7'(!over);
  assign nonzero = some_q && shift_q[ShiftLine*8-1];
  // Sign, saturated, zero, place.
  assign out_d = {neg_a_q, nonzero && place[6],
                  !nonzero || (!place[6] && place[5:0] > 6'd9), place[3:0]};

  for (genvar k = 0; k <= PlaceB; k++) begin : gen_out
    if (k == 0) begin : gen_first
      always_ff @(posedge clk_i) begin
        if (valid[Exponent]) out_q[6:0] <= out_d;
      end
    end else begin : gen_next
      always_ff @(posedge clk_i) begin
        if (valid[Exponent+k*Interval]) out_q[k*7 +: 7] <= out_q[(k-1)*7 +: 7];
      end
    end
  end

  // First tail cycle: integer part and rounding. `tie_above` and `tie_below`: the product's
  // rounding to 24 bits leaves exactly, or completes exactly, a half.
  logic [3:0] down;
  logic       clear, neg_int, any_low, all_low, round_bit, sticky, tie_above, tie_below, inc;
  logic [9:0] move0, move1, move2, move3, move4;
  logic [3:0] any, all;
  logic [7:0] int_q;
  logic       carry_q, big_q;

  assign down    = out_q[PlaceA*7 +: 4];
  assign clear   = out_q[PlaceA*7+4];
  assign neg_int = out_q[PlaceA*7+6];

  assign move0  = product[47:38];
  assign move1  = down[3] ? move0 >> 8 : move0;
  assign move2  = down[2] ? move1 >> 4 : move1;
  assign move3  = down[1] ? move2 >> 2 : move2;
  assign move4  = down[0] ? move3 >> 1 : move3;
  assign any[3] = down[3] && move0[7:0] != '0;
  assign any[2] = down[2] && move1[3:0] != '0;
  assign any[1] = down[1] && move2[1:0] != '0;
  assign any[0] = down[0] && move3[0];
  assign all[3] = !down[3] || move0[7:0] == '1;
  assign all[2] = !down[2] || move1[3:0] == '1;
  assign all[1] = !down[1] || move2[1:0] == '1;
  assign all[0] = !down[0] || move3[0];

  assign any_low   = product[37:24] != '0 || (!product[47] && product[23]) || any != '0;
  assign all_low   = product[37:24] == '1 && (product[47] || product[23]) && all == '1;
  assign round_bit = product[47] ? product[23] : product[22];
  assign sticky    = product[21:0] != '0 || (product[47] && product[22]);

  assign tie_above = !any_low && !(round_bit && sticky);
  assign tie_below = all_low && round_bit;

  // Half to even, in the product's magnitude.
  assign inc = move4[0] ? (move4[1] || !tie_above) : (move4[1] && tie_below);

  // A negative value is the complement of its magnitude plus 1, of which `inc` takes 1 away.
  always_ff @(posedge clk_i) begin
    int_q   <= (clear ? 8'd0 : move4[8:1]) ^ {8{neg_int}};
    carry_q <= (inc && !clear) != neg_int;
    big_q   <= move4[9] && !clear;
  end

  // Second tail cycle: zero point, clamp.
  logic [23:0] clamps;
  logic        neg_y, saturate, below, above;
  logic [7:0]  zp, lo, hi;
  logic [9:0]  y;

  if (ClampHeld != 0) begin : gen_held
    assign clamps = {zp_i, lo_i, hi_i};
  end else begin : gen_line
    logic [ClampLine*24-1:0] line_q;

    for (genvar k = 0; k < ClampLine; k++) begin : gen_stage
      if (k == 0) begin : gen_first
        always_ff @(posedge clk_i) begin
          if (valid[Interval-1]) line_q[23:0] <= {zp_i, lo_i, hi_i};
        end
      end else begin : gen_next
        always_ff @(posedge clk_i) begin
          if (valid[(k+1)*Interval-1]) line_q[k*24 +: 24] <= line_q[(k-1)*24 +: 24];
        end
      end
    end
    assign clamps = line_q[(ClampLine-1)*24 +: 24];
  end

  assign {zp, lo, hi} = clamps;
  assign neg_y        = out_q[PlaceB*7+6];
  assign saturate     = out_q[PlaceB*7+5] || big_q;

  assign y     = {{2{zp[7]}}, zp} + {{2{neg_y}}, int_q} + 10'(carry_q);
  assign below = $signed(y) < $signed({{2{lo[7]}}, lo});
  assign above = $signed(y) > $signed({{2{hi[7]}}, hi});

  always_ff @(posedge clk_i) begin
    if (saturate ? neg_y : below) y_o <= lo;
    else if (saturate || above)   y_o <= hi;
    else                          y_o <= y[7:0];
  end
endmodule
