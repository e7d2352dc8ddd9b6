/// Lane-wise maximum of a window of words.
///
/// One word a cycle: a word addressed in cycle p arrives in p+1, and the maximum of the window is
/// written in p+2 of its last word. A word outside the image counts as -128.
module max_pool #(
  parameter int WordBytes = 16
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  // The word addressed in this cycle.
  input  logic                   valid_i,
  input  logic                   inside_i,
  input  logic                   first_i,
  input  logic                   last_i,
  // Its data, in the next cycle.
  input  logic [8*WordBytes-1:0] data_i,
  // The maximum.
  output logic                   write_o,
  output logic [8*WordBytes-1:0] write_data_o
);
  logic                   valid_q, last_q, inside_q, first_q, write_q;
  logic [8*WordBytes-1:0] max_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q <= 1'b0;
      write_q <= 1'b0;
    end else begin
      valid_q <= valid_i;
      write_q <= valid_q && last_q;
    end
  end

  always_ff @(posedge clk_i) begin
    last_q   <= last_i;
    inside_q <= inside_i;
    first_q  <= first_i;
  end

  for (genvar b = 0; b < WordBytes; b++) begin : gen_lane
    logic signed [7:0] here, so_far;

    assign here   = inside_q ? data_i[8*b +: 8] : 8'sh80;
    assign so_far = first_q ? 8'sh80 : max_q[8*b +: 8];

    always_ff @(posedge clk_i) begin
      if (valid_q) max_q[8*b +: 8] <= (here > so_far) ? here : so_far;
    end
  end

  assign write_o      = write_q;
  assign write_data_o = max_q;
endmodule
