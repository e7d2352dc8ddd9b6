/// Weight memory that gives a whole tile a cycle: one memory for each column.
///
/// Word w of the weight space is column `w % Cols` of tile `w / Cols`. A tile is there one cycle
/// after its address, column c in bits `[c*WordBits +: WordBits]`.
module weights_tile #(
  parameter int WordBits  = 64,
  parameter int Cols      = 2,
  parameter int Words     = 512,
  parameter int AddrWidth = 9,
  parameter int TileWidth = 8
) (
  input  logic                     clk_i,
  // Writes, one word.
  input  logic                     write_i,
  input  logic [AddrWidth-1:0]     write_addr_i,
  input  logic [WordBits-1:0]      write_data_i,
  // Reads, one tile.
  input  logic                     read_i,
  input  logic [TileWidth-1:0]     read_tile_i,
  output logic [Cols*WordBits-1:0] read_data_o
);
  localparam int ColWidth = (Cols > 1) ? $clog2(Cols) : 1;

  for (genvar c = 0; c < Cols; c++) begin : gen_col
    logic here;

    assign here = (Cols == 1) || (write_addr_i[ColWidth-1:0] == ColWidth'(c));

    prim_ram_1r1w #(
      .Width(WordBits),
      .Depth(Words / Cols)
    ) u_ram (
      .clk_i,
      .we_i   (write_i && here),
      .waddr_i(TileWidth'(write_addr_i >> $clog2(Cols))),
      .wdata_i(write_data_i),
      .re_i   (read_i),
      .raddr_i(read_tile_i),
      .rdata_o(read_data_o[c*WordBits +: WordBits])
    );
  end
endmodule
