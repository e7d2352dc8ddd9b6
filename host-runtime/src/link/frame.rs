//! Requests and replies of the serial protocol as bytes: `docs/reference/uart-protocol.md`.

/// Version of the protocol, which every reply carries.
pub const VERSION: u8 = 1;

/// Words of a READ or WRITE at most.
pub const MAX_WORDS: usize = 255;

const SYNC_REQUEST: u8 = 0xa5;
const SYNC_REPLY: u8 = 0x5a;

/// What a host asks a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Busy and fault, which every reply has.
    Status,
    /// The Arch hash.
    Info,
    /// The cycle counter.
    Cycles,
    /// Words of memory.
    Read {
        /// The first word.
        address: u16,
        /// How many.
        count: u8,
    },
    /// Words to memory.
    Write {
        /// The first word.
        address: u16,
        /// At most [`MAX_WORDS`].
        words: Vec<u64>,
    },
    /// Runs a program.
    Start {
        /// Its first word.
        address: u16,
        /// Its chunks.
        chunks: u16,
    },
}

/// What the device says about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A CRC did not match.
    Crc,
    /// The device does not know the request.
    Bad,
    /// The core is busy, or memory did not accept a word in time.
    Refused,
}

/// A reply whose CRC and sequence number were right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The core is running.
    pub busy: bool,
    /// A semaphore overflowed since the reset.
    pub fault: bool,
    /// Why the request was not carried out.
    pub refusal: Option<Refusal>,
    /// The words asked for; none with a refusal.
    pub words: Vec<u64>,
}

/// Why bytes are no reply to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Less bytes than a reply has.
    #[error("it has {0} bytes")]
    Short(usize),
    /// The first byte is wrong.
    #[error("it starts with {0:#04x}")]
    Sync(u8),
    /// The CRC is wrong.
    #[error("its CRC does not match")]
    Crc,
    /// It answers another request.
    #[error("it answers request {0}")]
    Sequence(u8),
    /// The device speaks another version.
    #[error("it has protocol version {0}, this is version {VERSION}")]
    Version(u8),
}

impl Request {
    fn command(&self) -> u8 {
        match self {
            Request::Status => 1,
            Request::Info => 2,
            Request::Cycles => 3,
            Request::Read { .. } => 4,
            Request::Write { .. } => 8,
            Request::Start { .. } => 9,
        }
    }

    /// Words of the reply, if there is no refusal.
    fn reply_words(&self) -> usize {
        match self {
            Request::Status | Request::Write { .. } | Request::Start { .. } => 0,
            Request::Info | Request::Cycles => 1,
            Request::Read { count, .. } => usize::from(*count),
        }
    }

    /// Bytes of the reply, if there is no refusal.
    pub fn reply_bytes(&self) -> usize {
        3 + 8 * self.reply_words() + 2
    }

    /// Whether it can be sent again when nobody knows what became of it.
    pub fn repeats(&self) -> bool {
        !matches!(self, Request::Start { .. })
    }

    /// The request as bytes.
    ///
    /// # Panics
    /// For a WRITE of more than [`MAX_WORDS`] words.
    pub fn encode(&self, sequence: u8) -> Vec<u8> {
        let (address, words) = match self {
            Request::Status | Request::Info | Request::Cycles => (0, &[][..]),
            Request::Read { address, .. } => (*address, &[][..]),
            Request::Write { address, words } => (*address, words.as_slice()),
            Request::Start { address, chunks } => (*address, &[u64::from(*chunks) << 16][..]),
        };
        let count = match self {
            Request::Info | Request::Cycles => 1,
            Request::Read { count, .. } => *count,
            _ => u8::try_from(words.len()).expect("a frame of at most 255 words"),
        };
        let mut bytes = vec![SYNC_REQUEST, sequence, self.command(), count];
        bytes.extend(address.to_le_bytes());
        seal(&mut bytes);
        if !words.is_empty() {
            bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
            seal(&mut bytes);
        }
        bytes
    }

