/// Event counters: `Count` counters of 32 bits, cleared by `clear_i`.
///
/// Counter e counts the cycles with `enable_i` and `event_i[e]`. The total counts those with
/// `enable_i`. Counters wrap.
module counters #(
  parameter int Count = 20
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic                clear_i,
  input  logic                enable_i,
  input  logic [Count-1:0]    event_i,
  output logic [32*Count-1:0] count_o
);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      count_o <= '0;
    end else if (clear_i) begin
      count_o <= '0;
    end else if (enable_i) begin
      for (int e = 0; e < Count; e++) begin
        if (event_i[e]) count_o[32*e +: 32] <= count_o[32*e +: 32] + 32'd1;
      end
    end
  end
endmodule
