//! The bursts of a running LOAD and of a running STORE.

use ir::arch::Arch;
use ir::arch::latency::STORE_LEAD;
use ir::operation::{Load, Store};

use super::NEVER;
use super::memory::Beats;

/// Most bursts that a LOAD can have under way.
const MAX_OUTSTANDING: usize = 8;

/// The words that no burst has covered yet.
struct Rest {
    address: u32,
    words: u32,
    burst_words: u32,
}

impl Rest {
    /// Words of the next burst: to the next multiple of the burst length, or to the end.
    fn burst(&self) -> u32 {
        self.words
            .min(self.burst_words - self.address % self.burst_words)
    }

    fn cut(&mut self) -> u32 {
        let words = self.burst();
        self.address = self.address.wrapping_add(words);
        self.words -= words;
        words
    }
}

/// A LOAD between its start and its last beat.
pub(crate) struct LoadBursts {
    rest: Rest,
    outstanding: usize,
    granted: usize,
    /// The cycle of the start or of the last grant.
    last_grant: u64,
    accepted: usize,
    /// Last beats of accepted bursts, by burst number modulo `outstanding`.
    last_beats: [u64; MAX_OUTSTANDING],
}

impl LoadBursts {
    pub(crate) fn new(load: &Load, start: u64, arch: &Arch) -> LoadBursts {
        LoadBursts {
            rest: Rest {
                address: load.memory,
                words: load.words,
                burst_words: arch.memory.burst_words,
            },
            outstanding: arch.load.outstanding as usize,
            granted: 0,
            last_grant: start,
            accepted: 0,
            last_beats: [0; MAX_OUTSTANDING],
        }
    }

    /// The cycle from which a request for the next burst is valid.
    pub(crate) fn request_from(&self) -> u64 {
        let room = match self.granted.checked_sub(self.outstanding) {
            None => 0,
            Some(before) if before < self.accepted => {
                self.last_beats[before % self.outstanding] + 1
            }
            Some(_) => NEVER,
        };
        if self.rest.words == 0 {
            NEVER
        } else {
            room.max(self.last_grant + 1)
        }
    }

    /// The arbiter takes the request; gives the words of the burst.
    pub(crate) fn grant(&mut self, cycle: u64) -> u32 {
        self.granted += 1;
        self.last_grant = cycle;
        self.rest.cut()
    }

    /// The memory has accepted a burst; gives the last cycle of the LOAD when it was the last one.
    pub(crate) fn accept(&mut self, beats: Beats) -> Option<u64> {
        self.last_beats[self.accepted % self.outstanding] = beats.last;
        self.accepted += 1;
        (self.rest.words == 0 && self.accepted == self.granted).then_some(beats.last + 1)
    }
}

/// A STORE between its start and its last response.
pub(crate) struct StoreBursts {
    rest: Rest,
    /// First cycle in which the next burst is offered.
    offered_from: u64,
}

impl StoreBursts {
    pub(crate) fn new(store: &Store, start: u64, arch: &Arch) -> StoreBursts {
        StoreBursts {
            rest: Rest {
                address: store.memory,
                words: store.words,
                burst_words: arch.memory.burst_words,
            },
            offered_from: start + STORE_LEAD,
        }
    }

    /// The cycle from which the next burst is offered to the memory.
    pub(crate) fn offered_from(&self) -> u64 {
        if self.rest.words == 0 {
            NEVER
        } else {
            self.offered_from
        }
    }

    /// The words of the burst on offer.
    pub(crate) fn burst(&self) -> u32 {
        self.rest.burst()
    }

    /// The memory has accepted the burst; gives the last cycle of the STORE when it was the last one.
    pub(crate) fn accept(&mut self, beats: Beats) -> Option<u64> {
        self.rest.cut();
        self.offered_from = beats.last + 1;
        (self.rest.words == 0).then_some(beats.response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_end_at_multiples_and_with_the_instruction() {
        let mut rest = Rest {
            address: 13,
            words: 24,
            burst_words: 8,
        };
        let words: Vec<u32> = std::iter::from_fn(|| (rest.words > 0).then(|| rest.cut())).collect();
        assert_eq!(words, [3, 8, 8, 5]);
    }
}
