/// Multiplier array whose columns are summed by adder trees.
///
/// One step a cycle, latency 3: activations and weights in cycle p, the sums of all columns in
/// cycle p+3 (operand registers, product registers, sum registers). The sum of column c is that of
/// `x[r] * w[c][r]` over all rows r. There is no stall and no reset.
module array_dot #(
  parameter int Rows     = 8,
  parameter int Cols     = 2,
  parameter int SumWidth = 16 + $clog2(Rows)
) (
  input  logic                     clk_i,
  // Activations: row r in byte r. Weights: row r of column c in byte c*Rows+r.
  input  logic [8*Rows-1:0]        x_i,
  input  logic [8*Rows*Cols-1:0]   w_i,
  output logic [Cols*SumWidth-1:0] sum_o
);
  // Products in the order in which multipliers pair up: all columns of a row, then the next row.
  localparam int Products = Rows * Cols;
  localparam int Levels   = $clog2(Rows);

  logic [16*Products-1:0] product;

  for (genvar p = 0; p < Products; p += 2) begin : gen_pair
    localparam int Row0 = p / Cols;
    localparam int Col0 = p % Cols;
    localparam int Row1 = (p + 1) / Cols;
    localparam int Col1 = (p + 1) % Cols;

    prim_mac_pair u_mac (
      .clk_i,
      .x0_i(x_i[8*Row0 +: 8]),
      .w0_i(w_i[8*(Col0*Rows + Row0) +: 8]),
      .x1_i(x_i[8*Row1 +: 8]),
      .w1_i(w_i[8*(Col1*Rows + Row1) +: 8]),
      .p0_o(product[16*p +: 16]),
      .p1_o(product[16*(p+1) +: 16])
    );
  end

  for (genvar c = 0; c < Cols; c++) begin : gen_col
    // A binary tree: level 0 holds the products, each level above half as many sums, a bit wider.
    for (genvar l = 0; l <= Levels; l++) begin : gen_level
      localparam int Width = 16 + l;

      logic [(Rows >> l)*Width-1:0] value;

      for (genvar n = 0; n < (Rows >> l); n++) begin : gen_node
        if (l == 0) begin : gen_leaf
          assign value[n*Width +: Width] = product[16*(n*Cols + c) +: 16];
        end else begin : gen_sum
          add #(
            .Width(Width - 1)
          ) u_add (
            .a_i  (gen_level[l-1].value[2*n*(Width - 1) +: Width - 1]),
            .b_i  (gen_level[l-1].value[(2*n + 1)*(Width - 1) +: Width - 1]),
            .sum_o(value[n*Width +: Width])
          );
        end
      end
    end

    always_ff @(posedge clk_i) begin
      sum_o[c*SumWidth +: SumWidth] <= gen_level[Levels].value;
    end
  end
endmodule
