//! Lists of bytes as byte strings, where a format has them: a thousandth of the work of one number after the other.
//!
//! For `#[serde(with = "crate::bytes")]`. Deliberately not `serde_bytes`: it has no int8.

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserializer, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// A number of eight bits.
pub(crate) trait Byte: Copy {
    fn to_bits(self) -> u8;
    fn from_bits(bits: u8) -> Self;
}

impl Byte for u8 {
    fn to_bits(self) -> u8 {
        self
    }

    fn from_bits(bits: u8) -> u8 {
        bits
    }
}

impl Byte for i8 {
    fn to_bits(self) -> u8 {
        self.cast_unsigned()
    }

    fn from_bits(bits: u8) -> i8 {
        bits.cast_signed()
    }
}

/// Writes the bits of `values`.
pub(crate) fn serialize<B: Byte, S: Serializer>(
    values: &[B],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let bits: Vec<u8> = values.iter().map(|value| value.to_bits()).collect();
    serializer.serialize_bytes(&bits)
}

/// Reads what [`serialize`] wrote.
pub(crate) fn deserialize<'de, B: Byte, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<B>, D::Error> {
    deserializer.deserialize_byte_buf(Bytes(PhantomData))
}

struct Bytes<B>(PhantomData<B>);

impl<'de, B: Byte> Visitor<'de> for Bytes<B> {
    type Value = Vec<B>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a byte string")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<B>, E> {
        Ok(bytes.iter().map(|&bits| B::from_bits(bits)).collect())
    }

    /// Formats without byte strings, such as JSON, have the bits as numbers.
    fn visit_seq<A: SeqAccess<'de>>(self, mut bits: A) -> Result<Vec<B>, A::Error> {
        let mut values = Vec::new();
        while let Some(bits) = bits.next_element::<u8>()? {
            values.push(B::from_bits(bits));
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Both {
        #[serde(with = "crate::bytes")]
        signed: Vec<i8>,
        #[serde(with = "crate::bytes")]
        unsigned: Vec<u8>,
    }

    #[test]
    fn bytes_of_either_sign_come_back() {
        let both = Both {
            signed: (i8::MIN..=i8::MAX).collect(),
            unsigned: (0..=u8::MAX).collect(),
        };
        let text = serde_json::to_string(&both).expect("plain data");
        assert_eq!(
            serde_json::from_str::<Both>(&text).expect("as it was written"),
            both
        );
    }
}
