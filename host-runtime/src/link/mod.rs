//! A machine behind a serial line: the framed protocol over any transport.
//!
//! The same code talks to a board and to the pins of a verilated design ([`Pins`]).

mod frame;
mod pins;

pub use frame::{MAX_WORDS, Refusal, Reply, Request, Unreadable, VERSION};
pub use pins::Pins;

/// How often a request is sent before the link gives up.
const ATTEMPTS: u32 = 3;

/// Why a link gives no answer.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum LinkError {
    /// No attempt was answered in a form that can be read: line, baud rate or bitstream are wrong.
    #[error("the device gave no answer to {request} in {attempts} attempts: {reason}")]
    #[diagnostic(
        code(link::silent),
        help("is the board on, is the bitstream loaded, is the baud rate that of its report?")
    )]
    Silent {
        /// The request.
        request: String,
        /// How often it was sent.
        attempts: u32,
        /// What came instead, the last time.
        reason: String,
    },
    /// The device understood and refused.
    #[error("the device refused {request}: {refusal:?}")]
    #[diagnostic(code(link::refused))]
    Refused {
        /// The request.
        request: String,
        /// Why.
        refusal: Refusal,
    },
    /// The line itself failed: the machine's matter.
    #[error("the line failed")]
    #[diagnostic(code(link::io))]
    Io(#[from] std::io::Error),
}

/// Bytes to and from a device.
pub trait Transport {
    /// Sends `bytes`; what the device answers meanwhile is kept for [`Transport::receive`].
    ///
    /// # Errors
    /// When the line fails.
    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()>;

    /// Appends bytes to `bytes` until it holds `length`, or the line has been silent for longer than any pause
    /// inside a reply.
    ///
    /// # Errors
    /// When the line fails; silence is no error.
    fn receive(&mut self, bytes: &mut Vec<u8>, length: usize) -> std::io::Result<()>;

    /// Waits until the device has forgotten an unfinished request (4096 bit times), and drops what came.
    ///
    /// # Errors
    /// When the line fails.
    fn settle(&mut self) -> std::io::Result<()>;
}

/// Requests and replies over a transport, with sequence numbers and repetition.
#[derive(Debug)]
pub struct Link<T> {
    transport: T,
    sequence: u8,
    repeated: u64,
}

impl<T: Transport> Link<T> {
    /// A link over `transport`.
    pub fn new(transport: T) -> Link<T> {
        Link {
            transport,
            sequence: 0,
            repeated: 0,
        }
    }

    /// The transport.
    pub fn transport(&mut self) -> &mut T {
        &mut self.transport
    }

    /// How many requests had to be sent again.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Sends `request` until it is answered.
    ///
    /// # Errors
    /// [`LinkError::Silent`], at once for a START, and [`LinkError::Io`]. A refusal is a reply.
    pub fn ask(&mut self, request: &Request) -> Result<Reply, LinkError> {
        let attempts = if request.repeats() { ATTEMPTS } else { 1 };
        let mut reason = String::new();
        for attempt in 0..attempts {
            if attempt > 0 {
                self.repeated += 1;
                self.transport.settle()?;
            }
            self.sequence = self.sequence.wrapping_add(1);
            self.transport.send(&request.encode(self.sequence))?;
            let mut bytes = Vec::new();
            // The third byte tells how long the reply is.
            self.transport.receive(&mut bytes, 3)?;
            let refused = bytes
                .get(2)
                .is_some_and(|status| frame::refusal(*status).is_some());
            self.transport
                .receive(&mut bytes, if refused { 5 } else { request.reply_bytes() })?;
            match request.decode(self.sequence, &bytes) {
                Ok(Reply {
                    refusal: Some(Refusal::Crc),
                    ..
                }) => reason = "the device saw a damaged request".to_owned(),
                Ok(reply) => return Ok(reply),
                Err(Unreadable::Short(0)) => reason = "the line is silent".to_owned(),
                Err(error) => reason = format!("the reply cannot be read: {error}"),
            }
        }
        Err(LinkError::Silent {
            request: describe(request),
            attempts,
            reason,
        })
    }

    fn carried_out(&mut self, request: &Request) -> Result<Reply, LinkError> {
        let reply = self.ask(request)?;
        match reply.refusal {
            None => Ok(reply),
            Some(refusal) => Err(LinkError::Refused {
                request: describe(request),
                refusal,
            }),
        }
    }

    /// Busy and fault.
    ///
    /// # Errors
    /// As [`Link::ask`].
    pub fn status(&mut self) -> Result<Reply, LinkError> {
        self.carried_out(&Request::Status)
    }

