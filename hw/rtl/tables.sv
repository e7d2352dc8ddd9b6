/// Adds two int8 operands through two tables of fixed-point values, `Lanes` bytes at a time.
///
/// A word takes `WordBytes / Lanes` cycles. For a word begun in cycle j the first operand is
/// addressed in j and the second in j+1; group g is looked up in j+3+g, and written in j+5+g.
/// A result is `clamp(round(a + b))` with `20 - dropped_i` fraction bits, ties to even; without
/// `add_i` the second operand counts as zero. The output's zero point is in the tables. Any entries
/// will do: a sum never overflows. What `dropped_i` above 19 gives is not said.
///
/// Each lane has its own copy of both tables, 256 entries of 32 bits each.
module tables #(
  parameter int WordBytes = 16,
  // A power of two, at most WordBytes / 2.
  parameter int Lanes     = 4,
  parameter int CountWidth = 22,
  parameter int AddrWidth = $clog2(2048 / WordBytes)
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  // Control. `words_last_i` says that the word under way is the last one.
  input  logic                   start_i,
  output logic                   word_done_o,
  input  logic                   words_last_i,
  input  logic                   add_i,
  input  logic [4:0]             dropped_i,
  input  logic [7:0]             low_i,
  input  logic [7:0]             high_i,
  // Operands, one cycle of latency.
  output logic                   read_o,
  output logic                   read_second_o,
  input  logic [8*WordBytes-1:0] data_i,
  // Table contents, one word of entries.
  input  logic                   load_i,
  input  logic [AddrWidth-1:0]   load_addr_i,
  input  logic [8*WordBytes-1:0] load_data_i,
  // Results: a write of some bytes; the word's last; the instruction's last.
  output logic [WordBytes-1:0]   write_o,
  output logic [8*WordBytes-1:0] write_data_o,
  output logic                   write_word_done_o,
  output logic                   write_last_o
);
  localparam int Groups     = WordBytes / Lanes;
  localparam int GroupWidth = $clog2(Groups);
  localparam int Entries    = WordBytes / 4;
  localparam int EntryWidth = $clog2(Entries);
  localparam int RowWidth   = 8 - EntryWidth;

  // Issue.
  logic                  running_q;
  logic [GroupWidth-1:0] group_q;
  logic                  all_last;

  assign word_done_o   = running_q && (group_q == GroupWidth'(Groups - 1));
  assign all_last      = word_done_o && words_last_i;
  assign read_second_o = (group_q == GroupWidth'(1));
  assign read_o        = running_q && ((group_q == '0) || (read_second_o && add_i));

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) running_q <= 1'b0;
    else         running_q <= start_i || (running_q && !all_last);
  end

  always_ff @(posedge clk_i) begin
    if (start_i)        group_q <= '0;
    else if (running_q) group_q <= group_q + GroupWidth'(1);
  end

  // Operands: the first is held for a cycle, then both stay for the look-ups of the word.
  logic [1:0]             first_read_q;
  logic [2:0]             valid_q;
  logic [3*GroupWidth-1:0] look_up_q;
  logic [8*WordBytes-1:0] first_q, a_q, b_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      first_read_q <= '0;
      valid_q      <= '0;
    end else begin
      first_read_q <= {first_read_q[0], running_q && (group_q == '0)};
      valid_q      <= {valid_q[1:0], running_q};
    end
  end

  always_ff @(posedge clk_i) begin
    look_up_q <= {look_up_q[2*GroupWidth-1:0], group_q};
    if (first_read_q[0]) first_q <= data_i;
    if (first_read_q[1]) begin
      a_q <= first_q;
      b_q <= data_i;
    end
  end

  // Look-up of the group in stage 3, sum in stage 4, rounding and write in stage 5.
  logic                  look_up, sum_q, write_q;
  logic [GroupWidth-1:0] look_up_group, sum_group_q, write_group_q;
  logic [8*Lanes-1:0]    result;

  assign look_up       = valid_q[2];
  assign look_up_group = look_up_q[2*GroupWidth +: GroupWidth];

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      sum_q   <= 1'b0;
      write_q <= 1'b0;
    end else begin
      sum_q   <= look_up;
      write_q <= sum_q;
    end
  end

  always_ff @(posedge clk_i) begin
    sum_group_q   <= look_up_group;
    write_group_q <= sum_group_q;
  end

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    logic [7:0]             a, b;
    logic [EntryWidth-1:0]  a_entry_q, b_entry_q;
    logic [8*WordBytes-1:0] a_row, b_row;
    logic [31:0]            a_value, b_value;
    logic signed [32:0]     pair_q;
    logic signed [51:0]     aligned, rounded;
    logic                   below, above, unused;

    assign a = a_q[8*(Lanes*32'(look_up_group) + l) +: 8];
    assign b = b_q[8*(Lanes*32'(look_up_group) + l) +: 8];

    prim_ram_1r1w #(
      .Width(8 * WordBytes),
      .Depth(256 / Entries)
    ) u_first (
      .clk_i,
      .we_i   (load_i && !load_addr_i[AddrWidth-1]),
      .waddr_i(load_addr_i[RowWidth-1:0]),
      .wdata_i(load_data_i),
      .re_i   (look_up),
      .raddr_i(a[7:EntryWidth]),
      .rdata_o(a_row)
    );

    prim_ram_1r1w #(
      .Width(8 * WordBytes),
      .Depth(256 / Entries)
    ) u_second (
      .clk_i,
      .we_i   (load_i && load_addr_i[AddrWidth-1]),
      .waddr_i(load_addr_i[RowWidth-1:0]),
      .wdata_i(load_data_i),
      .re_i   (look_up),
      .raddr_i(b[7:EntryWidth]),
      .rdata_o(b_row)
    );

    always_ff @(posedge clk_i) begin
      a_entry_q <= a[EntryWidth-1:0];
      b_entry_q <= b[EntryWidth-1:0];
    end

    assign a_value = a_row[32*32'(a_entry_q) +: 32];
    assign b_value = add_i ? b_row[32*32'(b_entry_q) +: 32] : 32'd0;

    always_ff @(posedge clk_i) begin
      pair_q <= {a_value[31], a_value} + {b_value[31], b_value};
    end

    assign aligned = {{19{pair_q[32]}}, pair_q} << dropped_i;
    // Half less one, and one more if the integer part is odd: a tie goes to the even neighbour.
    assign rounded = aligned + 52'sh7ffff + {51'd0, aligned[20]};
    assign below   = $signed(rounded[51:20]) < 32'($signed(low_i));
    assign above   = $signed(rounded[51:20]) > 32'($signed(high_i));
    assign unused  = ^rounded[19:0];

    assign result[8*l +: 8] = below ? low_i : (above ? high_i : rounded[27:20]);
  end

  // Words that are issued and not yet written.
  logic [CountWidth-1:0] left_q;

  assign write_word_done_o = write_q && (write_group_q == GroupWidth'(Groups - 1));
  assign write_last_o      = write_word_done_o && !running_q && (left_q == CountWidth'(1));

  always_ff @(posedge clk_i) begin
    if (start_i) left_q <= '0;
    else if (word_done_o != write_word_done_o) begin
      left_q <= word_done_o ? left_q + CountWidth'(1) : left_q - CountWidth'(1);
    end
  end

  always_comb begin
    write_o = '0;
    for (int b = 0; b < WordBytes; b++) begin
      write_data_o[8*b +: 8] = result[8*(b % Lanes) +: 8];
      write_o[b] = write_q && (32'(write_group_q) == b / Lanes);
    end
  end
endmodule
