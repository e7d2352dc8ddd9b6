/// Front end of one engine: takes instructions from the queue, waits for semaphores, raises them.
///
/// In a cycle in which the engine is idle, a `configure` at the head is executed and popped, and a
/// `run` whose semaphores are satisfied starts. The run stays at the head until the engine's last
/// cycle (`last_i`), and its signals are raised `SignalDelay` cycles after that.
///
/// It knows nothing of what the engine does; `last_i` never comes in the cycle of the start.
module sequencer #(
  parameter int SemaphoreBits = 4,
  // Cycles from the last cycle of an instruction to its signals.
  parameter int SignalDelay   = 0
) (
  input  logic                       clk_i,
  input  logic                       rst_ni,
  // Queue.
  input  logic                       head_valid_i,
  input  logic [31:0]                head_i,
  output logic                       pop_o,
  // Semaphores.
  output logic [2*SemaphoreBits-1:0] wait_index_o,
  output logic [5:0]                 wait_amount_o,
  input  logic                       wait_ok_i,
  output logic                       take_o,
  output logic [1:0]                 signal_valid_o,
  output logic [2*SemaphoreBits-1:0] signal_index_o,
  // Engine.
  output logic                       start_o,
  input  logic                       last_i,
  output logic                       configure_o,
  // State: exactly one of busy, configure, wait and empty; signalled marks the signal cycle.
  output logic                       busy_o,
  output logic                       waiting_o,
  output logic                       empty_o,
  output logic                       signalled_o,
  output logic                       draining_o
);
  localparam int SignalWidth = 2 + 2 * SemaphoreBits;

  logic                   busy_q;
  logic                   is_configure;
  logic                   retire;
  logic [SignalWidth-1:0] signals, signals_out;

  assign is_configure = head_i[isa_pkg::OpcodeLsb + 3];

  assign wait_index_o = {
    head_i[isa_pkg::Wait1Lsb + 3 +: SemaphoreBits], head_i[isa_pkg::Wait0Lsb + 3 +: SemaphoreBits]
  };
  assign wait_amount_o = {head_i[isa_pkg::Wait1Lsb +: 3], head_i[isa_pkg::Wait0Lsb +: 3]};

  assign start_o     = head_valid_i && !busy_q && !is_configure && wait_ok_i;
  assign take_o      = start_o;
  assign configure_o = head_valid_i && !busy_q && is_configure;
  assign retire      = busy_q && last_i;
  assign pop_o       = configure_o || retire;

  assign busy_o    = busy_q || start_o;
  assign waiting_o = head_valid_i && !busy_o && !is_configure;
  assign empty_o   = !head_valid_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) busy_q <= 1'b0;
    else         busy_q <= start_o || (busy_q && !last_i);
  end

  assign signals = {
    head_i[isa_pkg::Signal1Lsb + 1 +: SemaphoreBits],
    head_i[isa_pkg::Signal0Lsb + 1 +: SemaphoreBits],
    head_i[isa_pkg::Signal1Lsb],
    head_i[isa_pkg::Signal0Lsb]
  };

  if (SignalDelay == 0) begin : gen_now
    assign signalled_o = retire;
    assign signals_out = signals;
    assign draining_o  = 1'b0;
  end else begin : gen_later
    logic [SignalDelay-1:0]             valid_q;
    logic [SignalDelay*SignalWidth-1:0] signals_q;

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) valid_q <= '0;
      else         valid_q <= SignalDelay'({valid_q, retire});
    end

    always_ff @(posedge clk_i) begin
      signals_q <= (SignalDelay * SignalWidth)'({signals_q, signals});
    end

    assign signalled_o = valid_q[SignalDelay-1];
    assign signals_out = signals_q[(SignalDelay-1)*SignalWidth +: SignalWidth];
    assign draining_o  = |valid_q;
  end

  assign signal_valid_o = signals_out[1:0] & {2{signalled_o}};
  assign signal_index_o = signals_out[2 +: 2*SemaphoreBits];
endmodule
