/// Single-port memory of 16384 words of 64 bits with burst access for the machine and single
/// access for the host.
///
/// A burst of n words accepted in cycle a holds the memory in cycles a+1 to a+n; the next can be
/// accepted in a+n. A write burst goes before a read burst. A read beat arrives one cycle after its
/// access; a write beat is taken in its access cycle, and the response comes one cycle after the
/// last. The host is served only while the machine is idle.
module memory_on_chip #(
  parameter int LenWidth = 9
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  // Read bursts.
  input  logic                rd_valid_i,
  output logic                rd_ready_o,
  input  logic [13:0]         rd_addr_i,
  input  logic [LenWidth-1:0] rd_len_i,
  output logic                rdata_valid_o,
  output logic [63:0]         rdata_o,
  // Write bursts.
  input  logic                wr_valid_i,
  output logic                wr_ready_o,
  input  logic [13:0]         wr_addr_i,
  input  logic [LenWidth-1:0] wr_len_i,
  output logic                wdata_ready_o,
  input  logic [63:0]         wdata_i,
  output logic                wdone_o,
  // Host, one word an access.
  input  logic                idle_i,
  input  logic                host_valid_i,
  input  logic                host_write_i,
  input  logic [13:0]         host_addr_i,
  input  logic [63:0]         host_wdata_i,
  output logic                host_ready_o,
  output logic                host_rvalid_o
);
  logic [LenWidth-1:0] left_q;
  logic [13:0]         addr_q;
  logic                write_q, read_q, done_q, host_read_q;
  logic                free, access, accept_write, accept_read;

  assign free          = (left_q <= LenWidth'(1));
  assign access        = (left_q != '0);
  assign wr_ready_o    = free;
  assign rd_ready_o    = free && !wr_valid_i;
  assign accept_write  = wr_valid_i && wr_ready_o;
  assign accept_read   = rd_valid_i && rd_ready_o;
  assign wdata_ready_o = access && write_q;
  assign wdone_o       = done_q;
  assign rdata_valid_o = read_q;
  assign host_ready_o  = idle_i && !access;
  assign host_rvalid_o = host_read_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      left_q      <= '0;
      read_q      <= 1'b0;
      done_q      <= 1'b0;
      host_read_q <= 1'b0;
    end else begin
      read_q      <= access && !write_q;
      done_q      <= wdata_ready_o && (left_q == LenWidth'(1));
      host_read_q <= host_valid_i && host_ready_o && !host_write_i;
      if (accept_write)     left_q <= wr_len_i;
      else if (accept_read) left_q <= rd_len_i;
      else if (access)      left_q <= left_q - LenWidth'(1);
    end
  end

  always_ff @(posedge clk_i) begin
    if (accept_write || accept_read) begin
      write_q <= accept_write;
      addr_q  <= accept_write ? wr_addr_i : rd_addr_i;
    end else if (access) begin
      addr_q <= addr_q + 14'd1;
    end
  end

  prim_spram_64 u_spram (
    .clk_i,
    .en_i   (access || (host_valid_i && host_ready_o)),
    .we_i   (access ? write_q : host_write_i),
    .be_i   (8'hff),
    .addr_i (access ? addr_q : host_addr_i),
    .wdata_i(access ? wdata_i : host_wdata_i),
    .rdata_o(rdata_o)
  );
endmodule
