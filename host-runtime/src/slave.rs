//! The memory behind the external port: timing.md "External memory", cycle by cycle.
//!
//! The simulator computes the same schedule burst by burst; both ask [`MemoryModel::burst`] for its numbers.
//! What the slave drives in a cycle follows from earlier cycles alone: never from a `valid` of the same cycle.
//! Write responses keep the order of their bursts: one cycle carries one response, so a response that would overtake
//! or meet an earlier one comes in the cycle after it.

use std::collections::VecDeque;

use ir::MemoryModel;
use ir::memory::Channel;

/// What the slave drives during one cycle, apart from the read data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drive {
    /// A read request would be accepted.
    pub read_ready: bool,
    /// The word of the beat that is driven, if one is.
    pub read_beat: Option<u32>,
    /// A write request would be accepted.
    pub write_ready: bool,
    /// A write beat is taken.
    pub write_data_ready: bool,
    /// The response to a write burst.
    pub write_done: bool,
}

/// What the machine drives during one cycle.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen<'a> {
    /// First word and beats of the read request that is offered.
    pub read: Option<(u32, u32)>,
    /// First word and beats of the write request that is offered.
    pub write: Option<(u32, u32)>,
    /// The write data, if valid.
    pub write_data: Option<&'a [u8]>,
}

/// A machine that breaks the rules of the port; always a bug of the machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
#[error("cycle {cycle}: {what}")]
#[diagnostic(code(rtl::port_rule))]
pub struct PortFault {
    /// The cycle, counted from the doorbell.
    pub cycle: u64,
    /// The broken rule.
    pub what: String,
}

struct Burst {
    next_word: u32,
    beats_left: u32,
    next_beat: u64,
    beat_gap: u64,
    response: u64,
}

struct ChannelState {
    channel: Channel,
    accepted: u64,
    /// First cycle in which a request is accepted.
    ready_from: u64,
    /// First cycle in which the next burst may have a beat.
    beat_from: u64,
    bursts: VecDeque<Burst>,
}

/// The slave with both channels. Cycle 0 is the one in which the doorbell is high.
pub struct Slave {
    model: MemoryModel,
    word_bytes: usize,
    words: u32,
    burst_words: u32,
    read: ChannelState,
    write: ChannelState,
    responses: VecDeque<u64>,
}

impl Slave {
    /// A slave in front of a memory of `words` words of `word_bytes` bytes, for bursts of at most `burst_words`.
    pub fn new(model: MemoryModel, word_bytes: u32, words: u32, burst_words: u32) -> Slave {
        let state = |channel| ChannelState {
            channel,
            accepted: 0,
            ready_from: 0,
            beat_from: 0,
            bursts: VecDeque::new(),
        };
        Slave {
            model,
            word_bytes: word_bytes as usize,
            words,
            burst_words,
            read: state(Channel::Read),
            write: state(Channel::Write),
            responses: VecDeque::new(),
        }
    }

    /// Bursts accepted so far on the read and on the write channel.
    pub fn accepted(&self) -> [u64; 2] {
        [self.read.accepted, self.write.accepted]
    }

    /// Whether nothing is under way.
    pub fn is_quiet(&self) -> bool {
        self.read.bursts.is_empty() && self.write.bursts.is_empty() && self.responses.is_empty()
    }

    /// What is driven during `cycle`; called once for each cycle, before [`Slave::finish`].
    #[inline]
    pub fn drive(&self, cycle: u64) -> Drive {
        let due = |state: &ChannelState| {
            state
                .bursts
                .front()
                .filter(|burst| burst.next_beat <= cycle)
                .map(|burst| burst.next_word)
        };
        Drive {
            read_ready: cycle >= self.read.ready_from,
            read_beat: due(&self.read),
            write_ready: cycle >= self.write.ready_from,
            write_data_ready: due(&self.write).is_some(),
            write_done: self.responses.front().is_some_and(|at| *at <= cycle),
        }
    }

