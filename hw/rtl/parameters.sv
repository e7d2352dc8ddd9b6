/// Memory of bias, mantissa and shift per output channel: 8 bytes each.
///
/// LOAD writes words; a read gives the parameters of `Lanes` channels one cycle after the address
/// of their group, channel l of the group in bits `[64*l +: 64]`.
module parameters #(
  parameter int WordBits   = 64,
  parameter int Lanes      = 1,
  parameter int Channels   = 256,
  parameter int GroupWidth = $clog2(Channels / Lanes),
  parameter int WordWidth  = $clog2(Channels * 64 / WordBits)
) (
  input  logic                  clk_i,
  // Writes, one word.
  input  logic                  write_i,
  input  logic [WordWidth-1:0]  write_addr_i,
  input  logic [WordBits-1:0]   write_data_i,
  // Reads, one group.
  input  logic                  read_i,
  input  logic [GroupWidth-1:0] read_group_i,
  output logic [64*Lanes-1:0]   read_data_o
);
  if (64 * Lanes >= WordBits) begin : gen_wide
    // A group is one or several words.
    localparam int WordsPerGroup = 64 * Lanes / WordBits;

    logic [WordsPerGroup-1:0] write;

    for (genvar w = 0; w < WordsPerGroup; w++) begin : gen_write
      assign write[w] = write_i && (32'(write_addr_i) % WordsPerGroup == w);
    end

    prim_ram_1r1w #(
      .Width(64 * Lanes),
      .Depth(Channels / Lanes),
      .Lanes(WordsPerGroup)
    ) u_ram (
      .clk_i,
      .we_i   (write),
      .waddr_i(GroupWidth'(write_addr_i >> $clog2(WordsPerGroup))),
      .wdata_i({WordsPerGroup{write_data_i}}),
      .re_i   (read_i),
      .raddr_i(read_group_i),
      .rdata_o(read_data_o)
    );
  end else begin : gen_narrow
    // A word is several groups.
    localparam int GroupsPerWord = WordBits / (64 * Lanes);
    localparam int SubWidth      = $clog2(GroupsPerWord);

    logic [WordBits-1:0] word;
    logic [SubWidth-1:0] sub_q;

    always_ff @(posedge clk_i) begin
      if (read_i) sub_q <= read_group_i[SubWidth-1:0];
    end

    prim_ram_1r1w #(
      .Width(WordBits),
      .Depth(Channels * 64 / WordBits)
    ) u_ram (
      .clk_i,
      .we_i   (write_i),
      .waddr_i(write_addr_i),
      .wdata_i(write_data_i),
      .re_i   (read_i),
      .raddr_i(WordWidth'(read_group_i >> SubWidth)),
      .rdata_o(word)
    );

    assign read_data_o = word[64*Lanes*32'(sub_q) +: 64*Lanes];
  end
endmodule
