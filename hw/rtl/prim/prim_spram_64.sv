/// Single-port memory of 16384 words of 64 bits with byte write enables.
///
/// One access a cycle: with `en_i` and not `we_i` in cycle p, `rdata_o` holds the word in cycle
/// p+1 and until the next access. After a write `rdata_o` is undefined until the next read.
///
/// There is no reset, and contents are undefined until written. This is the generic version; the
/// one for iCE40 UltraPlus has the same name and is chosen by the file list.
module prim_spram_64 (
  input  logic        clk_i,
  input  logic        en_i,
  input  logic        we_i,
  input  logic [7:0]  be_i,
  input  logic [13:0] addr_i,
  input  logic [63:0] wdata_i,
  output logic [63:0] rdata_o
);
  logic [63:0] mem [16384];

  always_ff @(posedge clk_i) begin
    if (en_i) begin
      if (we_i) begin
        for (int b = 0; b < 8; b++) begin
          if (be_i[b]) mem[addr_i][b*8 +: 8] <= wdata_i[b*8 +: 8];
        end
      end else begin
        rdata_o <= mem[addr_i];
      end
    end
  end
endmodule
