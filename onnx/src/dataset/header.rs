//! The header of an `.npy` file: a Python dictionary of three entries, in the form that numpy writes.
//!
//! It is read here because npyz takes any Python literal, in time that doubles with each bracket, and as much memory as
//! the file says that the header has.

use npyz::TypeStr;
use std::io::{Error, ErrorKind, Read, Result};

/// The longest header that is read, which is numpy's own limit.
const MAX_BYTES: usize = 10_000;

/// What the header says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    /// The type of the values, or none if they are records.
    pub(super) descr: Option<TypeStr>,
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<u64>,
}

impl Header {
    /// Reads the header, up to the first value.
    pub(super) fn read(reader: &mut impl Read) -> Result<Header> {
        let mut start = [0; 8];
        reader.read_exact(&mut start)?;
        let n_bytes = match start {
            [0x93, b'N', b'U', b'M', b'P', b'Y', 1, 0] => {
                let mut n_bytes = [0; 2];
                reader.read_exact(&mut n_bytes)?;
                usize::from(u16::from_le_bytes(n_bytes))
            }
            [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, 0] => {
                let mut n_bytes = [0; 4];
                reader.read_exact(&mut n_bytes)?;
                u32::from_le_bytes(n_bytes) as usize
            }
            _ => return Err(invalid("it is no `.npy` file of version 1, 2 or 3")),
        };
        if n_bytes > MAX_BYTES {
            return Err(invalid(format!(
                "its header has {n_bytes} B, the limit is {MAX_BYTES} B"
            )));
        }
        let mut bytes = vec![0; n_bytes];
        reader.read_exact(&mut bytes)?;
        let text = str::from_utf8(&bytes).map_err(|_| invalid("its header is no text"))?;
        Text(text).header()
    }
}

fn invalid(reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidData, reason.into())
}

/// What is left to be read of a header.
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    fn header(mut self) -> Result<Header> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.expect("{")?;
        while !self.eat("}") {
            let key = self.string()?;
            self.expect(":")?;
            match key {
                // Nothing else matters of records, which are refused.
                "descr" if self.eat("[") => {
                    return Ok(Header {
                        descr: None,
                        fortran_order: false,
                        shape: Vec::new(),
                    });
                }
                "descr" => {
                    let text = self.string()?;
                    let parsed = text
                        .parse::<TypeStr>()
                        .map_err(|_| invalid(format!("its header has the type `{text}`")))?;
                    descr = Some(parsed);
                }
                "fortran_order" => fortran_order = Some(self.truth()?),
                "shape" => shape = Some(self.shape()?),
                _ => return Err(invalid(format!("its header has the entry `{key}`"))),
            }
            if !self.eat(",") {
                self.expect("}")?;
                break;
            }
        }
        match (descr, fortran_order, shape) {
            (Some(descr), Some(fortran_order), Some(shape)) if self.0.trim().is_empty() => {
                Ok(Header {
                    descr: Some(descr),
                    fortran_order,
                    shape,
                })
            }
            _ => Err(invalid(
                "its header has not just `descr`, `fortran_order` and `shape`",
            )),
        }
    }

    /// Whether `token` comes next, which is read then.
    fn eat(&mut self, token: &str) -> bool {
        let rest = self.0.trim_start().strip_prefix(token);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, token: &str) -> Result<()> {
        if self.eat(token) {
            return Ok(());
        }
        let found: String = self.0.trim_start().chars().take(20).collect();
        Err(invalid(format!(
            "its header has `{found}` where `{token}` is expected"
        )))
    }

    fn string(&mut self) -> Result<&'a str> {
        let quote = if self.eat("\"") { '"' } else { '\'' };
        if quote == '\'' {
            self.expect("'")?;
        }
        let (text, rest) = self
            .0
            .split_once(quote)
            .ok_or_else(|| invalid("its header has a text without an end"))?;
        self.0 = rest;
        Ok(text)
    }

    fn truth(&mut self) -> Result<bool> {
        let is_true = self.eat("True");
        if !is_true {
            self.expect("False")?;
        }
        Ok(is_true)
    }

    fn shape(&mut self) -> Result<Vec<u64>> {
        let mut shape = Vec::new();
        self.expect("(")?;
        while !self.eat(")") {
            self.0 = self.0.trim_start();
            let n_digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
            let (digits, rest) = self.0.split_at(n_digits);
            self.0 = rest;
            let size = digits.parse();
            shape.push(size.map_err(|_| invalid("its shape is no list of sizes below 2^64"))?);
            // A shape of one size ends in a comma.
            if !self.eat(",") {
                self.expect(if shape.len() > 1 { ")" } else { "," })?;
                break;
            }
        }
        Ok(shape)
    }
}
