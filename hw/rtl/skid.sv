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

`ifdef FORMAL
  // Any one word is followed from its push to its pop: `f_ahead` words are before it.
  (* anyseq *) logic f_pick;
  logic             f_past = 1'b0, f_held = 1'b0, f_stall = 1'b0;
  logic [1:0]       f_count = '0, f_ahead = '0;
  logic [Width-1:0] f_data, f_stall_data;

  initial assume (!rst_ni);

  always_ff @(posedge clk_i) begin
    f_past       <= 1'b1;
    f_stall      <= rst_ni && valid_o && !ready_i;
    f_stall_data <= data_o;
    if (f_past) assume (rst_ni);
    if (!rst_ni) begin
      f_held  <= 1'b0;
      f_count <= '0;
    end else begin
      f_count <= f_count + 2'(push) - 2'(pop);
      if (f_held) begin
        if (pop) begin
          f_held  <= f_ahead != '0;
          f_ahead <= f_ahead - 2'd1;
        end
      end else if (push && f_pick) begin
        f_held  <= 1'b1;
        f_ahead <= f_count - 2'(pop);
        f_data  <= data_i;
      end

      assert (valid_o == (f_count != '0));
      assert (ready_o == (f_count < 2'd2));
      assert (f_count <= 2'd2);
      if (f_stall) assert (valid_o && data_o == f_stall_data);
      if (f_held) begin
        assert (f_ahead < f_count);
        assert (((f_ahead == '0) ? data_q : spare_data_q) == f_data);
      end
      cover (f_held && f_ahead == 2'd1);
    end
  end
`endif
endmodule
