/// EXEC's control: registers, loops, and the issue of one step a cycle.
///
/// For a start in cycle t the first step issues in `t + 1` (output-stationary) or `t + Fill + 1`
/// (weight-stationary). A reduction step in weight-stationary order takes at least `MinStep`
/// cycles, so that the next tile is in the shadow registers and no accumulator is read before its
/// last update is written. The last cycle is that of the last step; nothing stalls in between.
///
/// In the cycle of a step the activation address, the whole weight tile's address and the
/// accumulator's control leave this module. Weights read by column (`WholeTiles` 0): the columns of
/// a tile are addressed, last one first, before the first step and during the first cycles of each
/// step but the last.
module exec_control #(
  parameter int AddrWidth   = 20,
  parameter int CoordWidth  = 11,
  parameter int KernelWidth = 6,
  parameter int BlockWidth  = 10,
  parameter int PixelWidth  = 11,
  parameter int TileWidth   = 8,
  parameter int AccWidth    = 7,
  parameter int Cols        = 2,
  parameter int WholeTiles  = 1,
  parameter int Fill        = 1,
  parameter int MinStep     = 3,
  // Dataflows in the design.
  parameter int WeightStationary = 1,
  parameter int OutputStationary = 1,
  parameter int ColWidth    = (Cols > 1) ? $clog2(Cols) : 1
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  // Sequencer.
  input  logic                 start_i,
  output logic                 last_o,
  input  logic [3:0]           flags_i,
  input  logic                 configure_i,
  input  logic [5:0]           register_i,
  input  logic [21:0]          value_i,
  // Activation word of the step; what to use instead where it lies in the padding.
  output logic                 step_o,
  output logic [AddrWidth-1:0] step_addr_o,
  output logic                 step_inside_o,
  output logic                 step_swap_o,
  output logic [7:0]           padding_o,
  // Weights: a tile (whole tiles) or a column of it.
  output logic                 weight_read_o,
  output logic [TileWidth-1:0] weight_tile_o,
  output logic [ColWidth-1:0]  weight_col_o,
  // Accumulator of the step.
  output logic                 acc_half_o,
  output logic [AccWidth-1:0]  acc_pixel_o,
  output logic                 acc_first_o,
  output logic                 acc_last_o,
  output logic                 acc_pixel_sum_o
);
  localparam int AgeWidth  = $clog2(MinStep + 1);
  localparam int FillWidth = $clog2(Fill + 1);

  // Registers.
  logic [AddrWidth-1:0]   source_q, delta_kernel_x_q, delta_kernel_y_q, delta_block_q;
  logic [AddrWidth-1:0]   delta_x_q, delta_y_q;
  logic [CoordWidth-1:0]  origin_x_q, origin_y_q, width_q, height_q;
  logic [4:0]             stride_x_q, stride_y_q, dilation_x_q, dilation_y_q;
  logic [KernelWidth-1:0] kernel_x_q, kernel_y_q;
  logic [BlockWidth-1:0]  blocks_q;
  logic [PixelWidth-1:0]  pixels_x_q, pixels_y_q;
  logic [7:0]             padding_q;

  always_ff @(posedge clk_i) begin
    if (configure_i) begin
      unique case (register_i)
        isa_pkg::ExecSource: source_q <= value_i[isa_pkg::ExecSourceAddressLsb +: AddrWidth];
        isa_pkg::ExecOrigin: begin
          origin_x_q <= value_i[isa_pkg::ExecOriginXLsb +: CoordWidth];
          origin_y_q <= value_i[isa_pkg::ExecOriginYLsb +: CoordWidth];
        end
        isa_pkg::ExecExtent: begin
          width_q  <= value_i[isa_pkg::ExecExtentWidthLsb +: CoordWidth];
          height_q <= value_i[isa_pkg::ExecExtentHeightLsb +: CoordWidth];
        end
        isa_pkg::ExecStep: begin
          stride_x_q   <= value_i[isa_pkg::ExecStepStrideXLsb +: 5];
          stride_y_q   <= value_i[isa_pkg::ExecStepStrideYLsb +: 5];
          dilation_x_q <= value_i[isa_pkg::ExecStepDilationXLsb +: 5];
          dilation_y_q <= value_i[isa_pkg::ExecStepDilationYLsb +: 5];
        end
        isa_pkg::ExecReduction: begin
          kernel_x_q <= value_i[isa_pkg::ExecReductionKernelXLsb +: KernelWidth];
          kernel_y_q <= value_i[isa_pkg::ExecReductionKernelYLsb +: KernelWidth];
          blocks_q   <= value_i[isa_pkg::ExecReductionBlocksLsb +: BlockWidth];
        end
        isa_pkg::ExecPixels: begin
          pixels_x_q <= value_i[isa_pkg::ExecPixelsXLsb +: PixelWidth];
          pixels_y_q <= value_i[isa_pkg::ExecPixelsYLsb +: PixelWidth];
        end
        isa_pkg::ExecDeltaKernelX: delta_kernel_x_q <= value_i[AddrWidth-1:0];
        isa_pkg::ExecDeltaKernelY: delta_kernel_y_q <= value_i[AddrWidth-1:0];
        isa_pkg::ExecDeltaBlock:   delta_block_q    <= value_i[AddrWidth-1:0];
        isa_pkg::ExecDeltaX:       delta_x_q        <= value_i[AddrWidth-1:0];
        isa_pkg::ExecDeltaY:       delta_y_q        <= value_i[AddrWidth-1:0];
        isa_pkg::ExecPadding:      padding_q        <= value_i[7:0];
        default: ;
      endcase
    end
  end

  // Dataflow of the running instruction; a constant where the design has one.
  logic pixel_sum;

  assign pixel_sum = (OutputStationary != 0) &&
                     ((WeightStationary == 0) || flags_i[isa_pkg::ExecFlagOutput]);

  // Issue: filling, then running; paused at the end of a reduction step that was too short.
  logic                 filling_q, running_q, paused_q;
  logic [FillWidth-1:0] fill_q;
  logic [AgeWidth-1:0]  age_q;
  logic                 issue, filled, aged, step_end;
  logic                 reduction_first, reduction_last, pixel_last;
  logic                  unused_kernel_last, unused_block_last, unused_row_inside;
  logic [CoordWidth-1:0] unused_x;

  assign issue    = running_q && !paused_q;
  assign filled   = filling_q && (fill_q == FillWidth'(Fill - 1));
  assign aged     = pixel_sum || (age_q >= AgeWidth'(MinStep - 1));
  assign step_end = issue && pixel_last;
  assign last_o   = step_end && reduction_last;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      filling_q <= 1'b0;
      running_q <= 1'b0;
      paused_q  <= 1'b0;
    end else begin
      if (start_i && !pixel_sum) filling_q <= 1'b1;
      else if (filled)           filling_q <= 1'b0;
      if ((start_i && pixel_sum) || filled) running_q <= 1'b1;
      else if (last_o)                      running_q <= 1'b0;
      paused_q <= (step_end || paused_q) && !aged && !last_o;
    end
  end

  // Age of the reduction step in cycles, up to the point from which it no longer matters.
  always_ff @(posedge clk_i) begin
    fill_q <= filling_q ? fill_q + FillWidth'(1) : '0;
    if (!running_q || ((step_end || paused_q) && aged)) age_q <= '0;
    else if (age_q != AgeWidth'(MinStep))               age_q <= age_q + AgeWidth'(1);
  end

  loops #(
    .AddrWidth  (AddrWidth),
    .CoordWidth (CoordWidth),
    .KernelWidth(KernelWidth),
    .BlockWidth (BlockWidth),
    .PixelWidth (PixelWidth),
    .Order      (0)
  ) u_loops (
    .clk_i,
    .start_i,
    .step_i           (issue),
    .pixels_inner_i   (!pixel_sum),
    .n_kernel_x_i     (kernel_x_q),
    .n_kernel_y_i     (kernel_y_q),
    .n_block_i        (blocks_q),
    .n_x_i            (pixels_x_q),
    .n_y_i            (pixels_y_q),
    .addr_i           (source_q),
    .delta_kernel_x_i (delta_kernel_x_q),
    .delta_kernel_y_i (delta_kernel_y_q),
    .delta_block_i    (delta_block_q),
    .delta_x_i        (delta_x_q),
    .delta_y_i        (delta_y_q),
    .x_i              (origin_x_q),
    .y_i              (origin_y_q),
    .stride_x_i       (stride_x_q),
    .stride_y_i       (stride_y_q),
    .dilation_x_i     (dilation_x_q),
    .dilation_y_i     (dilation_y_q),
    .width_i          (width_q),
    .height_i         (height_q),
    .addr_o           (step_addr_o),
    .inside_o         (step_inside_o),
    .x_o              (unused_x),
    .row_inside_o     (unused_row_inside),
    .kernel_last_o    (unused_kernel_last),
    .block_last_o     (unused_block_last),
    .reduction_first_o(reduction_first),
    .reduction_last_o (reduction_last),
    .pixel_last_o     (pixel_last)
  );

  assign step_o    = issue;
  assign padding_o = padding_q;

  // Accumulators: pixels in order, from the first one again when all are done (weight-stationary).
  logic [AccWidth-1:0] pixel_q;
  logic                next_pixel;

  assign next_pixel = issue && (!pixel_sum || reduction_last);

  always_ff @(posedge clk_i) begin
    if (start_i || step_end && !pixel_sum) pixel_q <= '0;
    else if (next_pixel)                   pixel_q <= pixel_q + AccWidth'(1);
  end

  assign acc_half_o      = flags_i[isa_pkg::ExecFlagHalf];
  assign acc_pixel_o     = pixel_q;
  assign acc_first_o     = reduction_first && !(flags_i[isa_pkg::ExecFlagAccumulate] && !pixel_sum);
  assign acc_last_o      = reduction_last;
  assign acc_pixel_sum_o = pixel_sum;

  // Weight tiles. `base_q` is the tile that the instruction, or the next one, begins with.
  logic [TileWidth-1:0] tile_q, base_q;
  logic                 set_base;

  assign set_base = configure_i && (register_i == isa_pkg::ExecWeights);

  if (WholeTiles != 0) begin : gen_whole
    logic next_tile;

    // A new tile every step (output-stationary) or after all pixels (weight-stationary).
    assign next_tile     = pixel_sum ? issue : step_end;
    assign weight_read_o = issue;
    assign weight_tile_o = tile_q;
    assign weight_col_o  = '0;
    assign step_swap_o   = 1'b0;

    always_ff @(posedge clk_i) begin
      if (set_base) begin
        tile_q <= value_i[isa_pkg::ExecWeightsTileLsb +: TileWidth];
        base_q <= value_i[isa_pkg::ExecWeightsTileLsb +: TileWidth];
      end else if (last_o) begin
        tile_q <= tile_q + TileWidth'(1);
        base_q <= tile_q + TileWidth'(1);
      end else if (next_tile) begin
        tile_q <= (pixel_sum && reduction_last) ? base_q : tile_q + TileWidth'(1);
      end
    end
  end else begin : gen_columns
    logic [ColWidth-1:0] column;
    logic                reading, pixel_first_q, unused_base;

    // The fill reads the first tile, each step but the last reads the next one. A paused step is
    // not the last, and the loops are already at the step after it.
    assign reading = filling_q ||
                     (running_q && (paused_q || !reduction_last) && (age_q < AgeWidth'(Cols)));
    assign column  = filling_q ? ColWidth'(fill_q) : ColWidth'(age_q);
    assign weight_read_o = reading;
    assign weight_tile_o = tile_q;
    assign weight_col_o  = ColWidth'(Cols - 1) - column;
    assign step_swap_o   = issue && pixel_first_q;
    assign base_q        = tile_q;
    assign unused_base   = ^base_q;

    always_ff @(posedge clk_i) begin
      if (start_i)    pixel_first_q <= 1'b1;
      else if (issue) pixel_first_q <= pixel_last;
      if (set_base) begin
        tile_q <= value_i[isa_pkg::ExecWeightsTileLsb +: TileWidth];
      end else if (reading && (column == ColWidth'(Cols - 1))) begin
        tile_q <= tile_q + TileWidth'(1);
      end
    end
  end
endmodule