    /// The hash of the Arch that the device was made for.
    ///
    /// # Errors
    /// As [`Link::ask`], and [`LinkError::Refused`].
    pub fn arch_hash(&mut self) -> Result<u64, LinkError> {
        Ok(self.carried_out(&Request::Info)?.words[0])
    }

    /// The cycle counter.
    ///
    /// # Errors
    /// As [`Link::arch_hash`].
    pub fn cycles(&mut self) -> Result<u32, LinkError> {
        Ok(self.carried_out(&Request::Cycles)?.words[0] as u32)
    }

    /// `count` words from `address` on, as bytes.
    ///
    /// # Errors
    /// As [`Link::arch_hash`].
    pub fn read(&mut self, address: u16, count: usize) -> Result<Vec<u8>, LinkError> {
        let mut bytes = Vec::new();
        for first in (0..count).step_by(MAX_WORDS) {
            let length = (count - first).min(MAX_WORDS);
            let request = Request::Read {
                address: address + first as u16,
                count: length as u8,
            };
            let reply = self.carried_out(&request)?;
            bytes.extend(reply.words.iter().flat_map(|word| word.to_le_bytes()));
        }
        Ok(bytes)
    }

    /// Whole words to memory from `address` on.
    ///
    /// # Errors
    /// As [`Link::arch_hash`].
    pub fn write(&mut self, address: u16, bytes: &[u8]) -> Result<(), LinkError> {
        let words: Vec<u64> = bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|word| u64::from_le_bytes(*word))
            .collect();
        for (index, words) in words.chunks(MAX_WORDS).enumerate() {
            let address = address + (index * MAX_WORDS) as u16;
            self.carried_out(&Request::Write {
                address,
                words: words.to_vec(),
            })?;
        }
        Ok(())
    }

    /// Runs the program of `chunks` chunks at word `address`.
    ///
    /// # Errors
    /// As [`Link::arch_hash`]. After [`LinkError::Silent`] it may run or not.
    pub fn start(&mut self, address: u16, chunks: u16) -> Result<(), LinkError> {
        self.carried_out(&Request::Start { address, chunks })
            .map(|_| ())
    }
}

fn describe(request: &Request) -> String {
    match request {
        Request::Status => "STATUS".to_owned(),
        Request::Info => "INFO".to_owned(),
        Request::Cycles => "CYCLES".to_owned(),
        Request::Read { address, count } => format!("READ of {count} words at {address}"),
        Request::Write { address, words } => format!("WRITE of {} words at {address}", words.len()),
        Request::Start { address, chunks } => format!("START of {chunks} chunks at {address}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that loses or damages the first `faults` replies.
    struct Fake {
        faults: u32,
        replies: Vec<u8>,
        sent: Vec<Vec<u8>>,
    }

    impl Transport for Fake {
        fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
            self.sent.push(bytes.to_vec());
            if self.faults > 0 {
                self.faults -= 1;
                if self.faults == 0 {
                    self.replies.extend([0x5a, 0, 0x10, 0, 0]);
                }
                return Ok(());
            }
            // The reply of a device that is idle: its CRC comes from a request of the same bytes.
            let mut reply = Request::Status.encode(bytes[1]);
            reply.truncate(2);
            reply[0] = 0x5a;
            reply.push(0x10);
            let crc = reply[1..].iter().fold(0xffff_u16, |crc, byte| {
                (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
                    if crc & 1 == 1 {
                        crc >> 1 ^ 0x8408
                    } else {
                        crc >> 1
                    }
                })
            });
            reply.extend(crc.to_le_bytes());
            self.replies.extend(reply);
            Ok(())
        }

        fn receive(&mut self, bytes: &mut Vec<u8>, length: usize) -> std::io::Result<()> {
            let n = (length - bytes.len().min(length)).min(self.replies.len());
            bytes.extend(self.replies.drain(..n));
            Ok(())
        }

        fn settle(&mut self) -> std::io::Result<()> {
            self.replies.clear();
            Ok(())
        }
    }

    fn link(faults: u32) -> Link<Fake> {
        Link::new(Fake {
            faults,
            replies: vec![],
            sent: vec![],
        })
    }

    #[test]
    fn requests_are_repeated_with_new_numbers() {
        let mut good = link(2);
        assert!(!good.status().expect("the third attempt").busy);
        let numbers: Vec<u8> = good.transport().sent.iter().map(|bytes| bytes[1]).collect();
        assert_eq!((numbers, good.repeated()), (vec![1, 2, 3], 2));
        assert!(matches!(
            link(9).status(),
            Err(LinkError::Silent { attempts: 3, .. })
        ));
    }

    #[test]
    fn start_is_sent_once() {
        assert!(matches!(
            link(1).start(0, 1),
            Err(LinkError::Silent { attempts: 1, .. })
        ));
    }
}