    /// Ends `cycle`: what was driven in it meets what the machine showed in it.
    ///
    /// # Errors
    /// [`PortFault`].
    #[inline]
    pub fn finish(
        &mut self,
        cycle: u64,
        drive: Drive,
        seen: Seen,
        memory: &mut [u8],
    ) -> Result<(), PortFault> {
        if drive.write_done {
            self.responses.pop_front();
        }
        if drive.read_beat.is_some() {
            self.read.beat(cycle);
        }
        if drive.write_data_ready {
            self.write_beat(cycle, seen.write_data, memory)?;
        }
        if let Some((word, beats)) = seen.read.filter(|_| drive.read_ready) {
            self.check_burst(cycle, word, beats)?;
            self.read.accept(cycle, word, beats, &self.model);
        }
        if let Some((word, beats)) = seen.write.filter(|_| drive.write_ready) {
            self.check_burst(cycle, word, beats)?;
            self.write.accept(cycle, word, beats, &self.model);
        }
        Ok(())
    }

    fn write_beat(
        &mut self,
        cycle: u64,
        data: Option<&[u8]>,
        memory: &mut [u8],
    ) -> Result<(), PortFault> {
        let data = data.ok_or_else(|| PortFault {
            cycle,
            what: "a write beat is taken and no data are valid".to_owned(),
        })?;
        let word = self.write.bursts.front().expect("a beat is due").next_word as usize;
        memory[word * self.word_bytes..][..self.word_bytes]
            .copy_from_slice(&data[..self.word_bytes]);
        if let Some(response) = self.write.beat(cycle) {
            let after_last = self.responses.back().map_or(0, |last| last + 1);
            self.responses.push_back((cycle + response).max(after_last));
        }
        Ok(())
    }

    fn check_burst(&self, cycle: u64, word: u32, beats: u32) -> Result<(), PortFault> {
        let fault = |rule: &str| {
            Err(PortFault {
                cycle,
                what: format!("a burst of {beats} words from word {word} {rule}"),
            })
        };
        if beats == 0 || beats > self.burst_words {
            return fault(&format!("is not of 1 to {} words", self.burst_words));
        }
        if word % self.burst_words + beats > self.burst_words {
            return fault(&format!("crosses a multiple of {} words", self.burst_words));
        }
        if u64::from(word) + u64::from(beats) > u64::from(self.words) {
            return fault(&format!("ends beyond the memory of {} words", self.words));
        }
        Ok(())
    }
}

impl ChannelState {
    fn accept(&mut self, cycle: u64, word: u32, beats: u32, model: &MemoryModel) {
        let timing = model.burst(self.channel, self.accepted);
        let first = (cycle + timing.latency).max(self.beat_from);
        // The stall of a burst follows the acceptance of the one before it.
        self.accepted += 1;
        self.ready_from = cycle + 1 + model.burst(self.channel, self.accepted).accept_stall;
        self.beat_from = first + u64::from(beats - 1) * timing.beat_gap + 1;
        self.bursts.push_back(Burst {
            next_word: word,
            beats_left: beats,
            next_beat: first,
            beat_gap: timing.beat_gap,
            response: timing.response,
        });
    }

