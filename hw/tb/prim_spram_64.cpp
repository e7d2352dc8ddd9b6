// prim_spram_64 against an array: byte enables, latency 1, and a word that stays until the next
// access. The same bench for every technology.
//
// Arguments: cycles.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "Vprim_spram_64.h"
#include "verilated.h"

int main(int argc, char** argv) {
  const int cycles = argc > 1 ? std::atoi(argv[1]) : 200000;
  Vprim_spram_64 dut;
  std::vector<uint64_t> memory(16384, 0);
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
  for (int cycle = 0; cycle < 16384 + cycles; cycle++) {
    const bool fill = cycle < 16384;
    dut.en_i = fill || next() % 4 != 0;
    dut.we_i = fill || next() % 2;
    dut.be_i = fill ? 0xff : static_cast<uint8_t>(next());
    // Few addresses, so that words are overwritten in part before they are read.
    const unsigned row = fill ? cycle : ((next() % 64) * 257) % 16384;
    dut.addr_i = row;
    dut.wdata_i = next();
    dut.eval();
    if (valid && dut.rdata_o != want) {
      std::printf("FAIL: cycle %d: got %016llx, want %016llx\n", cycle,
                  static_cast<unsigned long long>(dut.rdata_o),
                  static_cast<unsigned long long>(want));
      return 1;
    }
    if (dut.en_i && dut.we_i) {
      uint64_t mask = 0;
      for (int b = 0; b < 8; b++) {
        if (dut.be_i >> b & 1) mask |= uint64_t{0xff} << (8 * b);
      }
      memory[row] = (memory[row] & ~mask) | (dut.wdata_i & mask);
      valid = false;
    } else if (dut.en_i) {
      want = memory[row];
      valid = true;
    }
    dut.clk_i = 1;
    dut.eval();
    dut.clk_i = 0;
    dut.eval();
  }
  std::printf("PASS: %d cycles\n", cycles);
  return 0;
}
