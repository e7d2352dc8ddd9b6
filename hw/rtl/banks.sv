/// The activation banks: one read port and one write port each.
///
/// Readers are EXEC, VEC and STORE, writers are LOAD and VEC; a reader gets its word one cycle
/// after its address. An address is the bank above the word. At most one reader and one writer use
/// a bank in one cycle; the program's semaphores make it so and this module does not check it.
module banks #(
  parameter int WordBytes = 8,
  parameter int Banks     = 2,
  parameter int Words     = 256,
  parameter int AddrWidth = 9
) (
  input  logic                     clk_i,
  // Readers: exec, vec, store.
  input  logic [2:0]               read_i,
  input  logic [3*AddrWidth-1:0]   read_addr_i,
  output logic [3*8*WordBytes-1:0] read_data_o,
  // Writers: load (whole words), vec (bytes).
  input  logic                     load_write_i,
  input  logic [AddrWidth-1:0]     load_addr_i,
  input  logic [8*WordBytes-1:0]   load_data_i,
  input  logic [WordBytes-1:0]     vec_write_i,
  input  logic [AddrWidth-1:0]     vec_addr_i,
  input  logic [8*WordBytes-1:0]   vec_data_i
);
  localparam int WordBits  = 8 * WordBytes;
  localparam int RowWidth  = $clog2(Words);
  localparam int BankWidth = AddrWidth - RowWidth;

  logic [Banks*WordBits-1:0] data;
  logic [3*BankWidth-1:0]    bank, bank_q;

  for (genvar r = 0; r < 3; r++) begin : gen_reader_bank
    assign bank[r*BankWidth +: BankWidth] = read_addr_i[r*AddrWidth + RowWidth +: BankWidth];
  end

  always_ff @(posedge clk_i) begin
    for (int r = 0; r < 3; r++) begin
      if (read_i[r]) bank_q[r*BankWidth +: BankWidth] <= bank[r*BankWidth +: BankWidth];
    end
  end

  for (genvar b = 0; b < Banks; b++) begin : gen_bank
    logic [2:0]           read;
    logic [RowWidth-1:0]  read_row;
    logic                 load_write;
    logic                 vec_here;
    logic [WordBytes-1:0] write;

    // EXEC's row stands there unless another reads: whether EXEC reads is known too late to choose.
    always_comb begin
      read_row = read_addr_i[0 +: RowWidth];
      for (int r = 0; r < 3; r++) begin
        read[r] = read_i[r] && (bank[r*BankWidth +: BankWidth] == BankWidth'(b));
        if (r > 0 && read[r]) read_row = read_addr_i[r*AddrWidth +: RowWidth];
      end
    end

    assign load_write = load_write_i && (load_addr_i[RowWidth +: BankWidth] == BankWidth'(b));
    assign vec_here   = (vec_addr_i[RowWidth +: BankWidth] == BankWidth'(b));
    assign write      = load_write ? '1 : (vec_here ? vec_write_i : '0);

    prim_ram_1r1w #(
      .Width(WordBits),
      .Depth(Words),
      .Lanes(WordBytes)
    ) u_ram (
      .clk_i,
      .we_i   (write),
      .waddr_i(load_write ? load_addr_i[RowWidth-1:0] : vec_addr_i[RowWidth-1:0]),
      .wdata_i(load_write ? load_data_i : vec_data_i),
      .re_i   (|read),
      .raddr_i(read_row),
      .rdata_o(data[b*WordBits +: WordBits])
    );
  end

  always_comb begin
    read_data_o = '0;
    for (int r = 0; r < 3; r++) begin
      for (int b = 0; b < Banks; b++) begin
        if (bank_q[r*BankWidth +: BankWidth] == BankWidth'(b)) begin
          read_data_o[r*WordBits +: WordBits] = data[b*WordBits +: WordBits];
        end
      end
    end
  end
endmodule
