/// Shares the read side of memory between LOAD and FETCH, burst by burst.
///
/// It holds one granted request. In a cycle in which it is empty or hands its request over it
/// grants the next: LOAD if LOAD requests, else FETCH. A request granted in cycle g is offered to
/// the memory from g+1 on and stays unchanged until it is accepted. Data come back in the order of
/// the grants and go to their owner in the same cycle.
module read_arbiter #(
  parameter int AddrWidth   = 22,
  parameter int LenWidth    = 9,
  parameter int ChunkWords  = 4,
  // Bursts under way at once, of both owners.
  parameter int Outstanding = 4
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  // LOAD.
  input  logic                 load_valid_i,
  output logic                 load_ready_o,
  input  logic [AddrWidth-1:0] load_addr_i,
  input  logic [LenWidth-1:0]  load_len_i,
  output logic                 load_data_valid_o,
  output logic                 load_data_last_o,
  // FETCH, one chunk a request.
  input  logic                 fetch_valid_i,
  output logic                 fetch_ready_o,
  input  logic [AddrWidth-1:0] fetch_addr_i,
  output logic                 fetch_data_valid_o,
  // Memory.
  output logic                 rd_valid_o,
  input  logic                 rd_ready_i,
  output logic [AddrWidth-1:0] rd_addr_o,
  output logic [LenWidth-1:0]  rd_len_o,
  input  logic                 rdata_valid_i
);
  logic                 valid_q;
  logic [AddrWidth-1:0] addr_q;
  logic [LenWidth-1:0]  len_q, len;
  logic                 open, grant;

  assign open          = !valid_q || rd_ready_i;
  assign load_ready_o  = open;
  assign fetch_ready_o = open && !load_valid_i;
  assign grant         = open && (load_valid_i || fetch_valid_i);
  assign len           = load_valid_i ? load_len_i : LenWidth'(ChunkWords);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)   valid_q <= 1'b0;
    else if (open) valid_q <= grant;
  end

  always_ff @(posedge clk_i) begin
    if (open) begin
      addr_q <= load_valid_i ? load_addr_i : fetch_addr_i;
      len_q  <= len;
    end
  end

  assign rd_valid_o = valid_q;
  assign rd_addr_o  = addr_q;
  assign rd_len_o   = len_q;

  // Owners of the bursts under way, oldest first.
  logic                owner_valid, owner_load, owner_pop, unused_room;
  logic [LenWidth-1:0] owner_len, beat_q;

  fifo #(
    .Width(LenWidth + 1),
    .Depth(Outstanding)
  ) u_owners (
    .clk_i,
    .rst_ni,
    .valid_i(grant),
    .ready_o(unused_room),
    .data_i ({load_valid_i, len}),
    .valid_o(owner_valid),
    .ready_i(owner_pop),
    .data_o ({owner_load, owner_len})
  );

  assign owner_pop          = rdata_valid_i && (beat_q == owner_len - LenWidth'(1));
  assign load_data_valid_o  = rdata_valid_i && owner_valid && owner_load;
  assign load_data_last_o   = owner_pop;
  assign fetch_data_valid_o = rdata_valid_i && owner_valid && !owner_load;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)            beat_q <= '0;
    else if (rdata_valid_i) beat_q <= owner_pop ? '0 : beat_q + LenWidth'(1);
  end
endmodule
