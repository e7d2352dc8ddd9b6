/// The machine without its memory: FETCH, four engines, their local memories and the array.
///
/// All parameters come from `arch_pkg`, which is generated from the Arch; this file is the same for
/// all designs. `docs/concepts/machine.md` explains the parts, `docs/concepts/timing.md` says what
/// happens in which cycle.
///
/// `start_i` is the doorbell. `busy_o` is high from the next cycle on until the machine is quiet,
/// and `cycles_o` counts those cycles. The host leaves memory alone while `busy_o` is high.
module core (
  input  logic                                clk_i,
  input  logic                                rst_ni,
  // Host.
  input  logic                                start_i,
  input  logic [arch_pkg::MemoryAddrWidth-1:0] prog_base_i,
  input  logic [arch_pkg::MemoryAddrWidth-1:0] prog_chunks_i,
  output logic                                busy_o,
  output logic                                fault_o,
  output logic [31:0]                         cycles_o,
  output logic [32*arch_pkg::Counters-1:0]    counters_o,
  // Starts (bits 3:0) and signals (bits 7:4) of load, exec, vec and store.
  output logic [7:0]                          trace_o,
  // Read bursts; a beat is always taken.
  output logic                                rd_valid_o,
  input  logic                                rd_ready_i,
  output logic [arch_pkg::MemoryAddrWidth-1:0] rd_addr_o,
  output logic [arch_pkg::BurstLenWidth-1:0]  rd_len_o,
  input  logic                                rdata_valid_i,
  input  logic [arch_pkg::WordBits-1:0]       rdata_i,
  // Write bursts.
  output logic                                wr_valid_o,
  input  logic                                wr_ready_i,
  output logic [arch_pkg::MemoryAddrWidth-1:0] wr_addr_o,
  output logic [arch_pkg::BurstLenWidth-1:0]  wr_len_o,
  output logic                                wdata_valid_o,
  input  logic                                wdata_ready_i,
  output logic [arch_pkg::WordBits-1:0]       wdata_o,
  input  logic                                wdone_i
);
  localparam int WordBits  = arch_pkg::WordBits;
  localparam int Rows      = arch_pkg::Rows;
  localparam int Cols      = arch_pkg::Cols;
  localparam int SumWidth  = 16 + $clog2(Rows);
  localparam int AddrWidth = arch_pkg::MemoryAddrWidth;
  localparam int LenWidth  = arch_pkg::BurstLenWidth;
  localparam int ActWidth  = arch_pkg::ActivationAddrWidth;
  localparam int TileWidth = arch_pkg::TileWidth;
  localparam int AccWidth  = arch_pkg::PixelAddrWidth;
  localparam int SemWidth  = $clog2(arch_pkg::Semaphores);

  // Engines, by index.
  localparam int Load  = 0;
  localparam int Exec  = 1;
  localparam int Vec   = 2;
  localparam int Store = 3;

  // ---- FETCH and the queues -------------------------------------------------------------------

  logic                 fetch_valid, fetch_ready, fetch_data_valid;
  logic [AddrWidth-1:0] fetch_addr;
  logic [3:0]           push, room;
  logic [31:0]          instr;
  logic                 fetch_dispatch, fetch_blocked, fetch_starved;

  fetch #(
    .WordBits  (WordBits),
    .ChunkWords(arch_pkg::FetchChunkWords),
    .Chunks    (arch_pkg::FetchChunks),
    .AddrWidth (AddrWidth)
  ) u_fetch (
    .clk_i,
    .rst_ni,
    .start_i,
    .base_i      (prog_base_i),
    .chunks_i    (prog_chunks_i),
    .req_valid_o (fetch_valid),
    .req_ready_i (fetch_ready),
    .req_addr_o  (fetch_addr),
    .data_valid_i(fetch_data_valid),
    .data_i      (rdata_i),
    .push_o      (push),
    .room_i      (room),
    .instr_o     (instr),
    .dispatch_o  (fetch_dispatch),
    .blocked_o   (fetch_blocked),
    .starved_o   (fetch_starved)
  );

  // ---- Front end of each engine ---------------------------------------------------------------

  logic [3:0]            head_valid, start, last, configure, busy, waiting, empty, signalled;
  logic [3:0]            draining, sem_ok, sem_take;
  logic [4*32-1:0]       head;
  logic [8*SemWidth-1:0] wait_index, signal_index;
  logic [8*3-1:0]        wait_amount;
  logic [7:0]            signal_valid;

  for (genvar e = 0; e < 4; e++) begin : gen_front
    logic pop;

    fifo #(
      .Width (32),
      .Depth (arch_pkg::QueueDepth)
    ) u_queue (
      .clk_i,
      .rst_ni,
      .valid_i(push[e]),
      .ready_o(room[e]),
      .data_i (instr),
      .valid_o(head_valid[e]),
      .ready_i(pop),
      .data_o (head[32*e +: 32])
    );

    sequencer #(
      .SemaphoreBits(SemWidth),
      .SignalDelay  ((e == Exec) ? arch_pkg::ExecDrain : 0)
    ) u_sequencer (
      .clk_i,
      .rst_ni,
      .head_valid_i  (head_valid[e]),
      .head_i        (head[32*e +: 32]),
      .pop_o         (pop),
      .wait_index_o  (wait_index[2*SemWidth*e +: 2*SemWidth]),
      .wait_amount_o (wait_amount[6*e +: 6]),
      .wait_ok_i     (sem_ok[e]),
      .take_o        (sem_take[e]),
      .signal_valid_o(signal_valid[2*e +: 2]),
      .signal_index_o(signal_index[2*SemWidth*e +: 2*SemWidth]),
      .start_o       (start[e]),
      .last_i        (last[e]),
      .configure_o   (configure[e]),
      .busy_o        (busy[e]),
      .waiting_o     (waiting[e]),
      .empty_o       (empty[e]),
      .signalled_o   (signalled[e]),
      .draining_o    (draining[e])
    );
  end

  semaphores #(
    .Count  (arch_pkg::Semaphores),
    .Engines(4),
    .Width  (arch_pkg::SemaphoreBits)
  ) u_semaphores (
    .clk_i,
    .rst_ni,
    .wait_index_i (wait_index),
    .wait_amount_i(wait_amount),
    .ok_o         (sem_ok),
    .take_i       (sem_take),
    .sig_valid_i  (signal_valid),
    .sig_index_i  (signal_index),
    .fault_o      (fault_o)
  );

  // ---- LOAD and the read side of memory -------------------------------------------------------

  logic                 load_valid, load_ready, load_data_valid, load_data_last;
  logic [AddrWidth-1:0] load_addr;
  logic [LenWidth-1:0]  load_len;
  logic [3:0]           load_write;
  logic [arch_pkg::LocalAddrWidth-1:0] load_write_addr;
  logic [WordBits-1:0]  load_write_data;
  logic                 unused_load_addr;

  assign unused_load_addr = ^load_write_addr;

  load #(
    .WordBits   (WordBits),
    .AddrWidth  (AddrWidth),
    .LocalWidth (arch_pkg::LocalAddrWidth),
    .CountWidth (arch_pkg::CountWidth),
    .LenWidth   (LenWidth),
    .BurstWords (arch_pkg::BurstWords),
    .Outstanding(arch_pkg::LoadOutstanding)
  ) u_load (
    .clk_i,
    .rst_ni,
    .start_i     (start[Load]),
    .last_o      (last[Load]),
    .configure_i (configure[Load]),
    .register_i  (head[32*Load + isa_pkg::RegisterLsb +: 6]),
    .value_i     (head[32*Load +: 22]),
    .req_valid_o (load_valid),
    .req_ready_i (load_ready),
    .req_addr_o  (load_addr),
    .req_len_o   (load_len),
    .data_valid_i(load_data_valid),
    .data_last_i (load_data_last),
    .data_i      (rdata_i),
    .write_o     (load_write),
    .write_addr_o(load_write_addr),
    .write_data_o(load_write_data)
  );

  read_arbiter #(
    .AddrWidth  (AddrWidth),
    .LenWidth   (LenWidth),
    .ChunkWords (arch_pkg::FetchChunkWords),
    .Outstanding(arch_pkg::LoadOutstanding + arch_pkg::FetchChunks)
  ) u_read_arbiter (
    .clk_i,
    .rst_ni,
    .load_valid_i      (load_valid),
    .load_ready_o      (load_ready),
    .load_addr_i       (load_addr),
    .load_len_i        (load_len),
    .load_data_valid_o (load_data_valid),
    .load_data_last_o  (load_data_last),
    .fetch_valid_i     (fetch_valid),
    .fetch_ready_o     (fetch_ready),
    .fetch_addr_i      (fetch_addr),
    .fetch_data_valid_o(fetch_data_valid),
    .rd_valid_o,
    .rd_ready_i,
    .rd_addr_o,
    .rd_len_o,
    .rdata_valid_i
  );

  // ---- Activation banks -----------------------------------------------------------------------

  logic                exec_read, exec_inside, vec_read, store_read;
  logic [ActWidth-1:0] exec_addr, vec_addr, store_addr, vec_write_addr;
  logic [WordBits-1:0] exec_data, vec_data, store_data, vec_write_data;
  logic [Rows-1:0]     vec_write;

  banks #(
    .WordBytes(Rows),
    .Banks    (arch_pkg::Banks),
    .Words    (arch_pkg::BankWords),
    .AddrWidth(ActWidth)
  ) u_banks (
    .clk_i,
    .read_i      ({store_read, vec_read, exec_read && exec_inside}),
    .read_addr_i ({store_addr, vec_addr, exec_addr}),
    .read_data_o ({store_data, vec_data, exec_data}),
    .load_write_i(load_write[0]),
    .load_addr_i (load_write_addr[ActWidth-1:0]),
    .load_data_i (load_write_data),
    .vec_write_i (vec_write),
    .vec_addr_i  (vec_write_addr),
    .vec_data_i  (vec_write_data)
  );

  // ---- EXEC: control, weights, array, accumulators --------------------------------------------

  localparam int ColWidth = (Cols > 1) ? $clog2(Cols) : 1;

  logic                     exec_swap, weight_read;
  logic [7:0]               exec_padding;
  logic [TileWidth-1:0]     weight_tile;
  logic [ColWidth-1:0]      weight_col;
  logic                     acc_half, acc_first, acc_last, acc_pixel_sum;
  logic [AccWidth-1:0]      acc_pixel;
  logic [WordBits-1:0]      x;
  logic                     exec_inside_q;
  logic [Cols*SumWidth-1:0] sums;

  exec_control #(
    .AddrWidth       (ActWidth),
    .CoordWidth      (arch_pkg::CoordWidth),
    .KernelWidth     (arch_pkg::KernelWidth),
    .BlockWidth      (arch_pkg::BlockWidth),
    .PixelWidth      (arch_pkg::ExecPixelWidth),
    .TileWidth       (TileWidth),
    .AccWidth        (AccWidth),
    .Cols            (Cols),
    .WholeTiles      (arch_pkg::WholeTiles),
    .Fill            (arch_pkg::ExecFill),
    .MinStep         (arch_pkg::ExecMinStep),
    .WeightStationary(arch_pkg::WeightStationary),
    .OutputStationary(arch_pkg::OutputStationary)
  ) u_exec_control (
    .clk_i,
    .rst_ni,
    .start_i        (start[Exec]),
    .last_o         (last[Exec]),
    .flags_i        (head[32*Exec +: 4]),
    .configure_i    (configure[Exec]),
    .register_i     (head[32*Exec + isa_pkg::RegisterLsb +: 6]),
    .value_i        (head[32*Exec +: 22]),
    .step_o         (exec_read),
    .step_addr_o    (exec_addr),
    .step_inside_o  (exec_inside),
    .step_swap_o    (exec_swap),
    .padding_o      (exec_padding),
    .weight_read_o  (weight_read),
    .weight_tile_o  (weight_tile),
    .weight_col_o   (weight_col),
    .acc_half_o     (acc_half),
    .acc_pixel_o    (acc_pixel),
    .acc_first_o    (acc_first),
    .acc_last_o     (acc_last),
    .acc_pixel_sum_o(acc_pixel_sum)
  );

  always_ff @(posedge clk_i) begin
    exec_inside_q <= exec_inside;
  end

  assign x = exec_inside_q ? exec_data : {Rows{exec_padding}};

  if (arch_pkg::WholeTiles != 0) begin : gen_whole_tiles
    logic [Cols*WordBits-1:0] w;
    logic                     unused;

    weights_tile #(
      .WordBits (WordBits),
      .Cols     (Cols),
      .Words    (arch_pkg::WeightWords),
      .AddrWidth(arch_pkg::WeightAddrWidth),
      .TileWidth(TileWidth)
    ) u_weights (
      .clk_i,
      .write_i     (load_write[1]),
      .write_addr_i(load_write_addr[arch_pkg::WeightAddrWidth-1:0]),
      .write_data_i(load_write_data),
      .read_i      (weight_read),
      .read_tile_i (weight_tile),
      .read_data_o (w)
    );

    array_dot #(
      .Rows(Rows),
      .Cols(Cols)
    ) u_array (
      .clk_i,
      .x_i  (x),
      .w_i  (w),
      .sum_o(sums)
    );

    assign unused = ^{exec_swap, weight_col};
  end else begin : gen_columns
    logic [WordBits-1:0]                  w;
    logic [arch_pkg::WeightAddrWidth-1:0] weight_addr;
    logic                                 swap_q, shift_q;

    if (Cols == 1) begin : gen_one_col
      logic unused_col;

      assign unused_col  = ^weight_col;
      assign weight_addr = weight_tile;
    end else begin : gen_cols
      assign weight_addr = {weight_tile, weight_col};
    end

    weights_column #(
      .WordBits (WordBits),
      .Words    (arch_pkg::WeightWords),
      .AddrWidth(arch_pkg::WeightAddrWidth)
    ) u_weights (
      .clk_i,
      .write_i     (load_write[1]),
      .write_addr_i(load_write_addr[arch_pkg::WeightAddrWidth-1:0]),
      .write_data_i(load_write_data),
      .read_i      (weight_read),
      .read_addr_i (weight_addr),
      .read_data_o (w)
    );

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        swap_q  <= 1'b0;
        shift_q <= 1'b0;
      end else begin
        swap_q  <= exec_swap;
        shift_q <= weight_read;
      end
    end

    if (arch_pkg::Systolic != 0) begin : gen_systolic
      array_systolic #(
        .Rows(Rows),
        .Cols(Cols)
      ) u_array (
        .clk_i,
        .x_i    (x),
        .swap_i (swap_q),
        .w_i    (w),
        .shift_i(shift_q),
        .sum_o  (sums)
      );
    end else begin : gen_dot
      logic [Cols*WordBits-1:0] shadow_q, active_q, active;

      // A tile of shadow weights fills by column; the first step of a tile makes it active.
      assign active = swap_q ? shadow_q : active_q;

      always_ff @(posedge clk_i) begin
        if (shift_q) shadow_q <= (Cols * WordBits)'({shadow_q, w});
        active_q <= active;
      end

      array_dot #(
        .Rows(Rows),
        .Cols(Cols)
      ) u_array (
        .clk_i,
        .x_i  (x),
        .w_i  (active),
        .sum_o(sums)
      );
    end
  end

  logic                acc_read, acc_read_half;
  logic [AccWidth-1:0] acc_read_pixel;
  logic [32*Cols-1:0]  acc_data;

  accumulators #(
    .Cols       (Cols),
    .SumWidth   (SumWidth),
    .Pixels     (arch_pkg::AccPixels),
    .AddrWidth  (AccWidth),
    .Latency    (arch_pkg::ExecDrain),
    .InMemory   (arch_pkg::WeightStationary),
    .InRegisters(arch_pkg::OutputStationary)
  ) u_accumulators (
    .clk_i,
    .rst_ni,
    .valid_i     (exec_read),
    .half_i      (acc_half),
    .pixel_i     (acc_pixel),
    .first_i     (acc_first),
    .last_i      (acc_last),
    .pixel_sum_i (acc_pixel_sum),
    .sum_i       (sums),
    .read_i      (acc_read),
    .read_half_i (acc_read_half),
    .read_pixel_i(acc_read_pixel),
    .read_data_o (acc_data)
  );

  // ---- VEC and its parameters -----------------------------------------------------------------

  localparam int GroupWidth = arch_pkg::GroupWidth;

  logic [GroupWidth-1:0]         group;
  logic [64*arch_pkg::Lanes-1:0] group_parameters;

  parameters #(
    .WordBits  (WordBits),
    .Lanes     (arch_pkg::Lanes),
    .Channels  (arch_pkg::ParameterChannels),
    .GroupWidth(GroupWidth),
    .WordWidth (arch_pkg::ParameterAddrWidth)
  ) u_parameters (
    .clk_i,
    .write_i     (load_write[2]),
    .write_addr_i(load_write_addr[arch_pkg::ParameterAddrWidth-1:0]),
    .write_data_i(load_write_data),
    .read_i      (acc_read),
    .read_group_i(group),
    .read_data_o (group_parameters)
  );

  vec #(
    .WordBytes  (Rows),
    .AddrWidth  (ActWidth),
    .CoordWidth (arch_pkg::CoordWidth),
    .KernelWidth(arch_pkg::KernelWidth),
    .BlockWidth (arch_pkg::BlockWidth),
    .PixelWidth (arch_pkg::VecPixelWidth),
    .AccWidth   (AccWidth),
    .Cols       (Cols),
    .Lanes      (arch_pkg::Lanes),
    .Interval   (arch_pkg::RequantiseInterval),
    .GroupWidth (GroupWidth),
    .MaxPool    (arch_pkg::MaxPool),
    .TableLanes (arch_pkg::TableLanes),
    .Pack       (arch_pkg::Pack),
    .TableWidth (arch_pkg::TableAddrWidth)
  ) u_vec (
    .clk_i,
    .rst_ni,
    .start_i     (start[Vec]),
    .last_o      (last[Vec]),
    .opcode_i    (head[32*Vec + isa_pkg::OpcodeLsb +: 4]),
    .flags_i     (head[32*Vec +: 4]),
    .configure_i (configure[Vec]),
    .register_i  (head[32*Vec + isa_pkg::RegisterLsb +: 6]),
    .value_i     (head[32*Vec +: 22]),
    .acc_read_o  (acc_read),
    .acc_half_o  (acc_read_half),
    .acc_pixel_o (acc_read_pixel),
    .acc_data_i  (acc_data),
    .group_o     (group),
    .parameters_i(group_parameters),
    .table_load_i(load_write[3]),
    .table_addr_i(load_write_addr[arch_pkg::TableAddrWidth-1:0]),
    .table_data_i(load_write_data),
    .read_o      (vec_read),
    .read_addr_o (vec_addr),
    .read_data_i (vec_data),
    .write_o     (vec_write),
    .write_addr_o(vec_write_addr),
    .write_data_o(vec_write_data)
  );

  // ---- STORE ----------------------------------------------------------------------------------

  store #(
    .WordBits  (WordBits),
    .AddrWidth (AddrWidth),
    .LocalWidth(ActWidth),
    .CountWidth(arch_pkg::CountWidth),
    .LenWidth  (LenWidth),
    .BurstWords(arch_pkg::BurstWords),
    .Direct    (arch_pkg::MemoryOnChip)
  ) u_store (
    .clk_i,
    .rst_ni,
    .start_i     (start[Store]),
    .last_o      (last[Store]),
    .configure_i (configure[Store]),
    .register_i  (head[32*Store + isa_pkg::RegisterLsb +: 6]),
    .value_i     (head[32*Store +: 22]),
    .read_o      (store_read),
    .read_addr_o (store_addr),
    .read_data_i (store_data),
    .req_valid_o (wr_valid_o),
    .req_ready_i (wr_ready_i),
    .req_addr_o  (wr_addr_o),
    .req_len_o   (wr_len_o),
    .data_valid_o(wdata_valid_o),
    .data_ready_i(wdata_ready_i),
    .data_o      (wdata_o),
    .done_i      (wdone_i)
  );

  // ---- Status and counters --------------------------------------------------------------------

  logic busy_q, quiet;

  assign quiet = !fetch_dispatch && !fetch_blocked && !fetch_starved && (head_valid == 4'b0000) &&
                 (draining == 4'b0000);
  assign busy_o = busy_q && !quiet;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) busy_q <= 1'b0;
    else         busy_q <= start_i || busy_o;
  end

  counters #(
    .Count(1)
  ) u_cycles (
    .clk_i,
    .rst_ni,
    .clear_i (start_i),
    .enable_i(busy_o),
    .event_i (1'b1),
    .count_o (cycles_o)
  );

  if (arch_pkg::CountersFull != 0) begin : gen_counters
    logic [arch_pkg::Counters-1:0] events;

    assign events[3:0] = {
      !(fetch_dispatch || fetch_blocked || fetch_starved),
      fetch_starved, fetch_blocked, fetch_dispatch
    };
    for (genvar e = 0; e < 4; e++) begin : gen_events
      assign events[4*e + 4 +: 4] = {empty[e], waiting[e], configure[e], busy[e]};
    end

    counters #(
      .Count(arch_pkg::Counters)
    ) u_counters (
      .clk_i,
      .rst_ni,
      .clear_i (start_i),
      .enable_i(busy_o),
      .event_i (events),
      .count_o (counters_o)
    );
  end else begin : gen_no_counters
    logic unused;

    assign counters_o = '0;
    assign unused     = ^{busy, waiting, empty};
  end

  assign trace_o = {signalled, start};
endmodule
