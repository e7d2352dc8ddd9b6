/// Stand-in for the generated core: same ports, one fixed operation.
///
/// On the doorbell it reads `prog_chunks_i` words (at most 16) at `prog_base_i` in one burst, then writes their
/// complement 16 words further in one burst. Engine 0 "runs" from the first request to the last beat, engine 3 from the
/// write request to the response.
module tilewright_core (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic         start_i,
  input  logic [21:0]  prog_base_i,
  input  logic [21:0]  prog_chunks_i,
  output logic         busy_o,
  output logic         fault_o,
  output logic [31:0]  cycles_o,
  output logic [639:0] counters_o,
  output logic [7:0]   trace_o,
  output logic         rd_valid_o,
  input  logic         rd_ready_i,
  output logic [21:0]  rd_addr_o,
  output logic [8:0]   rd_len_o,
  input  logic         rdata_valid_i,
  input  logic [127:0] rdata_i,
  output logic         wr_valid_o,
  input  logic         wr_ready_i,
  output logic [21:0]  wr_addr_o,
  output logic [8:0]   wr_len_o,
  output logic         wdata_valid_o,
  input  logic         wdata_ready_i,
  output logic [127:0] wdata_o,
  input  logic         wdone_i
);
  typedef enum logic [2:0] { Idle, AskRead, Read, AskWrite, Write, Done } state_e;
  state_e       state_q;
  logic [8:0]   beat_q;
  logic [31:0]  cycles_q;
  logic [127:0] words_q [16];

  assign busy_o        = state_q != Idle;
  assign fault_o       = 1'b0;
  assign cycles_o      = cycles_q;
  assign rd_valid_o    = state_q == AskRead;
  assign rd_addr_o     = prog_base_i;
  assign rd_len_o      = prog_chunks_i[8:0];
  assign wr_valid_o    = state_q == AskWrite;
  assign wr_addr_o     = prog_base_i + 22'd16;
  assign wr_len_o      = prog_chunks_i[8:0];
  assign wdata_valid_o = state_q == Write;
  assign wdata_o       = ~words_q[beat_q[3:0]];
  assign trace_o[3:0]  = {wr_valid_o && wr_ready_i, 2'b0, rd_valid_o && rd_ready_i};
  assign trace_o[7:4]  = {state_q == Done && wdone_i, 2'b0, state_q == Read && rdata_valid_i && beat_q + 9'd1 == rd_len_o};
  for (genvar i = 0; i < 20; i++) begin : gen_counter
    assign counters_o[32*i +: 32] = cycles_q + i;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= Idle;
      beat_q  <= '0;
      cycles_q <= '0;
    end else begin
      if (busy_o) cycles_q <= cycles_q + 1;
      unique case (state_q)
        Idle:     if (start_i) begin state_q <= AskRead; cycles_q <= '0; end
        AskRead:  if (rd_ready_i) state_q <= Read;
        Read: if (rdata_valid_i) begin
          words_q[beat_q[3:0]] <= rdata_i;
          beat_q <= beat_q + 1;
          if (beat_q + 9'd1 == rd_len_o) begin state_q <= AskWrite; beat_q <= '0; end
        end
        AskWrite: if (wr_ready_i) state_q <= Write;
        Write: if (wdata_ready_i) begin
          beat_q <= beat_q + 1;
          if (beat_q + 9'd1 == wr_len_o) begin state_q <= Done; beat_q <= '0; end
        end
        default:  if (wdone_i) state_q <= Idle;
      endcase
    end
  end
endmodule
