// prim_ram_1r1w with a byte per lane against an array.
//
// Build with -DDEPTH; the width is 64 and the lanes are 8. Arguments: cycles.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "Vprim_ram_1r1w.h"
#include "verilated.h"

int main(int argc, char** argv) {
  const int cycles = argc > 1 ? std::atoi(argv[1]) : 200000;
  Vprim_ram_1r1w dut;
  std::vector<uint64_t> memory(DEPTH, 0);
  uint64_t state = 0x9e3779b97f4a7c15, want = 0;
  bool valid = false;

  auto next = [&] {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
  };
  dut.clk_i = 0;
  dut.eval();
  for (int cycle = 0; cycle < DEPTH + cycles; cycle++) {
    const bool fill = cycle < DEPTH;
    const unsigned write = fill ? cycle : next() % DEPTH, read = next() % DEPTH;
    dut.we_i = fill ? 0xff : static_cast<uint8_t>(next());
    dut.waddr_i = write;
    dut.wdata_i = next();
    dut.raddr_i = read;
    // Reading the word that is written is forbidden.
    dut.re_i = !fill && next() % 4 != 0 && (read != write || dut.we_i == 0);
    dut.eval();
    if (valid && dut.rdata_o != want) {
      std::printf("FAIL: cycle %d: got %016llx, want %016llx\n", cycle,
                  static_cast<unsigned long long>(dut.rdata_o),
                  static_cast<unsigned long long>(want));
      return 1;
    }
    if (dut.re_i) {
      want = memory[read];
      valid = true;
    }
    for (int b = 0; b < 8; b++) {
      const uint64_t mask = uint64_t{0xff} << (8 * b);
      if (dut.we_i >> b & 1) memory[write] = (memory[write] & ~mask) | (dut.wdata_i & mask);
    }
    dut.clk_i = 1;
    dut.eval();
    dut.clk_i = 0;
    dut.eval();
  }
  std::printf("PASS: %d cycles\n", cycles);
  return 0;
}
