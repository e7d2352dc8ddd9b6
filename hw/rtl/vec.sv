/// VEC: requantises accumulators, pools, looks up tables and packs image rows.
///
/// It holds the registers, walks the source and destination addresses, and leaves the work to
/// `requantise_lanes`, `max_pool`, `tables` and `pack`, of which one is busy at a time. Timing is
/// that of the unit at work; the last cycle is that of the last write.
module vec #(
  parameter int WordBytes   = 16,
  parameter int AddrWidth   = 14,
  parameter int CoordWidth  = 11,
  parameter int KernelWidth = 6,
  parameter int BlockWidth  = 10,
  parameter int PixelWidth  = 11,
  parameter int AccWidth    = 9,
  parameter int Cols        = 16,
  parameter int Lanes       = 16,
  parameter int Interval    = 1,
  parameter int GroupWidth  = 7,
  // Whether there are max-pool and pack units; lanes of the table unit, 0 for none.
  parameter int MaxPool     = 1,
  parameter int TableLanes  = 4,
  parameter int Pack        = 1,
  parameter int TableWidth  = 7
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  // Sequencer.
  input  logic                   start_i,
  output logic                   last_o,
  input  logic [3:0]             opcode_i,
  input  logic [3:0]             flags_i,
  input  logic                   configure_i,
  input  logic [5:0]             register_i,
  input  logic [21:0]            value_i,
  // Accumulators.
  output logic                   acc_read_o,
  output logic                   acc_half_o,
  output logic [AccWidth-1:0]    acc_pixel_o,
  input  logic [32*Cols-1:0]     acc_data_i,
  // Parameters.
  output logic [GroupWidth-1:0]  group_o,
  input  logic [64*Lanes-1:0]    parameters_i,
  // Table contents from LOAD.
  input  logic                   table_load_i,
  input  logic [TableWidth-1:0]  table_addr_i,
  input  logic [8*WordBytes-1:0] table_data_i,
  // Activation banks.
  output logic                   read_o,
  output logic [AddrWidth-1:0]   read_addr_o,
  input  logic [8*WordBytes-1:0] read_data_i,
  output logic [WordBytes-1:0]   write_o,
  output logic [AddrWidth-1:0]   write_addr_o,
  output logic [8*WordBytes-1:0] write_data_o
);
  localparam int HasSource = ((MaxPool != 0) || (TableLanes != 0) || (Pack != 0)) ? 1 : 0;
  localparam int TileWidth = 5;

  // Registers of all operations.
  logic [AddrWidth-1:0]  destination_q, destination_delta_y_q;
  logic [TileWidth-1:0]  tile_q;
  logic [PixelWidth-1:0] pixels_x_q, pixels_y_q;
  logic [7:0]            low_q, high_q, zero_point_q;

  always_ff @(posedge clk_i) begin
    if (configure_i) begin
      unique case (register_i)
        isa_pkg::VecDestination: destination_q <= value_i[AddrWidth-1:0];
        isa_pkg::VecGroup:       tile_q <= value_i[isa_pkg::VecGroupGroupLsb +: TileWidth];
        isa_pkg::VecPixels: begin
          pixels_x_q <= value_i[isa_pkg::VecPixelsXLsb +: PixelWidth];
          pixels_y_q <= value_i[isa_pkg::VecPixelsYLsb +: PixelWidth];
        end
        isa_pkg::VecDestinationDeltaY: destination_delta_y_q <= value_i[AddrWidth-1:0];
        isa_pkg::VecClamp: begin
          low_q  <= value_i[isa_pkg::VecClampLowLsb +: 8];
          high_q <= value_i[isa_pkg::VecClampHighLsb +: 8];
        end
        isa_pkg::VecZeroPoint: zero_point_q <= value_i[7:0];
        default: ;
      endcase
    end
  end

  logic unused_value;

  assign unused_value = ^value_i;

  // The operation at work; a constant where the design has one.
  logic pooling, tabling, packing;

  assign pooling = (MaxPool != 0) && (opcode_i == isa_pkg::OpMaxPool);
  assign tabling = (TableLanes != 0) && (opcode_i == isa_pkg::OpLookup);
  assign packing = (Pack != 0) && (opcode_i == isa_pkg::OpPack);

  // Bounds of the loops that only pooling has; one elsewhere.
  logic [KernelWidth-1:0] kernel_x, kernel_y;
  logic [BlockWidth-1:0]  blocks;

  // Source loops: they advance by a window element (pooling), a word (tables) or a pixel.
  logic [CoordWidth-1:0] source_x;
  logic                  source_row_inside;
  logic [AddrWidth-1:0] source_addr;
  logic                 source_inside, window_first, window_last, block_last, pixels_last, step;

  // Unit results.
  logic                   requantise_done, requantise_last, requantise_step;
  logic [WordBytes-1:0]   requantise_write;
  logic [8*WordBytes-1:0] requantise_data;
  logic                   pool_write, pool_last, pool_step;
  logic [8*WordBytes-1:0] pool_data;
  logic                   table_done, table_last, table_step, table_read, table_second;
  logic [WordBytes-1:0]   table_write;
  logic [8*WordBytes-1:0] table_data;
  logic                   pack_done, pack_last, pack_step, pack_read;
  logic [AddrWidth-1:0]   pack_offset;
  logic [WordBytes-1:0]   pack_write;
  logic [8*WordBytes-1:0] pack_data;

  assign step = requantise_step || pool_step || table_step || pack_step;

  requantise_lanes #(
    .WordBytes (WordBytes),
    .Cols      (Cols),
    .Lanes     (Lanes),
    .Interval  (Interval),
    .PixelWidth(AccWidth),
    .GroupWidth(GroupWidth),
    .TileWidth (TileWidth)
  ) u_requantise (
    .clk_i,
    .rst_ni,
    .start_i           (start_i && !pooling && !tabling && !packing),
    .pixel_done_o      (requantise_step),
    .pixels_last_i     (pixels_last),
    .set_group_i       (configure_i && (register_i == isa_pkg::VecParameters)),
    .group_i           (value_i[isa_pkg::VecParametersGroupLsb +: GroupWidth]),
    .tile_i            (tile_q),
    .zero_point_i      (zero_point_q),
    .low_i             (low_q),
    .high_i            (high_q),
    .read_o            (acc_read_o),
    .read_pixel_o      (acc_pixel_o),
    .read_group_o      (group_o),
    .acc_i             (acc_data_i),
    .parameters_i      (parameters_i),
    .write_o           (requantise_write),
    .write_data_o      (requantise_data),
    .write_pixel_done_o(requantise_done),
    .write_last_o      (requantise_last)
  );

  assign acc_half_o = flags_i[isa_pkg::RequantiseFlagHalf];

  if (HasSource != 0) begin : gen_source
    logic [AddrWidth-1:0]   source_q, second_q, delta_kernel_x_q, delta_kernel_y_q;
    logic [AddrWidth-1:0]   delta_x_q, delta_block_q, delta_y_q;
    logic [CoordWidth-1:0]  origin_x_q, origin_y_q, width_q, height_q;
    logic [4:0]             stride_x_q, stride_y_q, dilation_x_q, dilation_y_q;
    logic [KernelWidth-1:0] kernel_x_q, kernel_y_q;
    logic [BlockWidth-1:0]  blocks_q;
    logic                   unused_reduction_last;

    always_ff @(posedge clk_i) begin
      if (configure_i) begin
        unique case (register_i)
          isa_pkg::VecSource:  source_q <= value_i[AddrWidth-1:0];
          isa_pkg::VecSourceB: second_q <= value_i[AddrWidth-1:0];
          isa_pkg::VecOrigin: begin
            origin_x_q <= value_i[isa_pkg::VecOriginXLsb +: CoordWidth];
            origin_y_q <= value_i[isa_pkg::VecOriginYLsb +: CoordWidth];
          end
          isa_pkg::VecExtent: begin
            width_q  <= value_i[isa_pkg::VecExtentWidthLsb +: CoordWidth];
            height_q <= value_i[isa_pkg::VecExtentHeightLsb +: CoordWidth];
          end
          isa_pkg::VecStep: begin
            stride_x_q   <= value_i[isa_pkg::VecStepStrideXLsb +: 5];
            stride_y_q   <= value_i[isa_pkg::VecStepStrideYLsb +: 5];
            dilation_x_q <= value_i[isa_pkg::VecStepDilationXLsb +: 5];
            dilation_y_q <= value_i[isa_pkg::VecStepDilationYLsb +: 5];
          end
          isa_pkg::VecWindow: begin
            kernel_x_q <= value_i[isa_pkg::VecWindowKernelXLsb +: KernelWidth];
            kernel_y_q <= value_i[isa_pkg::VecWindowKernelYLsb +: KernelWidth];
            blocks_q   <= value_i[isa_pkg::VecWindowBlocksLsb +: BlockWidth];
          end
          isa_pkg::VecDeltaKernelX: delta_kernel_x_q <= value_i[AddrWidth-1:0];
          isa_pkg::VecDeltaKernelY: delta_kernel_y_q <= value_i[AddrWidth-1:0];
          isa_pkg::VecDeltaX:       delta_x_q        <= value_i[AddrWidth-1:0];
          isa_pkg::VecDeltaBlock:   delta_block_q    <= value_i[AddrWidth-1:0];
          isa_pkg::VecDeltaY:       delta_y_q        <= value_i[AddrWidth-1:0];
          default: ;
        endcase
      end
    end

    assign kernel_x = pooling ? kernel_x_q : KernelWidth'(1);
    assign kernel_y = pooling ? kernel_y_q : KernelWidth'(1);
    assign blocks   = pooling ? blocks_q : BlockWidth'(1);

    loops #(
      .AddrWidth  (AddrWidth),
      .CoordWidth (CoordWidth),
      .KernelWidth(KernelWidth),
      .BlockWidth (BlockWidth),
      .PixelWidth (PixelWidth),
      .Order      (1)
    ) u_loops (
      .clk_i,
      .start_i,
      .step_i           (step),
      .pixels_inner_i   (1'b0),
      .n_kernel_x_i     (kernel_x),
      .n_kernel_y_i     (kernel_y),
      .n_block_i        (blocks),
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
      .addr_o           (source_addr),
      .inside_o         (source_inside),
      .x_o              (source_x),
      .row_inside_o     (source_row_inside),
      .kernel_last_o    (window_last),
      .block_last_o     (block_last),
      .reduction_first_o(window_first),
      .reduction_last_o (unused_reduction_last),
      .pixel_last_o     (pixels_last)
    );

    // What lies in the padding is not read: its address may be in another engine's bank.
    assign read_o      = (pool_step && source_inside) || table_read || pack_read;
    assign read_addr_o = source_addr + ((tabling && table_second) ? second_q - source_q :
                                        packing ? pack_offset : '0);

    if (Pack != 0) begin : gen_pack
      logic [4:0] lane_q;
      logic [7:0] padding_q;

      always_ff @(posedge clk_i) begin
        if (configure_i && (register_i == isa_pkg::VecPack)) begin
          lane_q    <= value_i[isa_pkg::VecPackLaneLsb +: 5];
          padding_q <= value_i[isa_pkg::VecPackPaddingLsb +: 8];
        end
      end

      pack #(
        .WordBytes  (WordBytes),
        .AddrWidth  (AddrWidth),
        .CoordWidth (CoordWidth),
        .KernelWidth(KernelWidth)
      ) u_pack (
        .clk_i,
        .rst_ni,
        .start_i      (start_i && packing),
        .pixel_done_o (pack_step),
        .pixels_last_i(pixels_last),
        .x_i          (source_x),
        .width_i      (width_q),
        .row_inside_i (source_row_inside),
        .lane_i       (lane_q),
        .taps_i       (kernel_x_q),
        .padding_i    (padding_q),
        .read_o       (pack_read),
        .read_offset_o(pack_offset),
        .data_i       (read_data_i),
        .write_o      (pack_write),
        .write_data_o (pack_data),
        .write_done_o (pack_done),
        .write_last_o (pack_last)
      );
    end else begin : gen_no_pack
      logic unused_source;

      assign pack_step     = 1'b0;
      assign pack_read     = 1'b0;
      assign pack_offset   = '0;
      assign pack_write    = '0;
      assign pack_data     = '0;
      assign pack_done     = 1'b0;
      assign pack_last     = 1'b0;
      assign unused_source = ^{source_x, source_row_inside, pack_offset};
    end
  end else begin : gen_no_source
    // Only pixels are counted.
    logic [PixelWidth-1:0] x_q, y_q;
    logic                  unused;

    always_ff @(posedge clk_i) begin
      if (start_i) begin
        x_q <= pixels_x_q;
        y_q <= pixels_y_q;
      end else if (step) begin
        x_q <= (x_q == PixelWidth'(1)) ? pixels_x_q : x_q - PixelWidth'(1);
        if (x_q == PixelWidth'(1)) y_q <= y_q - PixelWidth'(1);
      end
    end

    assign pixels_last   = (x_q == PixelWidth'(1)) && (y_q == PixelWidth'(1));
    assign kernel_x      = KernelWidth'(1);
    assign kernel_y      = KernelWidth'(1);
    assign blocks        = BlockWidth'(1);
    assign source_addr   = '0;
    assign source_inside = 1'b0;
    assign window_first  = 1'b1;
    assign window_last   = 1'b1;
    assign block_last    = 1'b1;
    assign read_o        = 1'b0;
    assign read_addr_o   = '0;
    assign source_x      = '0;
    assign pack_step     = 1'b0;
    assign pack_read     = 1'b0;
    assign pack_offset   = '0;
    assign pack_write    = '0;
    assign pack_data     = '0;
    assign pack_done     = 1'b0;
    assign pack_last     = 1'b0;
    assign source_row_inside = 1'b0;
    assign unused        = ^{kernel_x, kernel_y, blocks, source_addr, source_inside, window_first,
                             window_last, block_last, table_read, table_second, read_data_i,
                             source_x, source_row_inside, pack_read, pack_offset};
  end

  if (MaxPool != 0) begin : gen_pool
    logic running_q, all_last;
    logic last_1_q, last_2_q;

    assign pool_step = running_q;
    assign all_last  = running_q && window_last && block_last && pixels_last;
    assign pool_last = last_2_q;

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        running_q <= 1'b0;
        last_1_q  <= 1'b0;
        last_2_q  <= 1'b0;
      end else begin
        running_q <= (start_i && pooling) || (running_q && !all_last);
        last_1_q  <= all_last;
        last_2_q  <= last_1_q;
      end
    end

    max_pool #(
      .WordBytes(WordBytes)
    ) u_max_pool (
      .clk_i,
      .rst_ni,
      .valid_i     (running_q),
      .inside_i    (source_inside),
      .first_i     (window_first),
      .last_i      (window_last),
      .data_i      (read_data_i),
      .write_o     (pool_write),
      .write_data_o(pool_data)
    );
  end else begin : gen_no_pool
    // Other operations have no window.
    logic unused_window;

    assign unused_window = ^{window_first, window_last, block_last};

    assign pool_step  = 1'b0;
    assign pool_last  = 1'b0;
    assign pool_write = 1'b0;
    assign pool_data  = '0;
  end

  if (TableLanes != 0) begin : gen_tables
    logic [4:0] dropped_q;

    always_ff @(posedge clk_i) begin
      if (configure_i && (register_i == isa_pkg::VecClamp)) begin
        dropped_q <= value_i[isa_pkg::VecClampDroppedLsb +: 5];
      end
    end

    tables #(
      .WordBytes (WordBytes),
      .Lanes     (TableLanes),
      .CountWidth(2 * PixelWidth)
    ) u_tables (
      .clk_i,
      .rst_ni,
      .start_i          (start_i && tabling),
      .word_done_o      (table_step),
      .words_last_i     (pixels_last),
      .add_i            (flags_i[isa_pkg::LookupFlagPair]),
      .dropped_i        (dropped_q),
      .low_i            (low_q),
      .high_i           (high_q),
      .read_o           (table_read),
      .read_second_o    (table_second),
      .data_i           (read_data_i),
      .load_i           (table_load_i),
      .load_addr_i      (table_addr_i),
      .load_data_i      (table_data_i),
      .write_o          (table_write),
      .write_data_o     (table_data),
      .write_word_done_o(table_done),
      .write_last_o     (table_last)
    );
  end else begin : gen_no_tables
    logic unused;

    assign unused       = ^{table_load_i, table_addr_i, table_data_i};
    assign table_step   = 1'b0;
    assign table_read   = 1'b0;
    assign table_second = 1'b0;
    assign table_write  = '0;
    assign table_data   = '0;
    assign table_done   = 1'b0;
    assign table_last   = 1'b0;
  end

  // Destination: x is contiguous; at the end of a row the block advances (pooling), then y.
  logic [AddrWidth-1:0]  write_addr_q;
  logic [PixelWidth-1:0] write_x_q;
  logic                  word_done, write_x_last, write_block_last;
  logic [AddrWidth-1:0]  destination_delta_block;

  assign word_done    = requantise_done || pool_write || table_done || pack_done;
  assign write_x_last = (write_x_q == PixelWidth'(1));

  if (MaxPool != 0) begin : gen_write_block
    logic [BlockWidth-1:0] write_block_q;
    logic [AddrWidth-1:0]  delta_block_q;

    assign write_block_last        = (write_block_q == BlockWidth'(1));
    assign destination_delta_block = delta_block_q;

    always_ff @(posedge clk_i) begin
      if (configure_i && (register_i == isa_pkg::VecDestinationDeltaBlock)) begin
        delta_block_q <= value_i[AddrWidth-1:0];
      end
      if (start_i) write_block_q <= blocks;
      else if (word_done && write_x_last) begin
        write_block_q <= write_block_last ? blocks : write_block_q - BlockWidth'(1);
      end
    end
  end else begin : gen_no_write_block
    assign write_block_last        = 1'b1;
    assign destination_delta_block = '0;
  end

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      write_addr_q <= destination_q;
      write_x_q    <= pixels_x_q;
    end else if (word_done) begin
      write_x_q    <= write_x_last ? pixels_x_q : write_x_q - PixelWidth'(1);
      write_addr_q <= write_addr_q + (!write_x_last ? AddrWidth'(1) :
                                      write_block_last ? destination_delta_y_q
                                                       : destination_delta_block);
    end
  end

  assign write_addr_o = write_addr_q;
  assign write_o      = pooling ? {WordBytes{pool_write}} :
                        tabling ? table_write : packing ? pack_write : requantise_write;
  assign write_data_o = pooling ? pool_data :
                        tabling ? table_data : packing ? pack_data : requantise_data;
  assign last_o       = requantise_last || pool_last || table_last || pack_last;
endmodule
