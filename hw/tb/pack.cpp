// pack against a row of bytes: which words it reads, and what it writes when.
//
// Build with -DWORD_BYTES. Arguments: instructions.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "Vpack.h"
#include "verilated.h"

namespace {

uint64_t state = 0x9e3779b97f4a7c15;

uint64_t next() {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

int between(int low, int high) { return low + static_cast<int>(next() % (high - low + 1)); }

struct Pixel {
  int x;
  bool row_inside;
};

}  // namespace

int main(int argc, char** argv) {
  const int instructions = argc > 1 ? std::atoi(argv[1]) : 20000;
  Vpack dut;
  long pixels_seen = 0, reads = 0;

  dut.clk_i = 0;
  dut.rst_ni = 0;
  dut.start_i = 0;
  dut.eval();
  dut.rst_ni = 1;
  for (int instruction = 0; instruction < instructions; instruction++) {
    const int width = between(1, next() % 4 == 0 ? 900 : 4 * WORD_BYTES);
    const int lane = between(0, WORD_BYTES - 1), taps = between(1, WORD_BYTES - lane);
    const uint8_t padding = static_cast<uint8_t>(next());
    // The last word has bytes beyond the row.
    std::vector<uint8_t> row((width + WORD_BYTES - 1) / WORD_BYTES * WORD_BYTES);
    for (uint8_t& byte : row) byte = static_cast<uint8_t>(next());
    std::vector<Pixel> pixels(between(1, 6));
    for (Pixel& pixel : pixels) {
      pixel = {between(-2 * WORD_BYTES, width + 2 * WORD_BYTES), next() % 4 != 0};
    }
    const int n = static_cast<int>(pixels.size());

    // The start is in cycle 0, pixel k is under way in 1+2k and 2+2k and written in 5+2k.
    for (int cycle = 0; cycle <= 2 * n + 3; cycle++) {
      const auto fail = [&](const char* what) {
        std::printf("FAIL: instruction %d cycle %d: %s (width %d lane %d taps %d)\n", instruction,
                    cycle, what, width, lane, taps);
        return 1;
      };
      const bool issues = cycle >= 1 && cycle <= 2 * n, second = cycle % 2 == 0;
      // Between the pixels of instructions nothing may depend on the position.
      const Pixel pixel = issues ? pixels[(cycle - 1) / 2]
                                 : Pixel{between(-WORD_BYTES, width), next() % 2 == 0};
      dut.start_i = cycle == 0;
      dut.pixels_last_i = issues ? (cycle - 1) / 2 == n - 1 : next() % 2;
      dut.x_i = static_cast<uint32_t>(pixel.x) & 0x7ff;
      dut.row_inside_i = pixel.row_inside;
      dut.width_i = width;
      dut.lane_i = lane;
      dut.taps_i = taps;
      dut.padding_i = padding;
      dut.clk_i = 0;
      dut.eval();

      if (dut.pixel_done_o != (issues && second)) return fail("pixel_done_o");
      const int first = pixel.x - (pixel.x & (WORD_BYTES - 1)) + (second ? WORD_BYTES : 0);
      const bool read = issues && pixel.row_inside && first >= 0 && first < width;
      if (dut.read_o != read) return fail("read_o");
      if (read && dut.read_offset_o != first / WORD_BYTES) return fail("read_offset_o");

      const bool writes = cycle >= 5 && cycle % 2 == 1;
      const uint32_t lanes = ((uint64_t{1} << taps) - 1) << lane;
      if (dut.write_done_o != writes) return fail("write_done_o");
      if (dut.write_last_o != (cycle == 2 * n + 3)) return fail("write_last_o");
      if (dut.write_o != (writes ? lanes : 0)) return fail("write_o");
      if (writes) {
        const Pixel& written = pixels[(cycle - 5) / 2];
        uint8_t got[WORD_BYTES];
        std::memcpy(got, &dut.write_data_o, WORD_BYTES);
        for (int tap = 0; tap < taps; tap++) {
          const int column = written.x + tap;
          const bool inside = written.row_inside && column >= 0 && column < width;
          if (got[lane + tap] != (inside ? row[column] : padding)) return fail("write_data_o");
        }
        pixels_seen++;
      }

      dut.clk_i = 1;
      dut.eval();
      // A word that is not read is noise.
      uint8_t word[WORD_BYTES];
      for (uint8_t& byte : word) byte = static_cast<uint8_t>(next());
      if (read) std::memcpy(word, &row[first], WORD_BYTES);
      std::memcpy(&dut.data_i, word, WORD_BYTES);
      reads += read;
    }
  }
  std::printf("PASS: %ld pixels, %ld words read\n", pixels_seen, reads);
  return 0;
}
