//! Archives: headers with other types, shapes, orders and lengths, data of other lengths, and bytes of the ZIP around.

use crate::random::Random;
use crate::{damage, fuzz};
use ir::network::HostType;
use miette::Diagnostic;
use onnx::dataset::{DatasetError, Npz};
use std::io::{Cursor, Write as _};
use std::path::Path;

const TYPES: [&str; 22] = [
    "'|u1'",
    "'|i1'",
    "'|b1'",
    "'<f4'",
    "'<f8'",
    "'>f4'",
    "'<f2'",
    "'<i8'",
    "'>i2'",
    "'<u4'",
    "'<u8'",
    "'|O'",
    "'<U3'",
    "'<c8'",
    "'<M8[ns]'",
    "'<f0'",
    "'<f18446744073709551616'",
    "'é1'",
    "[('a', '<f4'), ('b', '|u1', (2,))]",
    "''",
    "7",
    "None",
];

const SIZES: [&str; 14] = [
    "0",
    "1",
    "2",
    "3",
    "4",
    "6",
    "-1",
    "1.5",
    "1j",
    "0x10",
    "4294967296",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
];

const SIGNATURES: [&[u8]; 5] = [
    b"PK\x01\x02",
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"PK\x06\x06",
    b"PK\x06\x07",
];

/// The text of a header, right in most of its parts.
fn header(random: &mut Random) -> String {
    let descr = if random.chance(70) {
        *random.of(&TYPES[..11])
    } else {
        *random.of(&TYPES)
    };
    let order = *random.of(&[
        "False", "False", "False", "False", "False", "True", "None", "0",
    ]);
    let sizes: Vec<&str> = if random.chance(70) {
        vec!["2", "3"]
    } else {
        (0..random.index(5)).map(|_| *random.of(&SIZES)).collect()
    };
    let shape = match sizes.as_slice() {
        [one] => format!("({one},)"),
        all => format!("({})", all.join(", ")),
    };
    let mut text = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}");
    if random.chance(15) {
        change_text(&mut text, random);
    }
    while !(text.len() + 11).is_multiple_of(64) {
        text.push(' ');
    }
    text.push('\n');
    text
}

fn change_text(text: &mut String, random: &mut Random) {
    for _ in 0..=random.index(3) {
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        if places.is_empty() {
            break;
        }
        let (a, b) = (*random.of(&places), *random.of(&places));
        match random.index(5) {
            0 => text.replace_range(a.min(b)..a.max(b), ""),
            1 => text.insert_str(a, random.of(&ir::text::hostile()).as_str()),
            2 => {
                let open = *random.of(&["(", "[", "{", "((1,),(", "'", "\"\"\"", "-", "1_", "\\"]);
                text.insert_str(a, &open.repeat(1 + random.index(40)));
            }
            3 => {
                // Brackets around all.
                let n = 1 + random.index(40);
                let (open, close) = *random.of(&[("[", "]"), ("(", ",)"), ("{1:", "}")]);
                *text = format!("{}{text}{}", open.repeat(n), close.repeat(n));
            }
            _ => {
                let part = text[a.min(b)..a.max(b)].to_owned();
                text.insert_str(a, &part);
            }
        }
    }
}

/// A file of the archive: labels, or anything.
fn npy(random: &mut Random) -> Vec<u8> {
    let is_labels = random.chance(30);
    let text = if is_labels {
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }".to_owned()
    } else {
        header(random)
    };
    let mut bytes = b"\x93NUMPY".to_vec();
    let is_long = random.chance(20) || text.len() > 0xffff;
    bytes.extend(if is_long {
        [*random.of(&[2, 3]), 0]
    } else {
        [1, 0]
    });
    let mut n = text.len() as u32;
    if random.chance(5) {
        n = *random.of(&[0, 1, 10, 0xffff, 0x7fff_ffff, 0xffff_ffff]);
    }
    if is_long {
        bytes.extend(n.to_le_bytes());
    } else {
        bytes.extend((n as u16).to_le_bytes());
    }
    bytes.extend(text.bytes());
    let n_data = *random.of(&[0, 1, 6, 12, 24, 48, 48, 48, 48, 48, 48, 48]);
    let limit = if is_labels { 12 } else { 256 };
    bytes.extend((0..n_data).map(|_| random.below(limit) as u8));
    bytes
}

