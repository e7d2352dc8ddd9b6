//! Memory behaviour at the external port, shared by the simulator and the Verilator test bench.
//!
//! A model gives four numbers for each burst, from the number of the burst on its channel alone.
//! Simulator and test bench ask the same function, so back-pressure is equal on both to the cycle.
//! `docs/concepts/timing.md` section "external memory" says how the numbers are used.

use serde::{Deserialize, Serialize};

/// One of the two independent channels of the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Read address and read data.
    Read,
    /// Write address, write data and response.
    Write,
}

/// The timing of one burst, in cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Cycles after the previous acceptance on this channel in which no request is accepted.
    pub accept_stall: u64,
    /// Least cycles from acceptance to the first beat, at least 1.
    pub latency: u64,
    /// Least cycles from one beat to the next in this burst, at least 1.
    pub beat_gap: u64,
    /// Cycles from the last beat to the write response, at least 1.
    pub response: u64,
}

/// How the memory behind the external port answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MemoryModel {
    /// M0: answers in the next cycle, one beat a cycle.
    Ideal,
    /// M1: fixed latency and bandwidth.
    Fixed {
        /// Cycles from acceptance to the first beat.
        latency: u32,
        /// Cycles per beat.
        beat_gap: u32,
    },
    /// M2: like `Fixed` with pseudo-random stalls on every handshake, a function of seed, channel and burst number.
    Jitter {
        /// Least cycles from acceptance to the first beat.
        latency: u32,
        /// Seed of the stalls.
        seed: u64,
    },
}

impl MemoryModel {
    /// M1 as used by presets and reports: 24 cycles, one beat a cycle.
    pub const M1: MemoryModel = MemoryModel::Fixed {
        latency: 24,
        beat_gap: 1,
    };
    /// M2 as used by `verify`.
    pub const M2: MemoryModel = MemoryModel::Jitter {
        latency: 6,
        seed: 1,
    };

    /// The short name used on the command line and in reports: `m0`, `m1` or `m2`.
    pub const fn name(&self) -> &'static str {
        match self {
            MemoryModel::Ideal => "m0",
            MemoryModel::Fixed { .. } => "m1",
            MemoryModel::Jitter { .. } => "m2",
        }
    }

    /// The timing of burst `number`, counted from 0 at the doorbell, on `channel`.
    pub fn burst(&self, channel: Channel, number: u64) -> Burst {
        match *self {
            MemoryModel::Ideal => Burst {
                accept_stall: 0,
                latency: 1,
                beat_gap: 1,
                response: 1,
            },
            MemoryModel::Fixed { latency, beat_gap } => {
                let latency = u64::from(latency.max(1));
                Burst {
                    accept_stall: 0,
                    latency,
                    beat_gap: u64::from(beat_gap.max(1)),
                    response: latency,
                }
            }
            MemoryModel::Jitter { latency, seed } => {
                let bits = mix(seed ^ mix(number * 2 + channel as u64));
                Burst {
                    accept_stall: bits & 3,
                    latency: u64::from(latency.max(1)) + (bits >> 2 & 15),
                    beat_gap: 1 + (bits >> 6 & 3).saturating_sub(1),
                    response: 1 + (bits >> 8 & 7),
                }
            }
        }
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): a bijection that spreads every input bit.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
