//! ONNX files and `.npz` archives changed at random places: each is refused with a code, or gives something sound.
//!
//! `TILEWRIGHT_FUZZ_INPUTS` is the number of files of each kind (2,000); `scripts/fuzz-inputs` runs more.

mod archive;
#[path = "../../../tests/src/fuzz.rs"]
#[allow(unreachable_pub, reason = "the file is that of another crate")]
mod fuzz;
mod network;
#[path = "../../src/proto.rs"]
#[allow(dead_code, reason = "the tests use a part of the schema")]
mod proto;
#[path = "../../../tests/src/random.rs"]
#[allow(unreachable_pub, reason = "the file is that of another crate")]
mod random;

use random::Random;

/// Changes one to four places of `bytes`: bits, bytes, numbers of two or four, an end, a part twice.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    const NUMBERS: [u32; 8] = [0, 1, 0x7f, 0x80, 0xffff, 0x1_0000, 0x7fff_ffff, 0xffff_ffff];
    for _ in 0..=random.index(4) {
        if bytes.is_empty() {
            break;
        }
        let at = random.index(bytes.len());
        match random.index(8) {
            0 => bytes.truncate(at),
            1 => bytes[at] = *random.of(&[0, 1, 0x7f, 0x80, 0xff]),
            2 => {
                let number = random.of(&NUMBERS).to_le_bytes();
                let n = 4.min(bytes.len() - at);
                bytes[at..at + n].copy_from_slice(&number[..n]);
            }
            3 => {
                let number = random.of(&NUMBERS).to_le_bytes();
                let n = 2.min(bytes.len() - at);
                bytes[at..at + n].copy_from_slice(&number[..n]);
            }
            4 => {
                let n = random.index(16).min(bytes.len() - at);
                let part = bytes[at..at + n].to_vec();
                let to = random.index(bytes.len());
                bytes.splice(to..to, part);
            }
            5 => drop(bytes.remove(at)),
            _ => bytes[at] ^= 1 << random.index(8),
        }
    }
}