    /// One beat in `cycle`; the response time after the last one of a burst.
    fn beat(&mut self, cycle: u64) -> Option<u64> {
        let burst = self.bursts.front_mut().expect("a beat is due");
        burst.next_word += 1;
        burst.beats_left -= 1;
        burst.next_beat = cycle + burst.beat_gap;
        (burst.beats_left == 0).then(|| self.bursts.pop_front().expect("it is there").response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests and beats of one run: each burst is offered from the given cycle on, until it is accepted.
    struct Log {
        accepted: Vec<u64>,
        beats: Vec<u64>,
        done: Vec<u64>,
    }

    fn run(model: MemoryModel, channel: Channel, offers: &[(u64, u32, u32)]) -> Log {
        let mut slave = Slave::new(model, 8, 1024, 16);
        let mut memory = vec![0; 8192];
        let mut log = Log {
            accepted: Vec::new(),
            beats: Vec::new(),
            done: Vec::new(),
        };
        for cycle in 0..2000 {
            let drive = slave.drive(cycle);
            let offer = offers
                .get(log.accepted.len())
                .filter(|(from, ..)| *from <= cycle)
                .map(|(_, word, beats)| (*word, *beats));
            let reading = channel == Channel::Read;
            let seen = Seen {
                read: offer.filter(|_| reading),
                write: offer.filter(|_| !reading),
                write_data: Some(&[7; 8]),
            };
            let ready = if reading {
                drive.read_ready
            } else {
                drive.write_ready
            };
            if offer.is_some() && ready {
                log.accepted.push(cycle);
            }
            if drive.read_beat.is_some() || drive.write_data_ready {
                log.beats.push(cycle);
            }
            if drive.write_done {
                log.done.push(cycle);
            }
            slave.finish(cycle, drive, seen, &mut memory).unwrap();
        }
        assert!(slave.is_quiet());
        log
    }

    /// The rules of timing.md as a recurrence over bursts, written independently of the cycle-by-cycle slave.
    fn expected(model: MemoryModel, channel: Channel, offers: &[(u64, u32, u32)]) -> Log {
        let mut log = Log {
            accepted: Vec::new(),
            beats: Vec::new(),
            done: Vec::new(),
        };
        for (number, &(offered, _, beats)) in offers.iter().enumerate() {
            let t = model.burst(channel, number as u64);
            // The bursts are offered one after the other, each from the cycle after the previous acceptance at the earliest.
            let accepted = match log.accepted.last() {
                None => offered,
                Some(previous) => offered.max(previous + 1 + t.accept_stall),
            };
            let first = (accepted + t.latency).max(log.beats.last().map_or(0, |last| last + 1));
            log.accepted.push(accepted);
            log.beats
                .extend((0..u64::from(beats)).map(|beat| first + beat * t.beat_gap));
            if channel == Channel::Write {
                let response = log.beats.last().unwrap() + t.response;
                let in_order = response.max(log.done.last().map_or(0, |last| last + 1));
                log.done.push(in_order);
            }
        }
        log
    }

    #[test]
    fn slave_follows_the_timing_contract() {
        let models = [
            MemoryModel::Ideal,
            MemoryModel::M1,
            MemoryModel::M2,
            MemoryModel::Fixed {
                latency: 3,
                beat_gap: 2,
            },
            MemoryModel::Jitter {
                latency: 1,
                seed: 99,
            },
        ];
        for model in models {
            for channel in [Channel::Read, Channel::Write] {
                for seed in 0..20u64 {
                    let mut cycle = 1;
                    let offers: Vec<(u64, u32, u32)> = (0..30u64)
                        .map(|n| {
                            let bits = blake3::hash(&[seed as u8, n as u8]).as_bytes()[0];
                            cycle += u64::from(bits & 15);
                            let beats = u32::from(bits >> 4) % 8 + 1;
                            (cycle, n as u32 * 16, beats)
                        })
                        .collect();
                    let (found, wanted) = (
                        run(model, channel, &offers),
                        expected(model, channel, &offers),
                    );
                    assert_eq!(
                        found.accepted, wanted.accepted,
                        "{model:?} {channel:?} {seed}"
                    );
                    assert_eq!(found.beats, wanted.beats, "{model:?} {channel:?} {seed}");
                    assert_eq!(found.done, wanted.done, "{model:?} {channel:?} {seed}");
                }
            }
        }
    }

    #[test]
    fn bursts_that_break_the_rules_are_faults() {
        let check = |word, beats| {
            let mut slave = Slave::new(MemoryModel::Ideal, 8, 1000, 16);
            let seen = Seen {
                read: Some((word, beats)),
                ..Seen::default()
            };
            let drive = slave.drive(5);
            slave
                .finish(5, drive, seen, &mut [])
                .map_err(|fault| fault.to_string())
        };
        assert_eq!(check(0, 16), Ok(()));
        assert_eq!(
            check(8, 9).unwrap_err(),
            "cycle 5: a burst of 9 words from word 8 crosses a multiple of 16 words"
        );
        assert_eq!(
            check(0, 0).unwrap_err(),
            "cycle 5: a burst of 0 words from word 0 is not of 1 to 16 words"
        );
        assert_eq!(
            check(992, 10).unwrap_err(),
            "cycle 5: a burst of 10 words from word 992 ends beyond the memory of 1000 words"
        );
    }

    #[test]
    fn write_beat_without_data_is_a_fault() {
        let mut slave = Slave::new(MemoryModel::Ideal, 8, 64, 16);
        let mut memory = vec![0; 512];
        let offer = Seen {
            write: Some((0, 2)),
            ..Seen::default()
        };
        let drive = slave.drive(1);
        slave.finish(1, drive, offer, &mut memory).unwrap();
        let drive = slave.drive(2);
        assert!(drive.write_data_ready);
        let fault = slave
            .finish(2, drive, Seen::default(), &mut memory)
            .unwrap_err();
        assert_eq!(
            fault.to_string(),
            "cycle 2: a write beat is taken and no data are valid"
        );
    }
}