    /// The reply that `bytes` are, which came for this request with `sequence`.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn decode(&self, sequence: u8, bytes: &[u8]) -> Result<Reply, Unreadable> {
        let &[sync, answered, status, ref rest @ ..] = bytes else {
            return Err(Unreadable::Short(bytes.len()));
        };
        if sync != SYNC_REPLY {
            return Err(Unreadable::Sync(sync));
        }
        let refusal = refusal(status);
        let words = if refusal.is_some() {
            0
        } else {
            self.reply_words()
        };
        let Some((data, _)) = rest
            .split_at_checked(8 * words)
            .filter(|(_, crc)| crc.len() >= 2)
        else {
            return Err(Unreadable::Short(bytes.len()));
        };
        if crc(&bytes[1..3 + 8 * words + 2]) != 0 {
            return Err(Unreadable::Crc);
        }
        if answered != sequence {
            return Err(Unreadable::Sequence(answered));
        }
        if status >> 4 != VERSION {
            return Err(Unreadable::Version(status >> 4));
        }
        let words = data
            .as_chunks::<8>()
            .0
            .iter()
            .map(|word| u64::from_le_bytes(*word))
            .collect();
        Ok(Reply {
            busy: status >> 2 & 1 == 1,
            fault: status >> 3 & 1 == 1,
            refusal,
            words,
        })
    }
}

/// What the third byte of a reply says about the request.
pub(super) fn refusal(status: u8) -> Option<Refusal> {
    [
        None,
        Some(Refusal::Crc),
        Some(Refusal::Bad),
        Some(Refusal::Refused),
    ][usize::from(status & 3)]
}

/// Appends the CRC over all but the first byte.
fn seal(bytes: &mut Vec<u8>) {
    let crc = crc(&bytes[1..]);
    bytes.extend(crc.to_le_bytes());
}

/// CRC-16/MCRF4XX; 0 over bytes that end with their own CRC.
fn crc(bytes: &[u8]) -> u16 {
    let step = |crc: u16, _| {
        if crc & 1 == 1 {
            crc >> 1 ^ 0x8408
        } else {
            crc >> 1
        }
    };
    bytes.iter().fold(0xffff, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), step)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_is_that_of_the_catalogue() {
        assert_eq!(crc(b"123456789"), 0x6f91);
    }

    #[test]
    fn requests_are_laid_out_as_documented() {
        let bytes = Request::Start {
            address: 0x1234,
            chunks: 0x0567,
        }
        .encode(7);
        assert_eq!(bytes[..6], [0xa5, 7, 9, 1, 0x34, 0x12]);
        assert_eq!(bytes[8..16], [0, 0, 0x67, 0x05, 0, 0, 0, 0]);
        assert_eq!(
            (bytes.len(), crc(&bytes[1..8]), crc(&bytes[1..])),
            (18, 0, 0)
        );
        assert_eq!(Request::Status.encode(0).len(), 8);
        assert_eq!(
            Request::Read {
                address: 5,
                count: 255
            }
            .encode(0)[3],
            255
        );
    }

    #[test]
    fn replies_are_read_and_damage_is_seen() {
        let request = Request::Read {
            address: 0,
            count: 1,
        };
        let mut bytes = vec![0x5a, 9, 0x14, 1, 2, 3, 4, 5, 6, 7, 8];
        seal(&mut bytes);
        assert_eq!(request.reply_bytes(), bytes.len());
        let reply = request.decode(9, &bytes).expect("a reply");
        assert_eq!(
            reply,
            Reply {
                busy: true,
                fault: false,
                refusal: None,
                words: vec![0x0807_0605_0403_0201]
            }
        );
        assert_eq!(request.decode(8, &bytes), Err(Unreadable::Sequence(9)));
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(request.decode(9, &damaged).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(request.decode(9, &bytes[..length]).is_err());
        }
        let mut refused = vec![0x5a, 9, 0x17];
        seal(&mut refused);
        assert_eq!(
            request.decode(9, &refused).expect("a reply").refusal,
            Some(Refusal::Refused)
        );
    }
}
