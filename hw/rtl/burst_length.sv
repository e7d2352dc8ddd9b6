/// Length of the next burst: up to the next multiple of `BurstWords`, or what is left.
///
/// Combinational. A burst so cut never crosses a multiple of `BurstWords` words.
module burst_length #(
  parameter int AddrWidth  = 22,
  parameter int CountWidth = 20,
  parameter int LenWidth   = 9,
  // A power of two.
  parameter int BurstWords = 16
) (
  input  logic [AddrWidth-1:0]  addr_i,
  input  logic [CountWidth-1:0] left_i,
  output logic [LenWidth-1:0]   len_o
);
  logic [LenWidth-1:0] to_boundary;

  logic                unused;

  assign to_boundary = LenWidth'(BurstWords) - (LenWidth'(addr_i) & LenWidth'(BurstWords - 1));
  assign unused      = ^addr_i;
  assign len_o       = (left_i < CountWidth'(to_boundary)) ? LenWidth'(left_i) : to_boundary;
endmodule
