/// Host port over a serial line: 8 data bits, no parity, one stop bit, framed requests and replies.
///
/// The protocol, its frames and its error replies stand in `docs/reference/uart-protocol.md`. The
/// line is half duplex: what arrives while a reply is sent is ignored. The reply starts within ten
/// cycles of the middle of the request's last stop bit, except for memory that is slow to answer.
///
/// Memory is touched only by READ and WRITE and only if `busy_i` was low when the header arrived;
/// a request is held (`mem_valid_o`, stable address and data) until `mem_ready_i`. A word of WRITE
/// must be accepted within one bit time, or the frame is answered with an error. Read data may come
/// any number of cycles after the request was accepted, with `mem_rvalid_i`.
///
/// `prog_base_o` and `prog_chunks_o` are valid in the cycle of `start_o` only.
///
/// It does not buffer a frame: words of WRITE go to memory as they arrive, before the CRC over them
/// is seen (the header has a CRC of its own, so that they go to the right place). It does not
/// choose the bit rate by itself.
module host_uart #(
  // At least 4.
  parameter int ClocksPerBit = 24,
  // A frame that pauses for 2**TimeoutBits bit times is forgotten.
  parameter int TimeoutBits  = 12
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  // Identity of the Arch, a constant.
  input  logic [63:0] arch_hash_i,
  // Serial line, idle high.
  input  logic        rx_i,
  output logic        tx_o,
  // Memory.
  output logic        mem_valid_o,
  input  logic        mem_ready_i,
  output logic        mem_we_o,
  output logic [13:0] mem_addr_o,
  output logic [63:0] mem_wdata_o,
  input  logic        mem_rvalid_i,
  input  logic [63:0] mem_rdata_i,
  // Control and status of the core.
  output logic        start_o,
  output logic [13:0] prog_base_o,
  output logic [13:0] prog_chunks_o,
  input  logic        busy_i,
  input  logic        fault_i,
  input  logic [31:0] cycles_i
);
  localparam logic [3:0] Version     = 4'd1;
  localparam logic [7:0] SyncRequest = 8'hA5;
  localparam logic [7:0] SyncReply   = 8'h5A;

  // Commands. Bit 3: the words of the frame follow the request, not the reply.
  localparam logic [3:0] CmdStatus = 4'd1;
  localparam logic [3:0] CmdInfo   = 4'd2;
  localparam logic [3:0] CmdCycles = 4'd3;
  localparam logic [3:0] CmdRead   = 4'd4;
  localparam logic [3:0] CmdWrite  = 4'd8;
  localparam logic [3:0] CmdStart  = 4'd9;

  // Error codes.
  localparam logic [1:0] ErrNone    = 2'd0;
  localparam logic [1:0] ErrCrc     = 2'd1;
  localparam logic [1:0] ErrBad     = 2'd2;
  localparam logic [1:0] ErrRefused = 2'd3;

  localparam int BaudWidth = $clog2(ClocksPerBit);

  if (ClocksPerBit < 4) begin : gen_check_clocks
    clocks_per_bit_must_be_at_least_4 u_error ();
  end
  if (TimeoutBits < 5) begin : gen_check_timeout
    timeout_bits_must_be_at_least_5 u_error ();
  end

  typedef enum logic [3:0] {
    Search,     // wait for the sync byte
    Head,       // seven bytes: sequence, command, count, address, CRC
    Data,       // words of a request
    DataCrc,    // two bytes
    Execute,    // one cycle
    ReplyHead,  // three bytes: sync, sequence, status
    Fetch,      // wait for the next word of a reply
    ReplyData,  // eight bytes
    ReplyCrc    // two bytes
  } state_e;

  state_e state_q;
  logic   sending;

  assign sending = state_q == ReplyHead || state_q == ReplyData || state_q == ReplyCrc;

  // Bits of a byte, in both directions: 7 start, 8 to 15 data, 0 stop, 1 idle.
  localparam logic [3:0] BitStop  = 4'd0;
  localparam logic [3:0] BitIdle  = 4'd1;
  localparam logic [3:0] BitStart = 4'd7;

  logic                 rx_meta_q, rx_q, tx_q;
  logic [3:0]           bit_q;
  logic [BaudWidth-1:0] baud_q;
  logic                 idle, begin_bit, tick, strobe, byte_done;

  assign idle      = bit_q == BitIdle;
  assign begin_bit = idle && (sending || (!rx_q && state_q != Fetch && state_q != Execute));
  assign tick      = baud_q == '0;
  assign strobe    = tick && bit_q[3];
  assign byte_done = tick && bit_q == BitStop;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      rx_meta_q <= 1'b1;
      rx_q      <= 1'b1;
      bit_q     <= BitIdle;
      baud_q    <= '0;
    end else begin
      rx_meta_q <= rx_i;
      rx_q      <= rx_meta_q;
      if (begin_bit) begin
        bit_q <= BitStart;
      end else if (tick && !idle) begin
        // A start bit that is high in its middle was noise.
        if (bit_q == BitStart && !sending && rx_q) bit_q <= BitIdle;
        else                                       bit_q <= bit_q + 4'd1;
      end
      if (begin_bit && !sending) baud_q <= BaudWidth'(ClocksPerBit / 2 - 1);
      else if (begin_bit || tick) baud_q <= BaudWidth'(ClocksPerBit - 1);
      else                       baud_q <= baud_q - BaudWidth'(1);
    end
  end

  // Silence inside a frame.
  logic [TimeoutBits-1:0] silence_q;
  logic                   timeout;

  assign timeout = tick && (&silence_q);

  always_ff @(posedge clk_i) begin
    if (!idle || state_q == Search) silence_q <= '0;
    else if (tick)                  silence_q <= silence_q + TimeoutBits'(1);
  end

  // One shift register for both directions: received bits enter at the top, words leave at the
  // bottom, and the head of a reply leaves at bit 40.
  logic [63:0] word_q, load;
  logic [15:0] crc_q;
  logic        load_word, load_head, load_info, line, feedback;
  logic [7:0]  status, seq_q, count_q;
  logic [3:0]  cmd_q;
  logic [1:0]  err_q;
  logic [13:0] addr_q;
  logic [2:0]  index_q;
  logic        last, head_done, access, accept_q;

  assign status    = {Version, fault_i, busy_i, err_q};
  assign load_head = state_q == Execute;
  assign load_info = state_q == Fetch && cmd_q == CmdInfo;
  assign load_word = state_q == Fetch && (cmd_q != CmdRead || mem_rvalid_i);

  assign load[31:0]  = cmd_q[1] ? cycles_i : mem_rdata_i[31:0];
  assign load[39:32] = cmd_q[1] ? '0 : mem_rdata_i[39:32];
  assign load[63:40] = load_head ? {status, seq_q, SyncReply}
                                 : cmd_q[1] ? '0 : mem_rdata_i[63:40];

  always_ff @(posedge clk_i) begin
    if (load_info)                   word_q <= arch_hash_i;
    else if (load_word || load_head) word_q <= load;
    else if (strobe)                 word_q <= {rx_q, word_q[63:1]};
  end

  // CRC-16, polynomial 0x1021, least significant bit first, over all but the sync byte. Sending
  // its own low bit shifts it out.
  assign line     = (state_q == ReplyHead) ? word_q[40] :
                    (state_q == ReplyData) ? word_q[0] :
                    (state_q == ReplyCrc)  ? crc_q[0] : rx_q;
  assign feedback = crc_q[0] ^ line;

  always_ff @(posedge clk_i) begin
    if (state_q == Search || (state_q == ReplyHead && index_q == 3'd0)) crc_q <= '1;
    else if (strobe) crc_q <= {1'b0, crc_q[15:1]} ^ (feedback ? 16'h8408 : 16'h0000);
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) tx_q <= 1'b1;
    else         tx_q <= !sending || (bit_q[3] ? line : bit_q != BitStart);
  end

  assign tx_o = tx_q;

  // Bytes of the present part of a frame.
  always_comb begin
    last = 1'b0;
    unique case (state_q)
      Head:              last = index_q == 3'd6;
      Data, ReplyData:   last = index_q == 3'd7;
      DataCrc, ReplyCrc: last = index_q == 3'd1;
      ReplyHead:         last = index_q == 3'd2;
      default:           last = 1'b0;
    endcase
  end

  assign head_done = state_q == Head && byte_done && last;

  always_ff @(posedge clk_i) begin
    if (state_q == Search || (byte_done && last)) index_q <= '0;
    else if (byte_done)                           index_q <= index_q + 3'd1;
  end

  // Header fields, where they stand in the shift register once the header is complete.
  logic [3:0] cmd;
  logic [7:0] count;
  logic       extra, known, refuse;

  assign cmd    = word_q[19:16];
  assign count  = word_q[31:24];
  assign extra  = word_q[23:20] != 4'd0;
  assign refuse = busy_i && cmd[3:2] != 2'b00;

  always_comb begin
    known = 1'b0;
    unique case (cmd)
      CmdStatus:                    known = !extra && count == 8'd0;
      CmdInfo, CmdCycles, CmdStart: known = !extra && count == 8'd1;
      CmdRead, CmdWrite:            known = !extra;
      default:                      known = 1'b0;
    endcase
  end

  // Memory. `accept_q`: a read was accepted, its data is under way.
  assign mem_we_o      = cmd_q[3];
  assign mem_addr_o    = addr_q;
  assign mem_wdata_o   = word_q;
  assign prog_base_o   = addr_q;
  assign prog_chunks_o = word_q[13:0];
  assign access        = mem_valid_o && mem_ready_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      mem_valid_o <= 1'b0;
      accept_q    <= 1'b0;
    end else begin
      accept_q <= state_q == Fetch && (accept_q || access);
      if (state_q == Fetch) begin
        mem_valid_o <= cmd_q == CmdRead && !accept_q && !access;
      end else if (state_q == Data && byte_done && last && rx_q) begin
        mem_valid_o <= cmd_q == CmdWrite && err_q == ErrNone;
      end else if (mem_ready_i || strobe) begin
        mem_valid_o <= 1'b0;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (head_done) begin
      seq_q   <= word_q[15:8];
      cmd_q   <= cmd;
      count_q <= count;
      addr_q  <= word_q[45:32];
    end else begin
      if (access) addr_q <= addr_q + 14'd1;
      if ((state_q == Data && byte_done && last) || load_word) count_q <= count_q - 8'd1;
    end

    if (head_done) begin
      err_q <= (crc_q != '0) ? ErrCrc : !known ? ErrBad : refuse ? ErrRefused : ErrNone;
    end else if (state_q == DataCrc && byte_done && last && crc_q != '0) begin
      err_q <= ErrCrc;
    end else if (mem_valid_o && strobe && err_q == ErrNone) begin
      // The word was not accepted before the next one began.
      err_q <= ErrRefused;
    end
  end

  assign start_o = state_q == Execute && cmd_q == CmdStart && err_q == ErrNone;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= Search;
    end else begin
      unique case (state_q)
        Search: begin
          if (byte_done && rx_q && word_q[63:56] == SyncRequest) state_q <= Head;
        end
        Head: begin
          if (byte_done && last) begin
            state_q <= (crc_q == '0 && cmd[3] && count != 8'd0) ? Data : Execute;
          end
        end
        Data: begin
          if (byte_done && last && count_q == 8'd1) state_q <= DataCrc;
        end
        DataCrc: begin
          if (byte_done && last) state_q <= Execute;
        end
        Execute: begin
          state_q <= ReplyHead;
        end
        ReplyHead, ReplyData: begin
          if (byte_done && last) begin
            state_q <= (err_q == ErrNone && count_q != 8'd0) ? Fetch : ReplyCrc;
          end
        end
        Fetch: begin
          if (load_word) state_q <= ReplyData;
        end
        ReplyCrc: begin
          if (byte_done && last) state_q <= Search;
        end
        default: begin
          state_q <= Search;
        end
      endcase
      // A low stop bit, or silence, inside a request: wait for the next one.
      if ((state_q == Head || state_q == Data || state_q == DataCrc) &&
          (timeout || (byte_done && !rx_q))) begin
        state_q <= Search;
      end
    end
  end
endmodule
