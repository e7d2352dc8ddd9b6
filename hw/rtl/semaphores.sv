/// Counting semaphores between engines.
///
/// Engine e presents two waits, each a semaphore index and an amount (0 means no wait). `ok_o[e]`
/// is combinational from the registered counts: both waits are satisfied. With `take_i[e]`, which
/// is allowed only while `ok_o[e]`, both amounts are subtracted at the clock edge. Engine e also
/// presents up to two signals; each adds 1 at the clock edge. A take and a signal of one semaphore
/// in one cycle both apply; a signal is visible in `ok_o` from the next cycle.
///
/// An overflow (a signal that would push a count past `2**Width - 1`) leaves the count at its
/// maximum and sets `fault_o`, which stays set until reset.
///
/// The program keeps these rules, which the compiler checks and this module does not: a semaphore
/// has one engine that waits on it and one that signals it, and the two waits (or the two signals)
/// of an engine in one cycle name different semaphores.
///
/// A design whose semaphores belong to fixed engines says so in the masks and saves most of the
/// logic: a wait or signal outside its mask is never satisfied or has no effect.
module semaphores #(
  parameter int Count   = 16,
  parameter int Engines = 4,
  // Bits of a count, 1 to 3.
  parameter int Width   = 3,
  // Bit e*Count+s: engine e may wait on (signal) semaphore s. Ignored above 32 such bits.
  parameter int WaitMask   = -1,
  parameter int SignalMask = -1
) (
  input  logic                               clk_i,
  input  logic                               rst_ni,
  // Waits: engine e owns bits of entry 2e (first wait) and 2e+1 (second wait).
  input  logic [2*Engines*$clog2(Count)-1:0] wait_index_i,
  input  logic [2*Engines*3-1:0]             wait_amount_i,
  output logic [Engines-1:0]                 ok_o,
  input  logic [Engines-1:0]                 take_i,
  // Signals: engine e owns entries 2e and 2e+1.
  input  logic [2*Engines-1:0]               sig_valid_i,
  input  logic [2*Engines*$clog2(Count)-1:0] sig_index_i,
  // Sticky: a count overflowed.
  output logic                               fault_o
);
  localparam int IndexWidth = $clog2(Count);
  localparam int Ports      = 2 * Engines;
  localparam int Pairs      = Engines * Count;

  localparam logic [Pairs-1:0] MayWait   = (Pairs > 32) ? '1 : Pairs'(WaitMask);
  localparam logic [Pairs-1:0] MaySignal = (Pairs > 32) ? '1 : Pairs'(SignalMask);

  if (Count < 2) begin : gen_check_count
    count_must_be_at_least_2 u_error ();
  end
  if (Engines < 1) begin : gen_check_engines
    engines_must_be_at_least_1 u_error ();
  end
  if (Width < 1 || Width > 3) begin : gen_check_width
    width_must_be_1_to_3 u_error ();
  end

  logic [Count*Width-1:0] count_q, count_d;
  logic [Count-1:0]       overflow;
  logic [Ports-1:0]       port_ok;
  logic                   fault_q;

  // What each semaphore loses and whether it gains; one wait and one signal at most name it.
  logic [Count*Width-1:0] minus;
  logic [Count-1:0]       plus;

  for (genvar p = 0; p < Ports; p++) begin : gen_port
    logic [IndexWidth-1:0] index;
    logic [2:0]            amount;
    logic [Width-1:0]      count;

    assign index  = wait_index_i[p*IndexWidth +: IndexWidth];
    assign amount = wait_amount_i[p*3 +: 3];

    always_comb begin
      count = '0;
      for (int s = 0; s < Count; s++) begin
        if (MayWait[(p/2)*Count+s] && index == IndexWidth'(s)) count = count_q[s*Width +: Width];
      end
    end

    assign port_ok[p] = 3'(count) >= amount;
  end

  for (genvar e = 0; e < Engines; e++) begin : gen_ok
    assign ok_o[e] = port_ok[2*e] && port_ok[2*e+1];
  end

  always_comb begin
    minus = '0;
    plus  = '0;
    for (int s = 0; s < Count; s++) begin
      for (int p = 0; p < Ports; p++) begin
        if (MayWait[(p/2)*Count+s] && take_i[p/2] &&
            wait_index_i[p*IndexWidth +: IndexWidth] == IndexWidth'(s)) begin
          minus[s*Width +: Width] = minus[s*Width +: Width] | wait_amount_i[p*3 +: Width];
        end
        if (MaySignal[(p/2)*Count+s] && sig_valid_i[p] &&
            sig_index_i[p*IndexWidth +: IndexWidth] == IndexWidth'(s)) begin
          plus[s] = 1'b1;
        end
      end
    end
  end

  always_comb begin
    count_d  = count_q;
    overflow = '0;
    for (int s = 0; s < Count; s++) begin
      overflow[s] = plus[s] && (&count_q[s*Width +: Width]) && (minus[s*Width +: Width] == '0);
      if (!overflow[s]) begin
        count_d[s*Width +: Width] =
            count_q[s*Width +: Width] - minus[s*Width +: Width] + Width'(plus[s]);
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      count_q <= '0;
      fault_q <= 1'b0;
    end else begin
      count_q <= count_d;
      fault_q <= fault_q || (|overflow);
    end
  end

  assign fault_o = fault_q;

`ifdef FORMAL
  // Any one semaphore beside a model that adds and subtracts numbers, under the rules that the
  // program keeps.
  (* anyconst *) logic [IndexWidth-1:0] f_index;
  logic       f_past = 1'b0, f_fault = 1'b0;
  logic [5:0] f_count = '0;
  logic [5:0] f_next;
  logic [4:0] f_waits, f_signals;
  logic [2:0] f_amount;

  initial assume (!rst_ni);

  always_ff @(posedge clk_i) begin
    f_past <= 1'b1;
    if (f_past) assume (rst_ni);
    assume (int'(f_index) < Count);
    if (!rst_ni) begin
      f_count <= '0;
      f_fault <= 1'b0;
    end else begin
      f_next    = f_count;
      f_waits   = '0;
      f_signals = '0;
      for (int p = 0; p < Ports; p++) begin
        f_amount = wait_amount_i[p*3 +: 3];
        assume (!take_i[p/2] || ok_o[p/2]);
        if (f_amount == '0) begin
          assert (port_ok[p]);
        end else if (wait_index_i[p*IndexWidth +: IndexWidth] == f_index) begin
          assert (port_ok[p] == (f_count >= 6'(f_amount)));
          f_waits = f_waits + 5'd1;
          if (take_i[p/2]) f_next = f_next - 6'(f_amount);
        end
        if (sig_valid_i[p] && sig_index_i[p*IndexWidth +: IndexWidth] == f_index) begin
          f_signals = f_signals + 5'd1;
          f_next    = f_next + 6'd1;
        end
      end
      assume (f_waits <= 5'd1 && f_signals <= 5'd1);
      assert (overflow[f_index] == (f_next > 6'(2**Width - 1)));
      if (f_next > 6'(2**Width - 1)) f_next = 6'(2**Width - 1);
      f_count <= f_next;
      f_fault <= f_fault || (|overflow);

      assert (f_count == 6'(count_q[f_index*Width +: Width]));
      assert (fault_o == f_fault);
      for (int e = 0; e < Engines; e++) begin
        assert (ok_o[e] == (port_ok[2*e] && port_ok[2*e+1]));
      end
    end
  end
`endif
endmodule
