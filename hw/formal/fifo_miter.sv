/// `fifo` beside its second description: same pushes and pops, same answers. For the proof only.
///
/// Internal registers are ports here (`fifo_rust_hdl.sby` exposes them): induction has to know how
/// the two states correspond.
module fifo_miter (
  input logic       clk_i,
  input logic       rst_ni,
  input logic       push_valid_i,
  input logic [7:0] push_data_i,
  input logic       pop_ready_i
);
  logic        ready_a, ready_b, valid_a, valid_b;
  logic [7:0]  data_a, data_b, word0, word1, word2, word3;
  logic [31:0] words;
  logic [3:0]  held;
  logic [2:0]  level;
  logic [1:0]  read, write, place;
  logic        f_past = 1'b0;

  fifo u_a (
    .clk_i,
    .rst_ni,
    .valid_i(push_valid_i),
    .ready_o(ready_a),
    .data_i (push_data_i),
    .valid_o(valid_a),
    .ready_i(pop_ready_i),
    .data_o (data_a),
    .\gen_flops.word_q (words),
    .\gen_flops.held_q (held)
  );

  // It has no reset: nothing is pushed while `fifo` is held in its own.
  fifo_rust_hdl u_b (
    .clock     (clk_i),
    .push_valid(push_valid_i),
    .push_ready(ready_b),
    .push_data (push_data_i),
    .pop_valid (valid_b),
    .pop_ready (pop_ready_i),
    .pop_data  (data_b),
    .word0$q   (word0),
    .word1$q   (word1),
    .word2$q   (word2),
    .word3$q   (word3),
    .read$q    (read),
    .write$q   (write),
    .level$q   (level)
  );

  initial assume (!rst_ni);

  always_ff @(posedge clk_i) begin
    f_past <= 1'b1;
    if (f_past) assume (rst_ni);
    if (!rst_ni) begin
      assume (!push_valid_i);
      assert (level == 3'd0 && read == write);
    end else begin
      assert (ready_a == ready_b);
      assert (valid_a == valid_b);
      if (valid_a) assert (data_a == data_b);

      assert (level <= 3'd4);
      assert (write == read + level[1:0]);
      for (int i = 0; i < 4; i++) begin
        place = read + 2'(i);
        assert (held[i] == (3'(i) < level));
        if (3'(i) < level) begin
          assert (words[i*8 +: 8] == ((place == 2'd0) ? word0 : (place == 2'd1) ? word1 :
                                      (place == 2'd2) ? word2 : word3));
        end
      end
    end
  end
endmodule
