/// Reads the program in chunks and hands one instruction a cycle to the engines' queues, in order.
///
/// A chunk is requested when there is room for it; a word that arrives in cycle d is dispatched
/// from d+1 on. An instruction waits for room in its queue and holds up all behind it. A `nop`
/// takes a cycle and goes nowhere.
///
/// There is no branch and no stop instruction: the host gives the number of chunks.
module fetch #(
  parameter int WordBits   = 64,
  parameter int ChunkWords = 4,
  parameter int Chunks     = 2,
  parameter int AddrWidth  = 22
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  // Host.
  input  logic                 start_i,
  input  logic [AddrWidth-1:0] base_i,
  input  logic [AddrWidth-1:0] chunks_i,
  // Read requests: one chunk each.
  output logic                 req_valid_o,
  input  logic                 req_ready_i,
  output logic [AddrWidth-1:0] req_addr_o,
  // Read data, in order.
  input  logic                 data_valid_i,
  input  logic [WordBits-1:0]  data_i,
  // Queues, by engine: load, exec, vec, store.
  output logic [3:0]           push_o,
  input  logic [3:0]           room_i,
  output logic [31:0]          instr_o,
  // State: exactly one of dispatch, blocked and starved, or none of them when done.
  output logic                 dispatch_o,
  output logic                 blocked_o,
  output logic                 starved_o
);
  localparam int PerWord  = WordBits / 32;
  localparam int SubWidth = (PerWord > 1) ? $clog2(PerWord) : 1;
  localparam int RowWidth = (ChunkWords > 1) ? $clog2(ChunkWords) : 1;

  logic [AddrWidth-1:0] addr_q, to_request_q, to_dispatch_q;
  logic [1:0]           free_q;
  logic                 grant, chunk_done;

  assign req_valid_o = (to_request_q != '0) && (free_q != 2'd0);
  assign req_addr_o  = addr_q;
  assign grant       = req_valid_o && req_ready_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      to_request_q  <= '0;
      to_dispatch_q <= '0;
      free_q        <= 2'(Chunks);
    end else if (start_i) begin
      to_request_q  <= chunks_i;
      to_dispatch_q <= chunks_i;
    end else begin
      if (grant)               to_request_q  <= to_request_q - AddrWidth'(1);
      if (chunk_done)          to_dispatch_q <= to_dispatch_q - AddrWidth'(1);
      if (grant != chunk_done) free_q        <= grant ? free_q - 2'd1 : free_q + 2'd1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (start_i)    addr_q <= base_i;
    else if (grant) addr_q <= addr_q + AddrWidth'(ChunkWords);
  end

  // Words that have arrived.
  logic                word_valid, word_pop, unused_room;
  logic [WordBits-1:0] word;

  fifo #(
    .Width(WordBits),
    .Depth(ChunkWords * Chunks)
  ) u_words (
    .clk_i,
    .rst_ni,
    .valid_i(data_valid_i),
    .ready_o(unused_room),
    .data_i (data_i),
    .valid_o(word_valid),
    .ready_i(word_pop),
    .data_o (word)
  );

  // Position in the word and of the word in its chunk.
  logic [SubWidth-1:0] sub_q;
  logic [RowWidth-1:0] row_q;
  logic                sub_last, row_last;
  logic [3:0]          target;

  assign sub_last = (PerWord == 1) || (sub_q == SubWidth'(PerWord - 1));
  assign row_last = (ChunkWords == 1) || (row_q == RowWidth'(ChunkWords - 1));
  assign instr_o  = word[32*32'(sub_q) +: 32];

  always_comb begin
    unique case (instr_o[isa_pkg::OpcodeLsb +: 4])
      isa_pkg::OpLoad, isa_pkg::OpConfigureLoad:   target = 4'b0001;
      isa_pkg::OpExec, isa_pkg::OpConfigureExec:   target = 4'b0010;
      isa_pkg::OpStore, isa_pkg::OpConfigureStore: target = 4'b1000;
      isa_pkg::OpRequantise, isa_pkg::OpMaxPool, isa_pkg::OpLookup, isa_pkg::OpPack,
      isa_pkg::OpConfigureVec:                     target = 4'b0100;
      default:                                     target = 4'b0000;
    endcase
  end

  assign dispatch_o = word_valid && ((target & ~room_i) == 4'b0000);
  assign blocked_o  = word_valid && !dispatch_o;
  assign starved_o  = !word_valid && (to_dispatch_q != '0);
  assign push_o     = target & {4{dispatch_o}};
  assign word_pop   = dispatch_o && sub_last;
  assign chunk_done = word_pop && row_last;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      sub_q <= '0;
      row_q <= '0;
    end else begin
      if (dispatch_o) sub_q <= sub_last ? '0 : sub_q + SubWidth'(1);
      if (word_pop)   row_q <= row_last ? '0 : row_q + RowWidth'(1);
    end
  end
endmodule
