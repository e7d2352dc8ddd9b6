/// Register with a valid/ready handshake that cuts every combinational path between its two sides,
/// and still passes a word a cycle.
///
/// Latency 1: a word pushed in cycle p is at the head in cycle p+1. It holds two words: the head,
/// and the one that was under way when the head stalled. `ready_o` and `valid_o` are registers.
///
/// It does not reorder, merge or drop words. The data registers have no reset.
module skid #(
  parameter int Width = 8
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  // Push side.
  input  logic             valid_i,
  output logic             ready_o,
  input  logic [Width-1:0] data_i,
  // Pop side.
  output logic             valid_o,
  input  logic             ready_i,
  output logic [Width-1:0] data_o
);
  if (Width < 1) begin : gen_check_width
    width_must_be_at_least_1 u_error ();
  end

  logic             head_q, spare_q;
  logic [Width-1:0] data_q, spare_data_q;
  logic             push, pop;

  assign ready_o = !spare_q;
  assign valid_o = head_q;
  assign data_o  = data_q;
  assign push    = valid_i && ready_o;
  assign pop     = valid_o && ready_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      head_q  <= 1'b0;
      spare_q <= 1'b0;
    end else begin
      // The spare is taken only while the head stalls, and drains first.
      if (pop || !head_q) head_q <= push || spare_q;
      spare_q <= (spare_q && !pop) || (push && head_q && !pop);
    end
  end

  always_ff @(posedge clk_i) begin
    if (!spare_q) spare_data_q <= data_i;
    if (pop || !head_q) data_q <= spare_q ? spare_data_q : data_i;
  end
endmodule
