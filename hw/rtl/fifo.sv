/// First-in first-out queue with a valid/ready handshake on both sides.
///
/// Latency 1: a word pushed in cycle p is visible at the head in cycle p+1, never in p. `ready_o`
/// is "fewer than `Depth` words held" and comes from registers alone: a full queue refuses a push
/// even in a cycle that pops. `valid_o` comes from a register, too. Any `Depth` from 1.
///
/// With `UseRam` 0 the words sit in flip-flops and move towards the head at each pop: one logic
/// cell per bit and no read multiplexer. With `UseRam` 1 they sit in a block memory (`Depth` at
/// least 2), with one bypass register, since a word read must not be the word being written.
///
/// It has no level output and no flush. The data registers have no reset.
module fifo #(
  parameter int Width  = 8,
  parameter int Depth  = 4,
  parameter int UseRam = 0
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
  if (Depth < 1 || (UseRam != 0 && Depth < 2)) begin : gen_check_depth
    depth_must_be_at_least_1_or_2_in_ram u_error ();
  end

  logic push, pop;

  assign push = valid_i && ready_o;
  assign pop  = valid_o && ready_i;

`ifdef FORMAL
  // Any one word is followed from its push to its pop: `f_ahead` words are before it.
  localparam int Level = $clog2(Depth + 1);
  (* anyseq *) logic f_pick;
  logic             f_past = 1'b0, f_held = 1'b0, f_stall = 1'b0;
  logic [Level-1:0] f_count = '0, f_ahead = '0;
  logic [Width-1:0] f_data;

  initial assume (!rst_ni);

  always_ff @(posedge clk_i) begin
    f_past  <= 1'b1;
    f_stall <= rst_ni && valid_o && !ready_i;
    if (f_past) assume (rst_ni);
    if (!rst_ni) begin
      f_held  <= 1'b0;
      f_count <= '0;
    end else begin
      f_count <= f_count + Level'(push) - Level'(pop);
      if (f_held) begin
        if (pop) begin
          f_held  <= f_ahead != '0;
          f_ahead <= f_ahead - Level'(1);
        end
      end else if (push && f_pick) begin
        f_held  <= 1'b1;
        f_ahead <= f_count - Level'(pop);
        f_data  <= data_i;
      end

      assert (valid_o == (f_count != '0));
      assert (ready_o == (f_count < Level'(Depth)));
      assert (f_count <= Level'(Depth));
      if (f_stall) assert (valid_o);
      if (f_held) assert (f_ahead < f_count);
      if (f_held && f_ahead == '0) assert (data_o == f_data);
      cover (f_held && f_ahead == Level'(Depth - 1));
    end
  end
`endif

  if (UseRam == 0) begin : gen_flops
    // Thermometer code: bit i is set while more than i words are held. Word 0 is the head.
    logic [Depth-1:0]       held_q;
    logic [Depth*Width-1:0] word_q;

    // Neighbours: `above` of bit i is bit i+1, `below` is bit i-1.
    logic [Depth-1:0]       held_above, held_below;
    logic [Depth*Width-1:0] word_above;

    assign held_above = held_q >> 1;
    assign held_below = Depth'({held_q, 1'b1});
    assign word_above = word_q >> Width;

    assign ready_o = !held_q[Depth-1];
    assign valid_o = held_q[0];
    assign data_o  = word_q[Width-1:0];

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        held_q <= '0;
      end else if (push && !pop) begin
        held_q <= held_below;
      end else if (pop && !push) begin
        held_q <= held_above;
      end
    end

    // A free word follows `data_i` until it is taken, so that its enable needs no `valid_i`.
    always_ff @(posedge clk_i) begin
      for (int i = 0; i < Depth; i++) begin
        if (pop || !held_q[i]) begin
          word_q[i*Width +: Width] <= held_above[i] ? word_above[i*Width +: Width] : data_i;
        end
      end
    end

`ifdef FORMAL
    // What induction has to know.
    always_ff @(posedge clk_i) begin
      if (rst_ni) begin
        for (int i = 0; i < Depth; i++) begin
          assert (held_q[i] == (Level'(i) < f_count));
          if (f_held && f_ahead == Level'(i)) assert (word_q[i*Width +: Width] == f_data);
        end
      end
    end
`endif
  end else begin : gen_ram
    localparam int AddrWidth = $clog2(Depth);
    localparam int Last      = Depth - 1;

    logic [AddrWidth-1:0] write_q, read_q, read_d;
    logic                 full_q, some_q, bypass_q, collide;
    logic [Width-1:0]     bypass_data_q, ram_data;

    assign ready_o = !full_q;
    assign valid_o = some_q;
    assign data_o  = bypass_q ? bypass_data_q : ram_data;

    // The address of the next head, read in the cycle before it is one.
    assign read_d  = !pop ? read_q : (read_q == AddrWidth'(Last)) ? '0 : read_q + AddrWidth'(1);
    assign collide = push && (write_q == read_d);

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        write_q  <= '0;
        read_q   <= '0;
        full_q   <= 1'b0;
        some_q   <= 1'b0;
        bypass_q <= 1'b0;
      end else begin
        read_q   <= read_d;
        bypass_q <= collide;
        if (push) write_q <= (write_q == AddrWidth'(Last)) ? '0 : write_q + AddrWidth'(1);
        // Equal addresses mean full after a push and empty after a pop.
        if (push != pop) begin
          full_q <= push && (write_q == AddrWidth'(Last) ? read_q == '0
                                                         : read_q == write_q + AddrWidth'(1));
          some_q <= push || (read_d != write_q);
        end
      end
    end

    always_ff @(posedge clk_i) begin
      bypass_data_q <= data_i;
    end

    prim_ram_1r1w #(
      .Width(Width),
      .Depth(Depth),
      .Lanes(1)
    ) u_ram (
      .clk_i,
      .we_i   (push),
      .waddr_i(write_q),
      .wdata_i(data_i),
      .re_i   (!collide),
      .raddr_i(read_d),
      .rdata_o(ram_data)
`ifdef FORMAL
      ,
      .f_addr_i(f_addr),
      .f_word_o(f_word)
`endif
    );

`ifdef FORMAL
    // What induction has to know.
    logic [AddrWidth-1:0] f_addr;
    logic [AddrWidth:0]   f_sum, f_end;
    logic [Width-1:0]     f_word;

    assign f_sum  = (AddrWidth+1)'(read_q) + (AddrWidth+1)'(f_ahead);
    assign f_end  = (AddrWidth+1)'(read_q) + (AddrWidth+1)'(f_count);
    assign f_addr = AddrWidth'((f_sum >= (AddrWidth+1)'(Depth)) ? f_sum - (AddrWidth+1)'(Depth)
                                                                : f_sum);

    always_ff @(posedge clk_i) begin
      if (rst_ni) begin
        assert (read_q <= AddrWidth'(Last) && write_q <= AddrWidth'(Last));
        assert ((AddrWidth+1)'(write_q) == ((f_end >= (AddrWidth+1)'(Depth))
                                            ? f_end - (AddrWidth+1)'(Depth) : f_end));
        assert (full_q == (f_count == Level'(Depth)));
        assert (some_q == (f_count != '0));
        if (f_held) assert (f_word == f_data);
      end
    end
`endif
  end
endmodule