/// A seed's archive.
fn archive(random: &mut Random) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let mut writer = npyz::npz::NpzWriter::new(&mut file);
    let zip = writer.zip_writer();
    let mut names = vec!["x.npy".to_owned(), "y.npy".to_owned()];
    if random.chance(5) {
        names.push(random.of(&ir::text::hostile()).clone());
    }
    for name in names.iter().skip(random.index(2)) {
        let mut options: npyz::zip::write::FileOptions = Default::default();
        if random.chance(70) {
            options = options.compression_method(npyz::zip::CompressionMethod::Stored);
        }
        // The archive holds no longer names.
        let name: String = name.chars().take(100).collect();
        zip.start_file(name, options).unwrap();
        zip.write_all(&npy(random)).unwrap();
    }
    zip.finish().unwrap();
    drop(writer);
    let mut bytes = file.into_inner();
    if random.chance(20) {
        damage(&mut bytes, random);
    }
    if random.chance(20) {
        change_record(&mut bytes, random);
    }
    bytes
}

/// Changes a number of one of the records that the archive consists of.
fn change_record(bytes: &mut [u8], random: &mut Random) {
    let is_record = |at: &usize| {
        SIGNATURES
            .iter()
            .any(|magic| bytes[*at..].starts_with(magic))
    };
    let places: Vec<usize> = (0..bytes.len()).filter(is_record).collect();
    if places.is_empty() {
        return;
    }
    let at = *random.of(&places) + 4 + 2 * random.index(22);
    let number = random.of(&[
        0_u32,
        1,
        2,
        8,
        12,
        14,
        93,
        99,
        0x7fff,
        0xffff,
        0x7fff_ffff,
        0xffff_ffff,
    ]);
    let n = *random.of(&[2, 4]);
    if let Some(place) = bytes.get_mut(at..at + n) {
        place.copy_from_slice(&number.to_le_bytes()[..n]);
    }
}

/// Reads both arrays and all that becomes of them.
fn read(bytes: Vec<u8>) -> Result<&'static str, DatasetError> {
    let mut npz = Npz::new(Cursor::new(bytes), Path::new("a.npz"))?;
    let first = if npz.has("x") {
        npz.array("x")
    } else {
        npz.array("y")
    };
    let (x, y) = (first?, npz.array("y")?);
    assert_eq!(x.to_f32().len(), x.len());
    let n_images = x.n_images(&[1, 1, 2, 3], 1)?;
    for host_type in [
        HostType::Float32,
        HostType::Int8,
        HostType::Uint8,
        HostType::Int64,
    ] {
        let values = x.host_values(0..x.len(), host_type, 255.0);
        assert!(values.is_err() || !x.is_empty());
        if let Err(error) = values {
            assert!(!error.to_string().is_empty());
        }
    }
    y.labels(n_images, 10)?;
    Ok("labels read")
}

#[test]
fn changed_archives_are_refused_or_read() {
    let counts = fuzz::run("archives", |random, _| {
        let bytes = archive(random);
        let codes = |error: &DatasetError| error.code().map(|code| code.to_string());
        match read(bytes) {
            Ok(what) => Ok(what),
            // Both arrays were sound, and had no labels.
            Err(DatasetError::Labels { .. } | DatasetError::Label { .. }) => Ok("images read"),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                Err(codes(&error))
            }
        }
    });
    let (refused, taken, n) = (counts.n_refused(), counts.n_taken(), counts.executions);
    assert!(
        refused > n / 10 && taken > n / 20,
        "{refused} refused, {taken} taken"
    );
}
