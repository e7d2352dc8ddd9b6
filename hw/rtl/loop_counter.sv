/// Counter of one loop: says in which step the loop is in its last round.
///
/// `start_i` begins with the first of `n_i` rounds; `step_i` goes on to the next one, and from the
/// last to the first again. `last_o` describes the present round, from a register, and is valid
/// from the cycle after `start_i` on. `n_i` is at least 1.
module loop_counter #(
  parameter int Width = 6
) (
  input  logic             clk_i,
  input  logic             start_i,
  input  logic             step_i,
  input  logic [Width-1:0] n_i,
  output logic             last_o
);
  // Rounds left, the present one among them.
  logic [Width-1:0] left_q;
  logic             last_q;

  always_ff @(posedge clk_i) begin
    if (start_i || (step_i && last_q)) begin
      left_q <= n_i;
      last_q <= (n_i == Width'(1));
    end else if (step_i) begin
      left_q <= left_q - Width'(1);
      last_q <= (left_q == Width'(2));
    end
  end

  assign last_o = last_q;
endmodule
