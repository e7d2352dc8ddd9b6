/// Counting semaphores between engines.
///
/// Engine e presents two waits, each a semaphore index and an amount (0 means no wait). `ok_o[e]`
/// is combinational from the registered counts: both waits are satisfied. With `take_i[e]`, which
/// is allowed only while `ok_o[e]`, both amounts are taken; in the next cycle the engine still
/// presents the same waits, cannot take, and its `ok_o[e]` means nothing. Engine e also presents up
/// to two signals; each adds 1 at the clock edge. A take and a signal of one semaphore in one cycle
/// both apply; a signal is visible in `ok_o` from the next cycle.
///
/// An overflow (a signal that would push a count past `2**Width - 1`) leaves the count at its
/// maximum and sets `fault_o` two cycles after the signal, until reset.
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

  // The largest count. Counts are held in thermometer code, which compares, adds and subtracts
  // without carries: bit k of a semaphore is set while its count is more than k.
  localparam int Max  = 2**Width - 1;
  // What is taken is subtracted a cycle late, so that a count can be one too high meanwhile.
  localparam int Bits = Max + 1;

  logic [Count*Bits-1:0] count_q, count_d;
  logic [Count-1:0]      overflow;
  logic [Ports-1:0]      port_ok;
  logic [Engines-1:0]    take_q;
  logic                  fault_q;

  // What each semaphore loses and whether it gains; one wait and one signal at most name it.
  logic [Count*Width-1:0] minus;
  logic [Count-1:0]       plus;

  for (genvar p = 0; p < Ports; p++) begin : gen_port
    logic [IndexWidth-1:0] index;
    logic [Max-1:0]        count;
    logic [7:0]            enough;

    assign index = wait_index_i[p*IndexWidth +: IndexWidth];

    always_comb begin
      count = '0;
      for (int s = 0; s < Count; s++) begin
        if (MayWait[(p/2)*Count+s] && index == IndexWidth'(s)) count = count_q[s*Bits +: Max];
      end
    end

    // Bit a: the count is at least a.
    assign enough     = 8'({count, 1'b1});
    assign port_ok[p] = enough[wait_amount_i[p*3 +: 3]];
  end

  for (genvar e = 0; e < Engines; e++) begin : gen_ok
    assign ok_o[e] = port_ok[2*e] && port_ok[2*e+1];
  end

  always_comb begin
    minus = '0;
    plus  = '0;
    for (int s = 0; s < Count; s++) begin
      for (int p = 0; p < Ports; p++) begin
        if (MayWait[(p/2)*Count+s] && take_q[p/2] &&
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

  for (genvar s = 0; s < Count; s++) begin : gen_count
    logic [Bits-1:0]  count;
    logic [Bits:0]    raised;
    logic [Width-1:0] lost;
    logic             unused;

    // A count that is too high though nothing was taken has overflowed, and loses what is too much.
    assign count       = count_q[s*Bits +: Bits];
    assign lost        = minus[s*Width +: Width];
    assign overflow[s] = count[Max] && (lost == '0);
    assign raised      = plus[s] ? {count, 1'b1} : {1'b0, count};
    assign {unused, count_d[s*Bits +: Bits]} = raised >> (lost | Width'(overflow[s]));
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      count_q <= '0;
      take_q  <= '0;
      fault_q <= 1'b0;
    end else begin
      count_q <= count_d;
      take_q  <= take_i;
      fault_q <= fault_q || (|overflow);
    end
  end

  assign fault_o = fault_q;

`ifdef FORMAL
  // Any one semaphore beside a model that adds and subtracts numbers at once, under the rules that
  // the program and the sequencers keep.
  (* anyconst *) logic [IndexWidth-1:0] f_index;
  logic                        f_past = 1'b0, f_over = 1'b0, f_fault = 1'b0;
  logic [5:0]                  f_count = '0;
  logic [5:0]                  f_next, f_late;
  logic [4:0]                  f_takes, f_signals;
  logic [2:0]                  f_amount;
  logic [Ports*IndexWidth-1:0] f_wait_index;
  logic [Ports*3-1:0]          f_wait_amount;

  initial assume (!rst_ni);

  always_ff @(posedge clk_i) begin
    f_past        <= 1'b1;
    f_wait_index  <= wait_index_i;
    f_wait_amount <= wait_amount_i;
    if (f_past) assume (rst_ni);
    assume (int'(f_index) < Count);
    if (!rst_ni) begin
      f_count <= '0;
      f_over  <= 1'b0;
      f_fault <= 1'b0;
    end else begin
      f_next    = f_count;
      f_late    = '0;
      f_takes   = '0;
      f_signals = '0;
      for (int p = 0; p < Ports; p++) begin
        assume (!take_i[p/2] || (ok_o[p/2] && !take_q[p/2]));
        if (take_q[p/2]) begin
          assume (wait_index_i[p*IndexWidth +: IndexWidth] ==
                  f_wait_index[p*IndexWidth +: IndexWidth]);
          assume (wait_amount_i[p*3 +: 3] == f_wait_amount[p*3 +: 3]);
        end
        if (f_wait_index[p*IndexWidth +: IndexWidth] == f_index && take_q[p/2]) begin
          f_takes = f_takes + 5'(f_wait_amount[p*3 +: 3] != '0);
          f_late  = f_late + 6'(f_wait_amount[p*3 +: 3]);
        end
        if (wait_index_i[p*IndexWidth +: IndexWidth] == f_index && take_i[p/2]) begin
          f_takes = f_takes + 5'(wait_amount_i[p*3 +: 3] != '0);
          f_next  = f_next - 6'(wait_amount_i[p*3 +: 3]);
        end
        if (sig_valid_i[p] && sig_index_i[p*IndexWidth +: IndexWidth] == f_index) begin
          f_signals = f_signals + 5'd1;
          f_next    = f_next + 6'd1;
        end
      end
      assume (f_takes <= 5'd1 && f_signals <= 5'd1);

      for (int p = 0; p < Ports; p++) begin
        f_amount = wait_amount_i[p*3 +: 3];
        if (f_amount == '0) begin
          assert (port_ok[p]);
        end else if (f_late == '0 && wait_index_i[p*IndexWidth +: IndexWidth] == f_index) begin
          assert (port_ok[p] == (f_count >= 6'(f_amount)));
        end
      end
      f_over  <= f_next > 6'(Max);
      f_count <= (f_next > 6'(Max)) ? 6'(Max) : f_next;
      f_fault <= f_fault || (|overflow);

      // What induction has to know: the count lags behind by what was taken in the last cycle.
      for (int k = 0; k < Bits; k++) begin
        assert (count_q[f_index*Bits+k] == (f_count + f_late + 6'(f_over) > 6'(k)));
      end
      assert (f_count <= 6'(Max) && f_late <= 6'(Max) && f_count + f_late <= 6'(Bits));
      assert (!f_over || (f_late == '0 && f_count == 6'(Max)));
      assert (overflow[f_index] == f_over);
      assert (fault_o == f_fault);
      for (int e = 0; e < Engines; e++) begin
        assert (ok_o[e] == (port_ok[2*e] && port_ok[2*e+1]));
      end
    end
  end
`endif
endmodule
