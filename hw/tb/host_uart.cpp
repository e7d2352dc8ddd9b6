// host_uart against a model of the protocol: every command, every error, noise, truncated frames.
//
// Build with -DCLOCKS_PER_BIT and -DTIMEOUT_BITS. Arguments: rounds, seed.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#include <vector>

#include "Vhost_uart.h"
#include "verilated.h"

namespace {

constexpr uint64_t kHash = 0x0123456789abcdef;
enum Command { kStatus = 1, kInfo = 2, kCycles = 3, kRead = 4, kWrite = 8, kStart = 9 };
enum Error { kNone = 0, kCrc = 1, kBad = 2, kRefused = 3 };

uint64_t state = 1;

uint64_t next() {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

using Bytes = std::vector<uint8_t>;

uint16_t crc(const uint8_t* data, size_t length, uint16_t value = 0xffff) {
  for (size_t i = 0; i < length; i++) {
    value ^= data[i];
    for (int b = 0; b < 8; b++) value = (value >> 1) ^ ((value & 1) ? 0x8408 : 0);
  }
  return value;
}

struct Bench {
  Vhost_uart dut;
  uint64_t cycle = 0;
  // Transmit: remaining line levels with their lengths.
  std::deque<std::pair<int, int>> out;
  // Receive.
  int rx_phase = -1, rx_shift = 0;
  Bytes received;
  bool framing_error = false;
  // Memory: answers after a few cycles; `stall` makes it refuse.
  std::vector<uint64_t> memory = std::vector<uint64_t>(16384, 0);
  std::deque<std::pair<uint64_t, uint64_t>> reads;
  bool stall = false;
  int waited = 0;
  int starts = 0;
  int base = 0, chunks = 0;

  Bench() {
    dut.clk_i = 0;
    dut.rst_ni = 1;
    dut.rx_i = 1;
    dut.arch_hash_i = kHash;
    dut.eval();
    dut.rst_ni = 0;
    dut.eval();
    dut.rst_ni = 1;
    dut.eval();
  }

  void step() {
    dut.rx_i = 1;
    if (!out.empty()) {
      dut.rx_i = out.front().first;
      if (--out.front().second == 0) out.pop_front();
    }
    dut.mem_rvalid_i = 0;
    dut.mem_rdata_i = next();
    if (!reads.empty() && reads.front().first <= cycle) {
      dut.mem_rvalid_i = 1;
      dut.mem_rdata_i = reads.front().second;
      reads.pop_front();
    }
    // Within the bit time that a word may wait.
    waited = dut.mem_valid_o ? waited + 1 : 0;
    dut.mem_ready_i = !stall && !dut.busy_i && (next() % 3 == 0 || waited >= CLOCKS_PER_BIT - 2);
    dut.clk_i = 0;
    dut.eval();
    if (dut.mem_valid_o && dut.mem_ready_i) {
      if (dut.mem_we_o) memory[dut.mem_addr_o] = dut.mem_wdata_o;
      else reads.push_back({cycle + 1 + next() % 4, memory[dut.mem_addr_o]});
    }
    if (dut.start_o) {
      starts++;
      base = dut.prog_base_o;
      chunks = dut.prog_chunks_o;
    }
    if (rx_phase < 0) {
      if (!dut.tx_o) rx_phase = 0, rx_shift = 0;
    } else {
      rx_phase++;
      if (rx_phase % CLOCKS_PER_BIT == CLOCKS_PER_BIT / 2) {
        const int bit = rx_phase / CLOCKS_PER_BIT;
        if (bit >= 1 && bit <= 8) rx_shift |= dut.tx_o << (bit - 1);
        if (bit == 9) {
          if (!dut.tx_o) framing_error = true;
          received.push_back(static_cast<uint8_t>(rx_shift));
          rx_phase = -1;
        }
      }
    }
    dut.clk_i = 1;
    dut.eval();
    cycle++;
  }

  void byte(uint8_t value, bool stop = true) {
    out.push_back({0, CLOCKS_PER_BIT});
    for (int b = 0; b < 8; b++) out.push_back({(value >> b) & 1, CLOCKS_PER_BIT});
    out.push_back({stop, CLOCKS_PER_BIT});
  }

  void send(const Bytes& bytes) {
    for (uint8_t b : bytes) byte(b);
  }

  // Until the line is sent and the reply is `length` bytes, or until nothing comes.
  Bytes reply(size_t length) {
    uint64_t limit = cycle + CLOCKS_PER_BIT * 12 * (length + 4);
    while (cycle < limit && received.size() < length) {
      if (!out.empty()) limit = cycle + CLOCKS_PER_BIT * 12 * (length + 4);
      step();
    }
    for (int i = 0; i < CLOCKS_PER_BIT * 2; i++) step();
    Bytes got;
    got.swap(received);
    return got;
  }

  void silence() {
    while (!out.empty()) step();
    for (int i = 0; i < CLOCKS_PER_BIT * ((1 << TIMEOUT_BITS) + 12); i++) step();
    received.clear();
  }
};

uint8_t sequence = 0;

Bytes header(int command, int count, int address) {
  Bytes f = {0xa5, ++sequence, static_cast<uint8_t>(command), static_cast<uint8_t>(count),
             static_cast<uint8_t>(address), static_cast<uint8_t>(address >> 8)};
  const uint16_t c = crc(f.data() + 1, 5);
  f.push_back(static_cast<uint8_t>(c));
  f.push_back(static_cast<uint8_t>(c >> 8));
  return f;
}

void payload(Bytes& frame, const std::vector<uint64_t>& words) {
  if (words.empty()) return;
  for (uint64_t w : words) {
    for (int i = 0; i < 8; i++) frame.push_back(static_cast<uint8_t>(w >> (8 * i)));
  }
  const uint16_t c = crc(frame.data() + 1, frame.size() - 1);
  frame.push_back(static_cast<uint8_t>(c));
  frame.push_back(static_cast<uint8_t>(c >> 8));
}

// Damages a frame from byte `from` on: one bit of it, or its CRC so that one bit of the receiver's
// remainder is left.
void damage(Bytes& frame, size_t from) {
  if (next() % 2) {
    frame[from + next() % (frame.size() - from)] ^= static_cast<uint8_t>(1 << next() % 8);
    return;
  }
  const uint16_t left = static_cast<uint16_t>(1 << next() % 16);
  uint8_t change[] = {0, 0};
  while (crc(change, 2, 0) != left) {
    if (++change[0] == 0) change[1]++;
  }
  frame[frame.size() - 2] ^= change[0];
  frame[frame.size() - 1] ^= change[1];
}

[[noreturn]] void fail(const std::string& what) {
  std::printf("FAIL: %s\n", what.c_str());
  std::exit(1);
}

Bench* bench;

// Takes a reply with `words` words apart and checks its frame and its status.
std::vector<uint64_t> expect(const char* what, int error, size_t words) {
  Bench& b = *bench;
  const Bytes r = b.reply(5 + 8 * words);
  const std::string name = std::string(what) + ": ";
  if (b.framing_error) fail(name + "framing error");
  if (r.size() != 5 + 8 * words) fail(name + std::to_string(r.size()) + " bytes");
  if (r[0] != 0x5a) fail(name + "no sync byte");
  if (r[1] != sequence) fail(name + "sequence");
  const int status = 0x10 | b.dut.fault_i << 3 | b.dut.busy_i << 2 | error;
  if (r[2] != status) fail(name + "status " + std::to_string(r[2]));
  if (crc(r.data() + 1, r.size() - 1) != 0) fail(name + "crc of the reply");
  std::vector<uint64_t> result;
  for (size_t w = 0; w < words; w++) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value |= static_cast<uint64_t>(r[3 + 8 * w + i]) << (8 * i);
    result.push_back(value);
  }
  return result;
}

void nothing(const char* what) {
  if (!bench->reply(1).empty()) fail(std::string(what) + ": a reply came");
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 300;
  state = argc > 2 ? std::strtoull(argv[2], nullptr, 0) : 0x9e3779b97f4a7c15;
  Bench b;
  bench = &b;
  std::vector<uint64_t> shadow(16384, 0);
  int starts = 0;
  int counts[16] = {};

  auto words = [&](int n) {
    std::vector<uint64_t> w;
    for (int i = 0; i < n; i++) w.push_back(next() % 4 ? next() : 0xa5a5a5a5a5a5a5a5);
    return w;
  };
  auto check_memory = [&](const char* what) {
    if (b.memory != shadow) fail(std::string(what) + ": memory differs");
    if (b.starts != starts) fail(std::string(what) + ": started");
  };

  for (int i = 0; i < rounds; i++) {
    const int kind = static_cast<int>(next() % 16);
    const int address = static_cast<int>(next() % 16000);
    const int n = 1 + static_cast<int>(next() % 6);
    counts[kind]++;
    b.dut.fault_i = next() & 1;
    b.dut.cycles_i = static_cast<uint32_t>(next());
    switch (kind) {
      case 0: {
        b.dut.busy_i = next() & 1;
        b.send(header(kStatus, 0, 0));
        expect("status", kNone, 0);
        break;
      }
      case 1: {
        b.send(header(kInfo, 1, 0));
        if (expect("info", kNone, 1)[0] != kHash) fail("info: hash");
        break;
      }
      case 2: {
        b.dut.busy_i = next() & 1;
        b.send(header(kCycles, 1, 0));
        if (expect("cycles", kNone, 1)[0] != b.dut.cycles_i) fail("cycles: value");
        break;
      }
      case 3:
      case 4: {
        // Write, and read it back right after the reply.
        const auto w = words(n);
        Bytes f = header(kWrite, n, address);
        payload(f, w);
        b.send(f);
        expect("write", kNone, 0);
        for (int k = 0; k < n; k++) shadow[address + k] = w[k];
        b.send(header(kRead, n, address));
        if (expect("read", kNone, n) != w) fail("read: data");
        check_memory("write");
        break;
      }
      case 5: {
        Bytes f = header(kStart, 1, address);
        const int chunks = static_cast<int>(next() % 16384);
        payload(f, {static_cast<uint64_t>(chunks) << 16});
        b.send(f);
        expect("start", kNone, 0);
        if (b.starts != ++starts || b.base != address || b.chunks != chunks) fail("start: values");
        break;
      }
      case 6: {
        // Bad CRC over the words: they may be written, nothing else may be.
        const auto w = words(n);
        Bytes f = header(kWrite, n, address);
        payload(f, w);
        damage(f, 8);
        b.send(f);
        expect("write with bad crc", kCrc, 0);
        for (int k = 0; k < n; k++) b.memory[address + k] = shadow[address + k];
        check_memory("write with bad crc");
        break;
      }
      case 7: {
        // Bad CRC over START.
        Bytes f = header(kStart, 1, address);
        payload(f, {next()});
        damage(f, 8);
        b.send(f);
        expect("start with bad crc", kCrc, 0);
        check_memory("start with bad crc");
        break;
      }
      case 8: {
        // Bad header: nothing happens.
        Bytes f = header(next() % 2 ? kStart : kRead, 1, address);
        damage(f, 2);
        b.send(f);
        expect("bad header", kCrc, 0);
        check_memory("bad header");
        break;
      }
      case 9: {
        // Unknown commands and wrong lengths, with the words that the header announces.
        static const int commands[] = {0, 5, 6, 7, 0x14, 0x21, 10, 15, 0x88, kStatus, kInfo, kStart};
        const int command = commands[next() % 12];
        Bytes f = header(command, 2, address);
        if (command & 8) payload(f, words(2));
        b.send(f);
        expect("bad command", kBad, 0);
        check_memory("bad command");
        break;
      }
      case 10: {
        // The core is busy.
        b.dut.busy_i = 1;
        const int command = next() % 3 == 0 ? kRead : next() % 2 ? kWrite : kStart;
        const int m = command == kStart ? 1 : n;
        Bytes f = header(command, m, address);
        if (command & 8) payload(f, words(m));
        b.send(f);
        expect("refused", kRefused, 0);
        check_memory("refused");
        break;
      }
      case 11: {
        // Truncated frame, then silence, then a good one.
        Bytes f = header(kWrite, n, address);
        payload(f, words(n));
        f.resize(1 + next() % 8);
        b.send(f);
        nothing("truncated");
        b.silence();
        b.send(header(kStatus, 0, 0));
        expect("after a truncated frame", kNone, 0);
        check_memory("truncated");
        break;
      }
      case 12: {
        // Truncated words: those that were complete may be written.
        Bytes f = header(kWrite, n, address);
        payload(f, words(n));
        f.resize(f.size() - 1 - next() % (8 * n));
        b.send(f);
        nothing("truncated words");
        b.silence();
        b.send(header(kStatus, 0, 0));
        expect("after truncated words", kNone, 0);
        for (int k = 0; k < n; k++) b.memory[address + k] = shadow[address + k];
        check_memory("truncated words");
        break;
      }
      case 13: {
        // Noise: pulses of any length. A reply may come; afterwards the port must answer.
        for (int k = 0; k < 200; k++) {
          b.out.push_back({static_cast<int>(next() & 1),
                           1 + static_cast<int>(next() % (3 * CLOCKS_PER_BIT))});
        }
        b.silence();
        b.silence();
        b.framing_error = false;
        b.send(header(kStatus, 0, 0));
        expect("after noise", kNone, 0);
        check_memory("noise");
        break;
      }
      case 14: {
        // Glitches shorter than half a bit, and bytes that are no sync byte, before a frame.
        for (int k = 0; k < 5; k++) {
          b.out.push_back({0, 1 + static_cast<int>(next() % (CLOCKS_PER_BIT / 4))});
          b.out.push_back({1, CLOCKS_PER_BIT});
        }
        for (int k = 0; k < 5; k++) b.byte(static_cast<uint8_t>(next() % 0xa0));
        b.send(header(kInfo, 1, 0));
        if (expect("after glitches", kNone, 1)[0] != kHash) fail("glitches: hash");
        break;
      }
      default: {
        // Memory that does not accept; and a low stop bit, which drops the frame.
        b.stall = true;
        Bytes f = header(kWrite, n, address);
        payload(f, words(n));
        b.send(f);
        expect("stalled memory", kRefused, 0);
        b.stall = false;
        check_memory("stalled memory");
        f = header(kStart, 1, address);
        for (size_t k = 0; k < f.size(); k++) b.byte(f[k], k != 4);
        nothing("low stop bit");
        b.silence();
        check_memory("low stop bit");
        break;
      }
    }
    b.dut.busy_i = 0;
  }
  for (int k = 0; k < 16; k++) {
    if (counts[k] == 0 && rounds >= 300) fail("a kind of frame was never drawn");
  }
  std::printf("PASS: %d rounds, %llu cycles, %d starts\n", rounds,
              static_cast<unsigned long long>(b.cycle), starts);
  return 0;
}
