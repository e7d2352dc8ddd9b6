/// Sum of two signed numbers, one bit wider than they are.
///
/// It is a module of its own so that a tree of sums stays a tree of carry chains: flattened, yosys
/// makes one carry-save adder of the tree, which takes twice the logic cells.
(* carry_chain *)
module add #(
  parameter int Width = 16
) (
  input  logic [Width-1:0] a_i,
  input  logic [Width-1:0] b_i,
  output logic [Width:0]   sum_o
);
  assign sum_o = {a_i[Width-1], a_i} + {b_i[Width-1], b_i};
endmodule
