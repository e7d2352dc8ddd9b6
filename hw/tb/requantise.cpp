// requantise against float32 arithmetic.
//
// Build with -DINTERVAL and -DLATENCY, and with -ffp-contract=off.
// Arguments: vectors, seed, 1 if the cell is built with ClampHeld.

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>

#include "Vrequantise.h"
#include "verilated.h"

namespace {

uint64_t state;

uint64_t next() {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

struct Vector {
  uint32_t acc, bias, mantissa;
  int shift;
  int8_t zp, lo, hi;
};

int8_t reference(const Vector& v) {
  const volatile float sum = static_cast<float>(static_cast<int32_t>(v.acc + v.bias));
  const volatile float scale = std::ldexp(static_cast<float>(v.mantissa), -v.shift);
  const volatile float product = sum * scale;
  const double y = static_cast<double>(std::nearbyint(product)) + v.zp;
  if (y < v.lo) return v.lo;
  if (y > v.hi) return v.hi;
  return static_cast<int8_t>(y);
}

// A sum whose scaled value is next to integer + 1/2.
int64_t near_tie(uint32_t mantissa, int shift) {
  const double scale = std::ldexp(static_cast<double>(mantissa), -shift);
  const double target = static_cast<double>(next() % 300) + 0.5;
  return static_cast<int64_t>(std::nearbyint(target / scale)) + static_cast<int64_t>(next() % 5) - 2;
}

Vector draw() {
  Vector v;
  const uint64_t kind = next();
  v.bias = (kind & 1) ? static_cast<uint32_t>(next()) : static_cast<uint32_t>(next() % 4096);
  v.mantissa = 0x800000 | static_cast<uint32_t>(next() & 0x7fffff);
  // Few significant bits make exact ties.
  if ((kind >> 1) % 4 == 0) v.mantissa = 0x800000 | static_cast<uint32_t>((next() & 15) << 20);
  if ((kind >> 3) % 64 == 0) v.mantissa = 0;
  if ((kind >> 3) % 64 == 1) v.mantissa = 0xffffff;
  if ((kind >> 3) % 64 == 2) v.mantissa = 0x800000;
  // Mostly a shift that brings some sum of `bits` bits into the int8 range.
  const int bits = static_cast<int>(next() % 33);
  v.shift = static_cast<int>(next() % 64);
  if ((kind >> 9) % 8 != 0) v.shift = 16 + bits + static_cast<int>(next() % 10);
  if (v.shift > 63) v.shift = 63;
  int64_t sum = static_cast<int64_t>(next() & ((uint64_t{1} << bits) - 1));
  if ((kind >> 12) % 2 == 0 && v.mantissa != 0) {
    const int64_t tie = near_tie(v.mantissa, v.shift);
    if (tie < (int64_t{1} << 31)) sum = tie;
  }
  if ((kind >> 13) & 1) sum = -sum;
  switch ((kind >> 14) % 256) {
    case 0: sum = INT32_MIN; break;
    case 1: sum = INT32_MAX; break;
    case 2: sum = INT64_C(1) << (next() % 31); break;
    case 3: sum = -(INT64_C(1) << (next() % 31)); break;
    case 4: sum = 0; break;
    case 5: sum = -((INT64_C(1) << (next() % 31)) - 1); break;
    default: break;
  }
  v.acc = static_cast<uint32_t>(sum) - v.bias;
  v.zp = static_cast<int8_t>((kind >> 22) & 1 ? next() : 0);
  v.lo = -128;
  v.hi = 127;
  if ((kind >> 23) % 4 == 0) {
    const int8_t a = static_cast<int8_t>(next()), b = static_cast<int8_t>(next());
    v.lo = a < b ? a : b;
    v.hi = a < b ? b : a;
  }
  return v;
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t vectors = argc > 1 ? std::strtoull(argv[1], nullptr, 0) : 1000000;
  state = argc > 2 ? std::strtoull(argv[2], nullptr, 0) : 0x9e3779b97f4a7c15;
  const bool held = argc > 3 && std::atoi(argv[3]) != 0;

  Vrequantise dut;
  struct Expected {
    uint64_t cycle;
    Vector vector;
  };
  std::deque<Expected> expected;
  uint64_t sent = 0, received = 0, moved = 0;
  uint64_t busy = 0;
  Vector v = {};

  dut.clk_i = 0;
  dut.rst_ni = 0;
  dut.valid_i = 0;
  dut.eval();
  dut.rst_ni = 1;
  for (uint64_t cycle = 0; received < vectors; cycle++) {
    dut.valid_i = 0;
    if (busy > 0) {
      busy--;
    } else if (sent < vectors && next() % 8 != 0 && !(held && !expected.empty())) {
      v = draw();
      dut.valid_i = 1;
      expected.push_back({cycle + LATENCY, v});
      sent++;
      busy = INTERVAL - 1;
    } else if (!held) {
      // Nothing may depend on the inputs outside the stable cycles.
      v = draw();
    }
    dut.acc_i = v.acc;
    dut.bias_i = v.bias;
    dut.mantissa_i = v.mantissa;
    dut.shift_i = static_cast<uint8_t>(v.shift);
    dut.zp_i = static_cast<uint8_t>(v.zp);
    dut.lo_i = static_cast<uint8_t>(v.lo);
    dut.hi_i = static_cast<uint8_t>(v.hi);
    dut.clk_i = 0;
    dut.eval();
    const bool due = !expected.empty() && expected.front().cycle == cycle;
    if (due != static_cast<bool>(dut.valid_o)) {
      std::printf("FAIL: cycle %llu: valid_o is %d\n", static_cast<unsigned long long>(cycle),
                  dut.valid_o);
      return 1;
    }
    if (due) {
      const Vector& e = expected.front().vector;
      const int8_t want = reference(e);
      const int8_t got = static_cast<int8_t>(dut.y_o);
      if (want != got) {
        std::printf("FAIL: sum %d mantissa 0x%06x shift %d zp %d lo %d hi %d: got %d, want %d\n",
                    static_cast<int32_t>(e.acc + e.bias), e.mantissa, e.shift, e.zp, e.lo, e.hi,
                    got, want);
        return 1;
      }
      if (want != e.lo && want != e.hi) moved++;
      received++;
      expected.pop_front();
    }
    dut.clk_i = 1;
    dut.eval();
  }
  std::printf("PASS: %llu vectors, %llu of them inside the clamp\n",
              static_cast<unsigned long long>(received), static_cast<unsigned long long>(moved));
  return 0;
}
