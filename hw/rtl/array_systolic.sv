/// Weight-stationary multiplier array in which partial sums hop from row to row.
///
/// One step a cycle, latency `Rows + 2`: activations in cycle p, the sums of all columns in cycle
/// p+Rows+2. Row r works r cycles after row 0; an activation goes to its whole row at once.
///
/// Each multiplier has an active and a shadow weight. With `shift_i` the shadow weights move one
/// column to the right and `w_i` (row r in byte r) enters column 0, so `Cols` shifts fill the
/// array, the word for the last column first. A step with `swap_i` makes the shadow weights active,
/// itself included; the first shift of the next tile may come in the same cycle. No reset.
module array_systolic #(
  parameter int Rows     = 16,
  parameter int Cols     = 16,
  parameter int SumWidth = 16 + $clog2(Rows)
) (
  input  logic                     clk_i,
  // Activations: row r in byte r.
  input  logic [8*Rows-1:0]        x_i,
  input  logic                     swap_i,
  // Weights of one column.
  input  logic [8*Rows-1:0]        w_i,
  input  logic                     shift_i,
  output logic [Cols*SumWidth-1:0] sum_o
);
  // Control reaches row r after r cycles.
  logic [Rows-1:0] swap, shift;
  logic [Rows-2:0] swap_q, shift_q;

  assign swap  = {swap_q, swap_i};
  assign shift = {shift_q, shift_i};

  always_ff @(posedge clk_i) begin
    swap_q  <= swap[Rows-2:0];
    shift_q <= shift[Rows-2:0];
  end

  // Partial sums: row r adds to what row r-1 left.
  logic [Rows*Cols*SumWidth-1:0] partial;

  for (genvar r = 0; r < Rows; r++) begin : gen_row
    logic [7:0]           x, w;
    logic [8*Cols-1:0]    shadow_q, active_q, active;
    logic [16*Cols-1:0]   product;

    if (r == 0) begin : gen_first
      assign x = x_i[7:0];
      assign w = w_i[7:0];
    end else begin : gen_skewed
      logic [8*r-1:0] x_q, w_q;
      always_ff @(posedge clk_i) begin
        x_q <= (8*r)'({x_q, x_i[8*r +: 8]});
        w_q <= (8*r)'({w_q, w_i[8*r +: 8]});
      end
      assign x = x_q[8*(r-1) +: 8];
      assign w = w_q[8*(r-1) +: 8];
    end

    always_ff @(posedge clk_i) begin
      if (shift[r]) shadow_q <= (8*Cols)'({shadow_q, w});
      active_q <= active;
    end

    assign active = swap[r] ? shadow_q : active_q;

    for (genvar c = 0; c < Cols; c += 2) begin : gen_pair
      if (c + 1 < Cols) begin : gen_two
        prim_mac_pair u_mac (
          .clk_i,
          .x0_i(x),
          .w0_i(active[8*c +: 8]),
          .x1_i(x),
          .w1_i(active[8*(c+1) +: 8]),
          .p0_o(product[16*c +: 16]),
          .p1_o(product[16*(c+1) +: 16])
        );
      end else begin : gen_one
        logic [15:0] unused_product;
        prim_mac_pair u_mac (
          .clk_i,
          .x0_i(x),
          .w0_i(active[8*c +: 8]),
          .x1_i(8'd0),
          .w1_i(8'd0),
          .p0_o(product[16*c +: 16]),
          .p1_o(unused_product)
        );
      end
    end

    for (genvar c = 0; c < Cols; c++) begin : gen_sum
      logic [SumWidth-1:0] above, here;

      if (r == 0) begin : gen_top
        assign above = '0;
      end else begin : gen_hop
        assign above = partial[((r-1)*Cols + c)*SumWidth +: SumWidth];
      end
      assign here = {{(SumWidth-16){product[16*c + 15]}}, product[16*c +: 16]};

      always_ff @(posedge clk_i) begin
        partial[(r*Cols + c)*SumWidth +: SumWidth] <= above + here;
      end
    end
  end

  assign sum_o = partial[(Rows-1)*Cols*SumWidth +: Cols*SumWidth];
endmodule
