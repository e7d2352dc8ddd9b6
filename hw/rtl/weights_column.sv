/// Weight memory that gives one column of a tile a cycle.
///
/// Word w of the weight space is column `w % Cols` of tile `w / Cols`; a word is there one cycle
/// after its address.
module weights_column #(
  parameter int WordBits  = 128,
  parameter int Words     = 4096,
  parameter int AddrWidth = 12
) (
  input  logic                 clk_i,
  // Writes, one word.
  input  logic                 write_i,
  input  logic [AddrWidth-1:0] write_addr_i,
  input  logic [WordBits-1:0]  write_data_i,
  // Reads, one word.
  input  logic                 read_i,
  input  logic [AddrWidth-1:0] read_addr_i,
  output logic [WordBits-1:0]  read_data_o
);
  prim_ram_1r1w #(
    .Width(WordBits),
    .Depth(Words)
  ) u_ram (
    .clk_i,
    .we_i   (write_i),
    .waddr_i(write_addr_i),
    .wdata_i(write_data_i),
    .re_i   (read_i),
    .raddr_i(read_addr_i),
    .rdata_o(read_data_o)
  );
endmodule
