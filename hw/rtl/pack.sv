/// Packs neighbouring bytes of an image row into lanes of one word for each output pixel.
///
/// A pixel takes two cycles. Its first byte has the signed position `x_i` in the row; the word that
/// holds it is addressed in the first cycle j, the word after it in j+1, and `taps_i` bytes are
/// written to the lanes from `lane_i` on in j+4. Bytes outside the row, and all bytes of a row
/// outside the image, are `padding_i`; words that hold no such byte are not read.
module pack #(
  parameter int WordBytes   = 16,
  parameter int AddrWidth   = 14,
  parameter int CoordWidth  = 11,
  parameter int KernelWidth = 6
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  // Control. `pixels_last_i` says that the pixel under way is the last one.
  input  logic                   start_i,
  output logic                   pixel_done_o,
  input  logic                   pixels_last_i,
  // The pixel under way.
  input  logic [CoordWidth-1:0]  x_i,
  input  logic [CoordWidth-1:0]  width_i,
  input  logic                   row_inside_i,
  input  logic [4:0]             lane_i,
  input  logic [KernelWidth-1:0] taps_i,
  input  logic [7:0]             padding_i,
  // Source words, one cycle of latency: their place in the row.
  output logic                   read_o,
  output logic [AddrWidth-1:0]   read_offset_o,
  input  logic [8*WordBytes-1:0] data_i,
  // Results: a write of some bytes; the instruction's last.
  output logic [WordBytes-1:0]   write_o,
  output logic [8*WordBytes-1:0] write_data_o,
  output logic                   write_done_o,
  output logic                   write_last_o
);
  localparam int PosWidth = $clog2(WordBytes);

  // Issue: the word of the first byte, then the one after it.
  logic                  running_q, second_q, all_last;
  logic [CoordWidth-1:0] word_x;

  assign pixel_done_o  = running_q && second_q;
  assign all_last      = pixel_done_o && pixels_last_i;
  assign word_x        = {x_i[CoordWidth-1:PosWidth], {PosWidth{1'b0}}} +
                         (second_q ? CoordWidth'(WordBytes) : '0);
  assign read_o        = running_q && row_inside_i && !word_x[CoordWidth-1] && (word_x < width_i);
  assign read_offset_o = AddrWidth'(word_x[CoordWidth-1:PosWidth]);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      running_q <= 1'b0;
      second_q  <= 1'b0;
    end else begin
      running_q <= start_i || (running_q && !all_last);
      second_q  <= running_q && !second_q;
    end
  end

  // Stages 2 to 4 after the first read: both words are here; bytes are chosen; lanes are written.
  logic [2:0]            valid_q, last_q;
  logic [CoordWidth-1:0] x_q;
  logic                  inside_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q <= '0;
      last_q  <= '0;
    end else begin
      valid_q <= {valid_q[1:0], pixel_done_o};
      last_q  <= {last_q[1:0], all_last};
    end
  end

  logic [8*WordBytes-1:0] first_q, chosen_q;
  logic [WordBytes-1:0]   ok_q;
  logic [PosWidth-1:0]    rotate_q;
  logic [WordBytes-1:0]   from_lane;

  assign from_lane = {WordBytes{1'b1}} << lane_i;

  always_ff @(posedge clk_i) begin
    if (pixel_done_o) begin
      first_q  <= data_i;
      x_q      <= x_i;
      inside_q <= row_inside_i;
    end
    rotate_q <= x_q[PosWidth-1:0] - PosWidth'(lane_i);
  end

  // The word's worth of bytes from the first one on, in place: byte k of the second word stands at
  // k where the first word's bytes are before the position.
  for (genvar b = 0; b < WordBytes; b++) begin : gen_byte
    logic [CoordWidth-1:0] column;
    logic [PosWidth-1:0]   from;

    assign column = x_q + CoordWidth'(b) - CoordWidth'(lane_i);
    assign from   = rotate_q + PosWidth'(b);

    always_ff @(posedge clk_i) begin
      chosen_q[8*b +: 8] <= (6'(b) >= 6'(x_q[PosWidth-1:0])) ? first_q[8*b +: 8]
                                                             : data_i[8*b +: 8];
      ok_q[b] <= inside_q && !column[CoordWidth-1] && (column < width_i);
      write_data_o[8*b +: 8] <= ok_q[b] ? chosen_q[8*32'(from) +: 8] : padding_i;
    end

    assign write_o[b] = valid_q[2] && from_lane[b] &&
                        (KernelWidth'(b) < KernelWidth'(lane_i) + taps_i);
  end

  assign write_done_o = valid_q[2];
  assign write_last_o = last_q[2];
endmodule
