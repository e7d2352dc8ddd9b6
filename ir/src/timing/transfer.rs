//! The bursts of a running LOAD or STORE.

use super::NEVER;
use super::memory::Beats;
use crate::arch::Arch;

/// A LOAD or STORE between its start and its last burst.
pub(super) struct Transfer {
    rest: Rest,
    granted: usize,
    accepted: usize,
    /// First cycle in which the next burst may be requested, room apart.
    from: u64,
    /// Last beats of accepted bursts, by burst number modulo the bursts that a LOAD can have under way.
    last_beats: Vec<u64>,
}

/// The words that no burst has covered yet.
struct Rest {
    address: u32,
    words: u32,
    burst_words: u32,
}

impl Rest {
    /// Takes the words of the next burst: to the next multiple of the burst length, or to the end.
    fn cut(&mut self) -> u32 {
        let to_multiple = self.burst_words - self.address % self.burst_words;
        let words = self.words.min(to_multiple);
        self.address = self.address.wrapping_add(words);
        self.words -= words;
        words
    }
}

impl Transfer {
    /// The words from `address` on, whose first burst is offered in cycle `from`.
    pub(super) fn new(address: u32, words: u32, from: u64, arch: &Arch) -> Transfer {
        Transfer {
            rest: Rest {
                address,
                words,
                burst_words: arch.memory.burst_words,
            },
            granted: 0,
            accepted: 0,
            from,
            last_beats: vec![0; arch.load.outstanding as usize],
        }
    }

    /// The cycle from which the request for the next burst of a LOAD is valid.
    pub(super) fn request_from(&self) -> u64 {
        let outstanding = self.last_beats.len();
        let room = match self.granted.checked_sub(outstanding) {
            None => 0,
            Some(before) if before < self.accepted => self.last_beats[before % outstanding] + 1,
            Some(_) => NEVER,
        };
        room.max(self.offered_from())
    }

    /// The cycle from which the next burst of a STORE is offered.
    pub(super) fn offered_from(&self) -> u64 {
        if self.rest.words == 0 {
            NEVER
        } else {
            self.from
        }
    }

    /// The request is taken in `cycle`; gives the words of the burst.
    pub(super) fn grant(&mut self, cycle: u64) -> u32 {
        self.granted += 1;
        self.from = cycle + 1;
        self.rest.cut()
    }

    /// The memory has accepted a burst of a LOAD; gives the last cycle of the LOAD when it was the last one.
    pub(super) fn read(&mut self, beats: &Beats) -> Option<u64> {
        let slot = self.accepted % self.last_beats.len();
        self.last_beats[slot] = beats.last;
        self.accepted += 1;
        (self.rest.words == 0 && self.accepted == self.granted).then_some(beats.last + 1)
    }

    /// The memory has accepted a burst of a STORE, whose next one comes behind its last beat; gives the last cycle of the
    /// STORE when it was the last one.
    pub(super) fn written(&mut self, beats: &Beats) -> Option<u64> {
        self.from = beats.last + 1;
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
