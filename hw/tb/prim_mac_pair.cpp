// prim_mac_pair against products, with latency 2. The same bench for every technology.
//
// Arguments: cycles.

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "Vprim_mac_pair.h"
#include "verilated.h"

int main(int argc, char** argv) {
  const int cycles = argc > 1 ? std::atoi(argv[1]) : 100000;
  Vprim_mac_pair dut;
  uint64_t state = 0x9e3779b97f4a7c15;
  int16_t want0[3] = {}, want1[3] = {};

  dut.clk_i = 0;
  dut.eval();
  for (int cycle = 0; cycle < cycles; cycle++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    const int8_t x0 = (state >> 32) % 8 ? static_cast<int8_t>(state) : -128;
    const int8_t w0 = (state >> 35) % 4 ? static_cast<int8_t>(state >> 8) : -128;
    const int8_t x1 = (state >> 37) % 8 ? static_cast<int8_t>(state >> 16) : -128;
    const int8_t w1 = (state >> 40) % 4 ? static_cast<int8_t>(state >> 24) : -128;
    dut.x0_i = static_cast<uint8_t>(x0);
    dut.w0_i = static_cast<uint8_t>(w0);
    dut.x1_i = static_cast<uint8_t>(x1);
    dut.w1_i = static_cast<uint8_t>(w1);
    dut.eval();
    if (cycle >= 2 && (static_cast<int16_t>(dut.p0_o) != want0[cycle % 2] ||
                       static_cast<int16_t>(dut.p1_o) != want1[cycle % 2])) {
      std::printf("FAIL: cycle %d: got %d %d, want %d %d\n", cycle,
                  static_cast<int16_t>(dut.p0_o), static_cast<int16_t>(dut.p1_o),
                  want0[cycle % 2], want1[cycle % 2]);
      return 1;
    }
    want0[cycle % 2] = static_cast<int16_t>(x0 * w0);
    want1[cycle % 2] = static_cast<int16_t>(x1 * w1);
    dut.clk_i = 1;
    dut.eval();
    dut.clk_i = 0;
    dut.eval();
  }
  std::printf("PASS: %d cycles\n", cycles);
  return 0;
}
