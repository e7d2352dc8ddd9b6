/// Adds column sums into accumulators: two halves of `Pixels` words of `Cols` 32-bit values.
///
/// Control comes with the step's address: `valid_i` and all flags in cycle p, the column sums in
/// cycle `p + Latency`, `Latency` at least 1. The new value is written in cycle `p + Latency + 1`
/// and seen by a read in the cycle after that.
///
/// A step with `pixel_sum_i` adds to the running sum of its pixel in registers and is written at
/// `last_i` only; else it adds to what the memory holds. `first_i` starts from zero either way.
/// Sums wrap at 32 bits.
///
/// The reader reads one half while the array fills the other; a design without `InMemory` never
/// reads on the array's side and keeps both halves in one memory.
module accumulators #(
  parameter int Cols        = 2,
  parameter int SumWidth    = 19,
  parameter int Pixels      = 128,
  parameter int AddrWidth   = 7,
  parameter int Latency     = 3,
  // Whether steps that add to memory, and steps that add to registers, exist.
  parameter int InMemory    = 1,
  parameter int InRegisters = 1
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,
  // Control of a step.
  input  logic                     valid_i,
  input  logic                     half_i,
  input  logic [AddrWidth-1:0]     pixel_i,
  input  logic                     first_i,
  input  logic                     last_i,
  input  logic                     pixel_sum_i,
  // Column sums of the step, later.
  input  logic [Cols*SumWidth-1:0] sum_i,
  // Reader.
  input  logic                     read_i,
  input  logic                     read_half_i,
  input  logic [AddrWidth-1:0]     read_pixel_i,
  output logic [32*Cols-1:0]       read_data_o
);
  localparam int ControlWidth = AddrWidth + 4;

  // Control, delayed to the sums. Stage s is s+1 cycles after the step.
  logic [Latency-1:0]              valid_q;
  logic [Latency*ControlWidth-1:0] control_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid_q <= '0;
    else         valid_q <= Latency'({valid_q, valid_i});
  end

  always_ff @(posedge clk_i) begin
    control_q <= (Latency * ControlWidth)'({
      control_q, half_i, first_i, last_i, pixel_sum_i, pixel_i
    });
  end

  // The step whose sums are here.
  logic                 half, first, last, pixel_sum;
  logic [AddrWidth-1:0] pixel;

  assign {half, first, last, pixel_sum, pixel} =
      control_q[(Latency-1)*ControlWidth +: ControlWidth];

  // The step whose sums come in the next cycle: its accumulators are read now.
  logic                 next_valid, next_half;
  logic [AddrWidth-1:0] next_pixel;

  if (Latency > 1) begin : gen_next
    assign next_valid = valid_q[Latency-2];
    assign next_half  = control_q[(Latency-1)*ControlWidth - 1];
    assign next_pixel = control_q[(Latency-2)*ControlWidth +: AddrWidth];
  end else begin : gen_next_now
    assign next_valid = valid_i;
    assign next_half  = half_i;
    assign next_pixel = pixel_i;
  end

  logic [32*Cols-1:0]   held, total_q;
  logic                 write_q, write_half_q;
  logic [AddrWidth-1:0] write_pixel_q;
  logic                 in_registers;

  assign in_registers = (InMemory == 0) || ((InRegisters != 0) && pixel_sum);

  for (genvar c = 0; c < Cols; c++) begin : gen_col
    logic [31:0] so_far;
    logic [31:0] sum;

    assign so_far = first ? 32'd0 : (in_registers ? total_q[32*c +: 32] : held[32*c +: 32]);
    assign sum    = {
      {(32-SumWidth){sum_i[c*SumWidth + SumWidth - 1]}}, sum_i[c*SumWidth +: SumWidth]
    };

    always_ff @(posedge clk_i) begin
      if (valid_q[Latency-1]) total_q[32*c +: 32] <= so_far + sum;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) write_q <= 1'b0;
    else         write_q <= valid_q[Latency-1] && (last || !in_registers);
  end

  always_ff @(posedge clk_i) begin
    write_half_q  <= half;
    write_pixel_q <= pixel;
  end

  if (InMemory != 0) begin : gen_two
    logic [2*32*Cols-1:0] data;
    logic                 next_half_q, read_half_q;

    always_ff @(posedge clk_i) begin
      next_half_q <= next_half;
      if (read_i) read_half_q <= read_half_i;
    end

    for (genvar h = 0; h < 2; h++) begin : gen_half
      logic array_reads, reader_reads;

      assign array_reads  = next_valid && (next_half == 1'(h));
      assign reader_reads = read_i && (read_half_i == 1'(h));

      prim_ram_1r1w #(
        .Width(32 * Cols),
        .Depth(Pixels)
      ) u_ram (
        .clk_i,
        .we_i   (write_q && (write_half_q == 1'(h))),
        .waddr_i(write_pixel_q),
        .wdata_i(total_q),
        .re_i   (array_reads || reader_reads),
        .raddr_i(reader_reads ? read_pixel_i : next_pixel),
        .rdata_o(data[h*32*Cols +: 32*Cols])
      );
    end

    assign held        = next_half_q ? data[32*Cols +: 32*Cols] : data[0 +: 32*Cols];
    assign read_data_o = read_half_q ? data[32*Cols +: 32*Cols] : data[0 +: 32*Cols];
  end else begin : gen_one
    logic unused;

    prim_ram_1r1w #(
      .Width(32 * Cols),
      .Depth(2 * Pixels)
    ) u_ram (
      .clk_i,
      .we_i   (write_q),
      .waddr_i({write_half_q, write_pixel_q}),
      .wdata_i(total_q),
      .re_i   (read_i),
      .raddr_i({read_half_i, read_pixel_i}),
      .rdata_o(read_data_o)
    );

    assign held   = '0;
    assign unused = ^{next_valid, next_half, next_pixel};
  end
endmodule
