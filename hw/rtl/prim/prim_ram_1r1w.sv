/// Block memory with one read port and one write port on one clock.
///
/// `Lanes` splits a word into equal lanes with a write enable each. A read is synchronous: with
/// `re_i` in cycle p, `rdata_o` holds the word in cycle p+1 and until the next read.
///
/// Reading and writing one address in one cycle is forbidden: the word read is then undefined.
/// There is no reset, and contents are undefined until written.
module prim_ram_1r1w #(
  parameter int Width = 64,
  parameter int Depth = 256,
  parameter int Lanes = 1
) (
  input  logic                     clk_i,
  // Write port.
  input  logic [Lanes-1:0]         we_i,
  input  logic [$clog2(Depth)-1:0] waddr_i,
  input  logic [Width-1:0]         wdata_i,
  // Read port.
  input  logic                     re_i,
  input  logic [$clog2(Depth)-1:0] raddr_i,
  output logic [Width-1:0]         rdata_o
`ifdef FORMAL
  ,
  // A second look at the contents, for proofs.
  input  logic [$clog2(Depth)-1:0] f_addr_i,
  output logic [Width-1:0]         f_word_o
`endif
);
  localparam int LaneWidth = Width / Lanes;

  if (Depth < 2) begin : gen_check_depth
    depth_must_be_at_least_2 u_error ();
  end
  if (Lanes < 1 || LaneWidth * Lanes != Width) begin : gen_check_lanes
    width_must_be_a_multiple_of_lanes u_error ();
  end

  // Without the attribute yosys adds logic that keeps the old word on a collision.
  (* no_rw_check *)
  logic [Width-1:0] mem [Depth];

  always_ff @(posedge clk_i) begin
    for (int l = 0; l < Lanes; l++) begin
      if (we_i[l]) mem[waddr_i][l*LaneWidth +: LaneWidth] <= wdata_i[l*LaneWidth +: LaneWidth];
    end
  end

  always_ff @(posedge clk_i) begin
    if (re_i) rdata_o <= mem[raddr_i];
  end

`ifdef FORMAL
  assign f_word_o = mem[f_addr_i];

  // The user's part of the contract.
  always_ff @(posedge clk_i) begin
    assert (!(re_i && (|we_i) && raddr_i == waddr_i));
  end
`endif
endmodule
