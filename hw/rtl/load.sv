/// LOAD: copies words from memory to a local memory.
///
/// For a start in cycle t the first burst is requested from t+1 on; up to `Outstanding` bursts are
/// under way. A beat that arrives in cycle d is written in d+1, and the write of the last one is
/// the last cycle. Both addresses stay where the copy ended, so the next copy can go on from there.
module load #(
  parameter int WordBits    = 64,
  parameter int AddrWidth   = 22,
  parameter int LocalWidth  = 20,
  parameter int CountWidth  = 20,
  parameter int LenWidth    = 9,
  parameter int BurstWords  = 16,
  parameter int Outstanding = 4
) (
  input  logic                  clk_i,
  input  logic                  rst_ni,
  // Sequencer.
  input  logic                  start_i,
  output logic                  last_o,
  input  logic                  configure_i,
  input  logic [5:0]            register_i,
  input  logic [21:0]           value_i,
  // Read requests and data.
  output logic                  req_valid_o,
  input  logic                  req_ready_i,
  output logic [AddrWidth-1:0]  req_addr_o,
  output logic [LenWidth-1:0]   req_len_o,
  input  logic                  data_valid_i,
  input  logic                  data_last_i,
  input  logic [WordBits-1:0]   data_i,
  // Local memories: activations, weights, parameters, tables.
  output logic [3:0]            write_o,
  output logic [LocalWidth-1:0] write_addr_o,
  output logic [WordBits-1:0]   write_data_o
);
  localparam int UnderWayWidth = $clog2(Outstanding + 1);

  logic [AddrWidth-1:0]     memory_q;
  logic [LocalWidth-1:0]    local_q;
  logic [1:0]               space_q;
  logic [CountWidth-1:0]    length_q, to_request_q, to_write_q;
  logic [UnderWayWidth-1:0] under_way_q;
  logic                     write_q;
  logic [WordBits-1:0]      data_q;
  logic                     grant, burst_done;
  logic                     unused;

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

  assign req_valid_o = (to_request_q != '0) && (under_way_q != UnderWayWidth'(Outstanding));
  assign req_addr_o  = memory_q;
  assign grant       = req_valid_o && req_ready_i;
  assign burst_done  = data_valid_i && data_last_i;
  assign last_o      = write_q && (to_write_q == CountWidth'(1));

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      to_request_q <= '0;
      under_way_q  <= '0;
      write_q      <= 1'b0;
    end else begin
      write_q <= data_valid_i;
      if (start_i)    to_request_q <= length_q;
      else if (grant) to_request_q <= to_request_q - CountWidth'(req_len_o);
      if (grant != burst_done) begin
        under_way_q <= grant ? under_way_q + UnderWayWidth'(1) : under_way_q - UnderWayWidth'(1);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    data_q <= data_i;
    if (start_i)      to_write_q <= length_q;
    else if (write_q) to_write_q <= to_write_q - CountWidth'(1);
    if (grant)        memory_q   <= memory_q + AddrWidth'(req_len_o);
    if (write_q)      local_q    <= local_q + LocalWidth'(1);
    if (configure_i) begin
      unique case (register_i)
        isa_pkg::LoadMemory: memory_q <= value_i[isa_pkg::LoadMemoryAddressLsb +: AddrWidth];
        isa_pkg::LoadDestination: begin
          local_q <= value_i[isa_pkg::LoadDestinationAddressLsb +: LocalWidth];
          space_q <= value_i[isa_pkg::LoadDestinationSpaceLsb +: 2];
        end
        default: length_q <= value_i[isa_pkg::LoadLengthWordsLsb +: CountWidth];
      endcase
    end
  end

  always_comb begin
    write_o          = 4'b0000;
    write_o[space_q] = write_q;
  end

  assign write_addr_o = local_q;
  assign write_data_o = data_q;
  assign unused       = ^value_i;
endmodule
