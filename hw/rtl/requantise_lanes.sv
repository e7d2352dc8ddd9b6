/// Turns accumulators into int8, `Lanes` columns at a time.
///
/// A word of accumulators is `Cols / Lanes` groups; a group takes `Interval` cycles. With
/// `start_i` in cycle t the accumulators and parameters of pixel p, group g are addressed in cycle
/// `t + 1 + (p * Groups + g) * Interval`, and written `requantise.Latency + 1` cycles later.
module requantise_lanes #(
  parameter int WordBytes  = 8,
  parameter int Cols       = 2,
  parameter int Lanes      = 1,
  parameter int Interval   = 2,
  parameter int PixelWidth = 7,
  parameter int GroupWidth = 8,
  // Column tiles of one destination word.
  parameter int TileWidth  = 5
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  // Control. `pixels_last_i` says that the pixel under way is the last one.
  input  logic                   start_i,
  output logic                   pixel_done_o,
  input  logic                   pixels_last_i,
  input  logic                   set_group_i,
  input  logic [GroupWidth-1:0]  group_i,
  input  logic [TileWidth-1:0]   tile_i,
  input  logic [7:0]             zero_point_i,
  input  logic [7:0]             low_i,
  input  logic [7:0]             high_i,
  // Accumulators and parameters, one cycle of latency.
  output logic                   read_o,
  output logic [PixelWidth-1:0]  read_pixel_o,
  output logic [GroupWidth-1:0]  read_group_o,
  input  logic [32*Cols-1:0]     acc_i,
  input  logic [64*Lanes-1:0]    parameters_i,
  // Results: a write of some bytes; the pixel's last; the instruction's last.
  output logic [WordBytes-1:0]   write_o,
  output logic [8*WordBytes-1:0] write_data_o,
  output logic                   write_pixel_done_o,
  output logic                   write_last_o
);
  localparam int Groups     = Cols / Lanes;
  localparam int ColWidth   = (Groups > 1) ? $clog2(Groups) : 1;
  localparam int PhaseWidth = (Interval > 1) ? $clog2(Interval) : 1;

  // Issue.
  logic                  running_q, valid_q;
  logic [PhaseWidth-1:0] phase_q;
  logic [ColWidth-1:0]   col_q, col_read_q;
  logic [PixelWidth-1:0] pixel_q;
  logic [GroupWidth-1:0] group_q, base_q;
  logic                  phase_last, col_last, all_last;

  assign phase_last   = (Interval == 1) || (phase_q == PhaseWidth'(Interval - 1));
  assign col_last     = (Groups == 1) || (col_q == ColWidth'(Groups - 1));
  assign pixel_done_o = running_q && phase_last && col_last;
  assign all_last     = pixel_done_o && pixels_last_i;
  assign read_o       = running_q && (phase_q == '0);
  assign read_pixel_o = pixel_q;
  assign read_group_o = group_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      running_q <= 1'b0;
      valid_q   <= 1'b0;
    end else begin
      running_q <= start_i || (running_q && !all_last);
      valid_q   <= read_o;
    end
  end

  // The parameter group advances within a pixel, and past the tile at the end.
  always_ff @(posedge clk_i) begin
    if (start_i) begin
      phase_q <= '0;
      col_q   <= '0;
      pixel_q <= '0;
    end else if (running_q) begin
      phase_q <= phase_last ? '0 : phase_q + PhaseWidth'(1);
      if (phase_last)   col_q   <= col_last ? '0 : col_q + ColWidth'(1);
      if (pixel_done_o) pixel_q <= pixel_q + PixelWidth'(1);
    end
    if (read_o) col_read_q <= col_q;
    if (set_group_i) begin
      group_q <= group_i;
      base_q  <= group_i;
    end else if (all_last) begin
      group_q <= group_q + GroupWidth'(1);
      base_q  <= group_q + GroupWidth'(1);
    end else if (running_q && phase_last) begin
      group_q <= col_last ? base_q : group_q + GroupWidth'(1);
    end
  end

  // The lanes.
  logic [Lanes-1:0]    lane_valid;
  logic [8*Lanes-1:0]  lane_data;
  logic [32*Lanes-1:0] acc;
  logic                unused_lane_valid;

  assign unused_lane_valid = ^lane_valid;

  if (Groups == 1) begin : gen_all_cols
    logic unused;
    assign acc    = acc_i;
    assign unused = col_read_q;
  end else begin : gen_some_cols
    assign acc = acc_i[32*Lanes*32'(col_read_q) +: 32*Lanes];
  end

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    logic unused;

    requantise #(
      .Interval (Interval),
      .ClampHeld(1)
    ) u_requantise (
      .clk_i,
      .rst_ni,
      .valid_i   (valid_q),
      .acc_i     (acc[32*l +: 32]),
      .bias_i    (parameters_i[64*l +: 32]),
      .mantissa_i(parameters_i[64*l + 32 +: 24]),
      .shift_i   (parameters_i[64*l + 56 +: 6]),
      .zp_i      (zero_point_i),
      .lo_i      (low_i),
      .hi_i      (high_i),
      .valid_o   (lane_valid[l]),
      .y_o       (lane_data[8*l +: 8])
    );

    assign unused = ^parameters_i[64*l + 62 +: 2];
  end

  // Results come in order: count them to know which byte and which pixel they are.
  logic [ColWidth-1:0]   write_col_q;
  logic [PixelWidth-1:0] left_q;
  logic                  write_col_last;

  assign write_col_last     = (Groups == 1) || (write_col_q == ColWidth'(Groups - 1));
  assign write_pixel_done_o = lane_valid[0] && write_col_last;
  assign write_last_o       = write_pixel_done_o && !running_q && (left_q == PixelWidth'(1));

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      write_col_q <= '0;
      left_q      <= '0;
    end else begin
      if (lane_valid[0]) write_col_q <= write_col_last ? '0 : write_col_q + ColWidth'(1);
      if (pixel_done_o != write_pixel_done_o) begin
        left_q <= pixel_done_o ? left_q + PixelWidth'(1) : left_q - PixelWidth'(1);
      end
    end
  end

  always_comb begin
    write_o = '0;
    for (int b = 0; b < WordBytes; b++) begin
      write_data_o[8*b +: 8] = lane_data[8*(b % Lanes) +: 8];
      write_o[b] = lane_valid[0] && (32'(tile_i) == b / Cols) &&
                   ((Groups == 1) || (32'(write_col_q) == (b / Lanes) % Groups));
    end
  end
endmodule
