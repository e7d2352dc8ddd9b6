/// Five nested loops with an address and a pair of image coordinates.
///
/// The loops are kernel_x, kernel_y, block, x and y. With `step_i` the innermost advances; a loop
/// at its end starts again and the next one advances. The address changes by the delta of the one
/// loop that advances while all inside it restart. Coordinates are the position of the pixel plus
/// the position of the kernel tap; `inside_o` says that both lie in the image.
///
/// Outputs describe the present step, from the cycle after `start_i` on. Bounds are at least 1 and,
/// like deltas and steps, stay unchanged while the loops run. Order, innermost first:
///
/// - `Order` 0: `pixels_inner_i` 0: kernel_x kernel_y block x y; 1: x y kernel_x kernel_y block
/// - `Order` 1: kernel_x kernel_y x block y
module loops #(
  parameter int AddrWidth   = 20,
  parameter int CoordWidth  = 11,
  parameter int KernelWidth = 6,
  parameter int BlockWidth  = 10,
  parameter int PixelWidth  = 11,
  parameter int Order       = 0
) (
  input  logic                   clk_i,
  input  logic                   start_i,
  input  logic                   step_i,
  input  logic                   pixels_inner_i,
  // Bounds.
  input  logic [KernelWidth-1:0] n_kernel_x_i,
  input  logic [KernelWidth-1:0] n_kernel_y_i,
  input  logic [BlockWidth-1:0]  n_block_i,
  input  logic [PixelWidth-1:0]  n_x_i,
  input  logic [PixelWidth-1:0]  n_y_i,
  // Address: first value and change by loop.
  input  logic [AddrWidth-1:0]   addr_i,
  input  logic [AddrWidth-1:0]   delta_kernel_x_i,
  input  logic [AddrWidth-1:0]   delta_kernel_y_i,
  input  logic [AddrWidth-1:0]   delta_block_i,
  input  logic [AddrWidth-1:0]   delta_x_i,
  input  logic [AddrWidth-1:0]   delta_y_i,
  // Coordinates: first value (signed), change by pixel and by tap, size of the image.
  input  logic [CoordWidth-1:0]  x_i,
  input  logic [CoordWidth-1:0]  y_i,
  input  logic [4:0]             stride_x_i,
  input  logic [4:0]             stride_y_i,
  input  logic [4:0]             dilation_x_i,
  input  logic [4:0]             dilation_y_i,
  input  logic [CoordWidth-1:0]  width_i,
  input  logic [CoordWidth-1:0]  height_i,
  // The present step.
  output logic [AddrWidth-1:0]   addr_o,
  output logic                   inside_o,
  output logic [CoordWidth-1:0]  x_o,
  output logic                   row_inside_o,
  output logic                   kernel_last_o,
  output logic                   block_last_o,
  output logic                   reduction_first_o,
  output logic                   reduction_last_o,
  output logic                   pixel_last_o
);
  logic kernel_x_last, kernel_y_last, block_last, x_last, y_last;
  // The loops that count in this step: all inside them are at their end.
  logic kernel_x_on, kernel_y_on, block_on, x_on, y_on;

  assign kernel_last_o    = kernel_x_last && kernel_y_last;
  assign block_last_o     = block_last;
  assign reduction_last_o = kernel_last_o && block_last;
  assign pixel_last_o     = x_last && y_last;

  assign kernel_x_on = (Order == 1) || !pixels_inner_i || pixel_last_o;
  assign kernel_y_on = kernel_x_on && kernel_x_last;
  if (Order == 0) begin : gen_exec_order
    assign block_on = kernel_y_on && kernel_y_last;
    assign x_on     = pixels_inner_i || reduction_last_o;
    assign y_on     = x_on && x_last;
  end else begin : gen_pool_order
    assign x_on     = kernel_last_o;
    assign block_on = x_on && x_last;
    assign y_on     = block_on && block_last;
  end

  loop_counter #(
    .Width(KernelWidth)
  ) u_kernel_x (
    .clk_i,
    .start_i,
    .step_i (step_i && kernel_x_on),
    .n_i    (n_kernel_x_i),
    .last_o (kernel_x_last)
  );

  loop_counter #(
    .Width(KernelWidth)
  ) u_kernel_y (
    .clk_i,
    .start_i,
    .step_i (step_i && kernel_y_on),
    .n_i    (n_kernel_y_i),
    .last_o (kernel_y_last)
  );

  loop_counter #(
    .Width(BlockWidth)
  ) u_block (
    .clk_i,
    .start_i,
    .step_i (step_i && block_on),
    .n_i    (n_block_i),
    .last_o (block_last)
  );

  loop_counter #(
    .Width(PixelWidth)
  ) u_x (
    .clk_i,
    .start_i,
    .step_i (step_i && x_on),
    .n_i    (n_x_i),
    .last_o (x_last)
  );

  loop_counter #(
    .Width(PixelWidth)
  ) u_y (
    .clk_i,
    .start_i,
    .step_i (step_i && y_on),
    .n_i    (n_y_i),
    .last_o (y_last)
  );

  // Whether the present step is the first of its reduction; in order 1 that is a window.
  logic reduction_first_q;

  assign reduction_first_o = reduction_first_q;

  always_ff @(posedge clk_i) begin
    if (start_i) reduction_first_q <= 1'b1;
    else if (step_i && kernel_x_on) begin
      reduction_first_q <= (Order == 0) ? reduction_last_o : kernel_last_o;
    end
  end

  // Address.
  logic [AddrWidth-1:0] addr_q, delta;

  always_comb begin
    delta = '0;
    if (kernel_x_on && !kernel_x_last) delta = delta | delta_kernel_x_i;
    if (kernel_y_on && !kernel_y_last) delta = delta | delta_kernel_y_i;
    if (block_on && !block_last)       delta = delta | delta_block_i;
    if (x_on && !x_last)               delta = delta | delta_x_i;
    if (y_on && !y_last)               delta = delta | delta_y_i;
  end

  always_ff @(posedge clk_i) begin
    if (start_i)     addr_q <= addr_i;
    else if (step_i) addr_q <= addr_q + delta;
  end

  assign addr_o = addr_q;

  // Coordinates of the pixel and, relative to it, of the tap.
  logic [CoordWidth-1:0] pixel_x_q, pixel_y_q, tap_x_q, tap_y_q, x, y;

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      pixel_x_q <= x_i;
      pixel_y_q <= y_i;
      tap_x_q   <= '0;
      tap_y_q   <= '0;
    end else if (step_i) begin
      if (x_on)        pixel_x_q <= x_last ? x_i : pixel_x_q + CoordWidth'(stride_x_i);
      if (y_on)        pixel_y_q <= y_last ? y_i : pixel_y_q + CoordWidth'(stride_y_i);
      if (kernel_x_on) tap_x_q   <= kernel_x_last ? '0 : tap_x_q + CoordWidth'(dilation_x_i);
      if (kernel_y_on) tap_y_q   <= kernel_y_last ? '0 : tap_y_q + CoordWidth'(dilation_y_i);
    end
  end

  assign x = pixel_x_q + tap_x_q;
  assign y = pixel_y_q + tap_y_q;

  // A negative coordinate has its top bit set and is never below a size.
  assign x_o          = x;
  assign row_inside_o = !y[CoordWidth-1] && (y < height_i);
  assign inside_o     = !x[CoordWidth-1] && (x < width_i) && row_inside_o;
endmodule
