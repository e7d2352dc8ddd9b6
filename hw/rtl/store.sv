/// STORE: copies words from the activation banks to memory.
///
/// For a start in cycle t the banks are read from t+1 on and the first burst is offered from t+3
/// on; the next one from the cycle after the last beat of the one before. Data then follow without
/// a gap. The last cycle is that of the response to the last burst. Both addresses stay where the
/// copy ended.
///
/// With `Direct` 0 words are read ahead into a small queue, so that memory may take them whenever
/// it likes. With `Direct` 1 there is no queue: memory must take a burst's words in the cycles
/// right after it accepts the burst, one a cycle, and each is read from the banks in the cycle
/// before.
module store #(
  parameter int WordBits   = 64,
  parameter int AddrWidth  = 22,
  parameter int LocalWidth = 20,
  parameter int CountWidth = 20,
  parameter int LenWidth   = 9,
  parameter int BurstWords = 16,
  parameter int Direct     = 0
) (
  input  logic                  clk_i,
  input  logic                  rst_ni,
  // Sequencer.
  input  logic                  start_i,
  output logic                  last_o,
  input  logic                  configure_i,
  input  logic [5:0]            register_i,
  input  logic [21:0]           value_i,
  // Activation banks, one cycle of latency.
  output logic                  read_o,
  output logic [LocalWidth-1:0] read_addr_o,
  input  logic [WordBits-1:0]   read_data_i,
  // Write requests, data and responses.
  output logic                  req_valid_o,
  input  logic                  req_ready_i,
  output logic [AddrWidth-1:0]  req_addr_o,
  output logic [LenWidth-1:0]   req_len_o,
  output logic                  data_valid_o,
  input  logic                  data_ready_i,
  output logic [WordBits-1:0]   data_o,
  input  logic                  done_i
);
  logic [LocalWidth-1:0] local_q;
  logic [AddrWidth-1:0]  memory_q;
  logic [CountWidth-1:0] length_q, to_request_q;
  logic [LenWidth-1:0]   beats_q;
  logic                  word_valid, word_pop, accept, answered, unused;

  burst_length #(
    .AddrWidth (AddrWidth),
    .CountWidth(CountWidth),
    .LenWidth  (LenWidth),
    .BurstWords(BurstWords)
  ) u_burst (
    .addr_i(memory_q),
    .left_i(to_request_q),
    .len_o (req_len_o)
  );

  assign read_addr_o  = local_q;
  assign req_valid_o  = (to_request_q != '0) && (beats_q == '0) && word_valid;
  assign req_addr_o   = memory_q;
  assign accept       = req_valid_o && req_ready_i;
  assign data_valid_o = (beats_q != '0) && word_valid;
  assign word_pop     = data_valid_o && data_ready_i;
  assign last_o       = done_i && answered && (to_request_q == '0) && (beats_q == '0);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      to_request_q <= '0;
      beats_q      <= '0;
    end else begin
      if (start_i)       to_request_q <= length_q;
      else if (accept)   to_request_q <= to_request_q - CountWidth'(req_len_o);
      if (accept)        beats_q      <= req_len_o;
      else if (word_pop) beats_q      <= beats_q - LenWidth'(1);
    end
  end

  if (Direct != 0) begin : gen_direct
    // Cycles since the start, up to two.
    logic [1:0] age_q;

    assign word_valid = age_q[1];
    assign read_o     = accept || (beats_q > LenWidth'(1));
    assign data_o     = read_data_i;
    // The response comes before the next burst is accepted, so the last one is the last burst's.
    assign answered   = 1'b1;

    always_ff @(posedge clk_i) begin
      age_q <= start_i ? 2'b00 : {age_q[0], 1'b1};
    end
  end else begin : gen_queue
    // Words read ahead: enough to cover the two cycles from a read to the queue's head.
    localparam int Ahead = 4;

    logic [CountWidth-1:0] to_read_q, responses_q;
    logic [2:0]            ahead_q;
    logic                  read_q, unused_room;

    fifo #(
      .Width(WordBits),
      .Depth(Ahead)
    ) u_words (
      .clk_i,
      .rst_ni,
      .valid_i(read_q),
      .ready_o(unused_room),
      .data_i (read_data_i),
      .valid_o(word_valid),
      .ready_i((beats_q != '0) && data_ready_i),
      .data_o (data_o)
    );

    assign read_o   = (to_read_q != '0) && (ahead_q != 3'(Ahead));
    assign answered = (responses_q == CountWidth'(1));

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        to_read_q   <= '0;
        responses_q <= '0;
        ahead_q     <= '0;
        read_q      <= 1'b0;
      end else begin
        read_q <= read_o;
        if (start_i)     to_read_q <= length_q;
        else if (read_o) to_read_q <= to_read_q - CountWidth'(1);
        if (accept != done_i) begin
          responses_q <= accept ? responses_q + CountWidth'(1) : responses_q - CountWidth'(1);
        end
        if (read_o != word_pop) ahead_q <= read_o ? ahead_q + 3'd1 : ahead_q - 3'd1;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (read_o) local_q  <= local_q + LocalWidth'(1);
    if (accept) memory_q <= memory_q + AddrWidth'(req_len_o);
    if (configure_i) begin
      unique case (register_i)
        isa_pkg::StoreSource: local_q <= value_i[isa_pkg::StoreSourceAddressLsb +: LocalWidth];
        isa_pkg::StoreMemory: memory_q <= value_i[isa_pkg::StoreMemoryAddressLsb +: AddrWidth];
        default:              length_q <= value_i[isa_pkg::StoreLengthWordsLsb +: CountWidth];
      endcase
    end
  end

  assign unused = ^value_i;
endmodule
