/// Single-port memory of 16384 words of 64 bits with byte write enables: four SB_SPRAM256KA side
/// by side, which is all the single-port memory of a UP5K.
///
/// One access a cycle: with `en_i` and not `we_i` in cycle p, `rdata_o` holds the word in cycle
/// p+1 and until the next access. After a write `rdata_o` is undefined until the next read.
///
/// There is no reset, and contents are undefined until written (the memory has no initial values).
module prim_spram_64 (
  input  logic        clk_i,
  input  logic        en_i,
  input  logic        we_i,
  input  logic [7:0]  be_i,
  input  logic [13:0] addr_i,
  input  logic [63:0] wdata_i,
  output logic [63:0] rdata_o
);
  for (genvar i = 0; i < 4; i++) begin : gen_ram
    SB_SPRAM256KA u_ram (
      .ADDRESS   (addr_i),
      .DATAIN    (wdata_i[i*16 +: 16]),
      // One mask bit per nibble.
      .MASKWREN  ({{2{be_i[2*i+1]}}, {2{be_i[2*i]}}}),
      .WREN      (we_i),
      .CHIPSELECT(en_i),
      .CLOCK     (clk_i),
      .STANDBY   (1'b0),
      .SLEEP     (1'b0),
      // Active low in spite of its name.
      .POWEROFF  (1'b1),
      .DATAOUT   (rdata_o[i*16 +: 16])
    );
  end
endmodule
