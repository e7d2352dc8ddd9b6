/// 24x24-bit unsigned multiplier of `requantise`: a product every `Interval` cycles, 1, 2 or 4.
///
/// For `Interval` 2 and 4 the mantissa is loaded with `load_i` in cycle 1; `a_i` is stable for
/// `Interval` cycles from cycle 3, `first_i` marks cycle 4, and the product is out in cycle
/// `4 + Interval` only. It is made in `Interval` passes of `12 / Interval` radix-4 Booth digits,
/// highest first. A digit's partial product is one logic cell per bit: the cell's look-up table
/// selects and inverts, the synchronous clear of its flip-flop makes a zero.
///
/// For `Interval` 1 the mantissa comes in cycle 0 and `a_i` in cycle 3, the product is out in cycle
/// 5, and the multiplication is left to synthesis.
///
/// The mantissa must have bit 23 set for `Interval` 2 and 4: the product is wrong otherwise. There
/// is no reset.
module requantise_multiply #(
  parameter int Interval = 2
) (
  input  logic        clk_i,
  input  logic        load_i,
  input  logic        first_i,
  input  logic [23:0] mantissa_i,
  input  logic [23:0] a_i,
  output logic [47:0] product_o
);
  if (Interval == 1) begin : gen_parallel
    logic [23:0] m1_q, m2_q, m3_q;
    logic [47:0] p1_q, p2_q;
    logic        unused;

    assign unused    = load_i ^ first_i;
    assign product_o = p2_q;

    always_ff @(posedge clk_i) begin
      m1_q <= mantissa_i;
      m2_q <= m1_q;
      m3_q <= m2_q;
      p1_q <= 48'(a_i) * 48'(m3_q);
      p2_q <= p1_q;
    end
  end else begin : gen_passes
    localparam int Digits = 12 / Interval;
    localparam int Bits   = 2 * Digits;

    // Digits of the mantissa, the top `Bits` of what is left; the bit below them is part of the
    // last digit.
    logic [23:0]          m_q;
    logic [Bits:0]        window;
    logic [Digits-1:0]    neg_q, two_q, zero_q;
    logic [Digits*26-1:0] part_q;

    assign window = m_q[23 -: Bits+1];

    always_ff @(posedge clk_i) begin
      m_q <= load_i ? mantissa_i : m_q << Bits;
    end

    for (genvar d = 0; d < Digits; d++) begin : gen_digit
      logic [2:0] digit;

      assign digit = window[2*d +: 3];

      // Bit 25 of a partial product is its sign, and the 1 that completes its complement.
      always_ff @(posedge clk_i) begin
        neg_q[d]  <= digit[2];
        two_q[d]  <= digit[1] == digit[0];
        zero_q[d] <= digit == 3'b000 || digit == 3'b111;
        if (zero_q[d]) part_q[d*26 +: 26] <= '0;
        else part_q[d*26 +: 26] <= {26{neg_q[d]}} ^ (two_q[d] ? {1'b0, a_i, 1'b0} : {2'b00, a_i});
      end
    end

    // Accumulation, highest pass first. The digits stand for the mantissa minus 2^24, so it starts
    // with `a_i`. The completing 1 of a digit rides in the free low bits of the next one.
    logic [47:0]    acc_q, acc_d;
    logic [47:Bits] base;

    assign base = {acc_q[47-Bits:24], first_i ? a_i : acc_q[23:0]};

    if (Digits == 6) begin : gen_sum6
      logic [28:0] t01, t23, t45;
      logic [32:0] t03;
      logic [47:8] top;

      assign t01 = {{3{part_q[25]}}, part_q[0 +: 26]}
                 + {part_q[51], part_q[26 +: 26], 1'b0, part_q[25]};
      assign t23 = {{3{part_q[77]}}, part_q[52 +: 26]}
                 + {part_q[103], part_q[78 +: 26], 1'b0, part_q[77]};
      assign t45 = {{3{part_q[129]}}, part_q[104 +: 26]}
                 + {part_q[155], part_q[130 +: 26], 1'b0, part_q[129]};

      assign t03[1:0]    = t01[1:0];
      assign t03[32:2]   = {{4{t01[28]}}, t01[28:2]} + {t23, 1'b0, part_q[51]};
      assign top[9:8]    = t45[1:0];
      assign top[47:10]  = {{11{t45[28]}}, t45[28:2]} + {base, 1'b0, part_q[155]};
      assign acc_d[5:0]  = t03[5:0];
      assign acc_d[47:6] = {{15{t03[32]}}, t03[32:6]} + {top, 1'b0, part_q[103]};
    end else begin : gen_sum3
      logic [28:0] t01;
      logic [47:4] top;

      assign t01 = {{3{part_q[25]}}, part_q[0 +: 26]}
                 + {part_q[51], part_q[26 +: 26], 1'b0, part_q[25]};

      assign top         = {{18{part_q[77]}}, part_q[52 +: 26]} + {base, 1'b0, part_q[77]};
      assign acc_d[1:0]  = t01[1:0];
      assign acc_d[47:2] = {{19{t01[28]}}, t01[28:2]} + {top, 1'b0, part_q[51]};
    end

    always_ff @(posedge clk_i) begin
      acc_q <= acc_d;
    end

    assign product_o = acc_q;
  end
endmodule
