//! Arrays as numpy writes them: every type that it makes by itself, and everything that is no image or no label.

use std::io::{Cursor, Write as _};
use std::path::Path;

use expect_test::{Expect, expect};
use ir::network::{HostType, HostValues};
use onnx::dataset::{Array, DatasetError, Npz};

/// The bytes of a `.npy` file.
fn npy(descr: &str, fortran: bool, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let order = if fortran { "True" } else { "False" };
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({sizes}), }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let n = u16::try_from(header.len()).unwrap();
    [
        b"\x93NUMPY\x01\x00",
        &n.to_le_bytes()[..],
        header.as_bytes(),
        data,
    ]
    .concat()
}

/// Reads a `.npy` file back through an archive.
fn read(npy: &[u8]) -> Result<Array, DatasetError> {
    let mut file = Cursor::new(Vec::new());
    let mut writer = npyz::npz::NpzWriter::new(&mut file);
    let zip = writer.zip_writer();
    zip.start_file("x.npy", Default::default()).unwrap();
    zip.write_all(npy).unwrap();
    zip.finish().unwrap();
    drop(writer);
    Npz::new(file, Path::new("x.npz"))?.array("x")
}

fn array(descr: &str, shape: &[usize], data: &[u8]) -> Array {
    read(&npy(descr, false, shape, data)).unwrap()
}

#[track_caller]
fn check(result: Result<impl std::fmt::Debug, DatasetError>, expected: Expect) {
    let text = match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{}: {error}", miette::Diagnostic::code(&error).unwrap()),
    };
    expected.assert_eq(&text);
}

#[test]
fn every_type_of_numbers_is_read() {
    let check = |descr: &str, data: &[u8], expected: &[f32]| {
        let array = array(descr, &[expected.len()], data);
        assert_eq!(array.to_f32(), expected, "{descr}");
    };
    check("|b1", &[0, 1], &[0.0, 1.0]);
    check("|u1", &[0, 255], &[0.0, 255.0]);
    check("|i1", &[1, 255], &[1.0, -1.0]);
    check("<i2", &(-300_i16).to_le_bytes(), &[-300.0]);
    check(">i2", &(-300_i16).to_be_bytes(), &[-300.0]);
    check("<u2", &60_000_u16.to_le_bytes(), &[60_000.0]);
    check("<i4", &(-70_000_i32).to_le_bytes(), &[-70_000.0]);
    check("<u4", &3_000_000_000_u32.to_le_bytes(), &[3e9]);
    check("<i8", &(-7_i64).to_le_bytes(), &[-7.0]);
    check(">u8", &7_u64.to_be_bytes(), &[7.0]);
    check("<f8", &(-0.25_f64).to_le_bytes(), &[-0.25]);
    check(">f4", &1.5_f32.to_be_bytes(), &[1.5]);
    // One, the least, the largest subnormal, the largest, minus infinity.
    let halves = [0x3c00_u16, 0x0001, 0x03ff, 0x7bff, 0xfc00];
    let bytes: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
    let least = 2.0_f32.powi(-24);
    check(
        "<f2",
        &bytes,
        &[1.0, least, 1023.0 * least, 65504.0, f32::NEG_INFINITY],
    );
}

#[test]
fn what_is_no_array_of_numbers_is_refused() {
    let of =
        |descr: &str, fortran, shape: &[usize], n| read(&npy(descr, fortran, shape, &vec![255; n]));
    check(
        of("|u1", true, &[2, 3], 6),
        expect!["dataset::array: array `x` is in Fortran order, which is not supported"],
    );
    check(
        of("<c8", false, &[1], 8),
        expect!["dataset::array: array `x` is of the type <c8, which is not supported"],
    );
    check(
        of("<U3", false, &[1], 12),
        expect!["dataset::array: array `x` is of the type <U3, which is not supported"],
    );
    check(
        of("<u8", false, &[1], 8),
        expect![[
            r#"dataset::array: array `x` is of the type uint64 with a value of 2^63 or more at 0, which is not supported"#
        ]],
    );
    check(
        of("|u1", false, &[7], 6),
        expect!["dataset::read: `x.npz` cannot be read: array `x` ends after 6 of 7 B"],
    );
    // A small file that claims much.
    check(
        of("<f8", false, &[1 << 20, 1 << 10], 9),
        expect!["dataset::size: array `x` of shape [1048576, 1024] takes more than 1073741824 B"],
    );
}

#[test]
fn a_header_costs_no_more_than_its_bytes() {
    let with_text = |text: &str, n_bytes: u32| {
        let start = b"\x93NUMPY\x02\x00".as_slice();
        read(&[start, &n_bytes.to_le_bytes(), text.as_bytes()].concat())
    };
    check(
        with_text("{", u32::MAX),
        expect![
            "dataset::read: `x.npz` cannot be read: array `x`: its header has 4294967295 B, the limit is 10000 B"
        ],
    );
    // A reader of any Python literal takes twice as long for each bracket.
    let nested = format!("{{'shape': {}1{}}}", "(".repeat(60), ",)".repeat(60));
    check(
        with_text(&nested, u32::try_from(nested.len()).unwrap()),
        expect![
            "dataset::read: `x.npz` cannot be read: array `x`: its shape is no list of sizes below 2^64"
        ],
    );
    let other = "{'descr': '|u1', 'shape': (1,), 'order': 7}";
    check(
        with_text(other, u32::try_from(other.len()).unwrap()),
        expect![
            "dataset::read: `x.npz` cannot be read: array `x`: its header has the entry `order`"
        ],
    );
}

#[test]
fn images_have_the_shape_of_the_input() {
    let check = |shape: &[usize], input: &[usize], expected| {
        let array = array("|u1", shape, &vec![0; shape.iter().product()]);
        assert_eq!(
            array.n_images(input, 4).ok(),
            expected,
            "{shape:?} for {input:?}"
        );
    };
    for (shape, expected) in [
        (&[1, 1, 8, 8][..], Some(1)),
        (&[1, 8, 8], Some(1)),
        (&[8, 8], Some(1)),
        (&[360, 1, 8, 8], Some(360)),
        (&[5, 8, 8], Some(5)),
        (&[8, 8, 8], Some(8)),
        (&[8, 8, 9], None),
        (&[9, 64], None),
        (&[64], None),
        (&[1, 5, 8, 8], None),
        (&[1, 4, 8, 8], Some(4)),
        (&[3, 4, 1, 8, 8], Some(12)),
        (&[0, 8, 8], None),
        (&[2, 3, 8, 8], None),
        (&[], None),
    ] {
        check(shape, &[1, 1, 8, 8], expected);
    }
    check(&[10], &[1, 10], Some(1));
    check(&[10, 10], &[1, 10], Some(10));
    check(&[7], &[1, 1], Some(7));
    check(&[4, 3, 2, 2], &[4, 3, 2, 2], Some(1));
    check(&[3, 2, 2], &[4, 3, 2, 2], None);
}

#[test]
fn a_value_is_kept_or_refused() {
    let of = |values: &[f64], host_type, divide| {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let array = array("<f8", &[values.len(), 1], &bytes);
        array.host_values(0..values.len(), host_type, divide)
    };
    use HostType::{Float32, Int8, Uint8};
    check(
        of(&[-128.0, 127.0], Int8, 1.0),
        expect!["Int8([-128, 127])"],
    );
    check(of(&[0.0, 255.0], Uint8, 1.0), expect!["Uint8([0, 255])"]);
    check(
        of(&[0.1, 16.0], Float32, 1.0),
        expect!["Float32([0.1, 16.0])"],
    );
    check(
        of(&[0.0, 128.0], Int8, 1.0),
        expect!["dataset::value: `x[1, 0]` is 128, which is no int8"],
    );
    check(
        of(&[0.5], Uint8, 1.0),
        expect!["dataset::value: `x[0, 0]` is 0.5, which is no uint8"],
    );
    check(
        of(&[0.0, f64::NAN], Float32, 1.0),
        expect!["dataset::value: `x[1, 0]` is NaN, which is no float32"],
    );
    check(
        of(&[f64::INFINITY], Float32, 1.0),
        expect!["dataset::value: `x[0, 0]` is inf, which is no float32"],
    );
    check(
        of(&[1e39], Float32, 1.0),
        expect![
            "dataset::value: `x[0, 0]` is 1000000000000000000000000000000000000000, which is no float32"
        ],
    );
    check(
        of(&[1e30], Float32, 1e-30),
        expect![
            "dataset::value: `x[0, 0]` is 1000000000000000000000000000000, which is no float32 when divided by 1e-30"
        ],
    );
    // Of int64, float32 holds all up to 2^24, and only some above.
    let int64 = |value: i64| {
        let array = array("<i8", &[1], &value.to_le_bytes());
        array.host_values(0..1, Float32, 255.0)
    };
    assert_eq!(int64(255).unwrap(), HostValues::Float32(vec![1.0]));
    check(
        int64((1 << 24) + 1),
        expect!["dataset::value: `x[0]` is 16777217, which is no float32"],
    );
    check(
        int64(i64::MAX),
        expect!["dataset::value: `x[0]` is 9223372036854775807, which is no float32"],
    );
}

#[test]
fn labels_are_classes_of_the_network_and_one_for_each_image() {
    let of = |shape: &[usize], labels: &[f32], images| {
        let bytes: Vec<u8> = labels.iter().flat_map(|v| v.to_le_bytes()).collect();
        array("<f4", shape, &bytes).labels(images, 10)
    };
    check(of(&[3], &[0.0, 9.0, 4.0], 3), expect!["[0, 9, 4]"]);
    check(of(&[3, 1], &[0.0, 9.0, 4.0], 3), expect!["[0, 9, 4]"]);
    check(
        of(&[2], &[0.0, -1.0], 2),
        expect!["dataset::label: `x[1]` is -1, which is none of the classes 0 to 9"],
    );
    check(
        of(&[2], &[0.0, 10.0], 2),
        expect!["dataset::label: `x[1]` is 10, which is none of the classes 0 to 9"],
    );
    check(
        of(&[2], &[3.5, 0.0], 2),
        expect!["dataset::label: `x[0]` is 3.5, which is none of the classes 0 to 9"],
    );
    check(
        of(&[1], &[f32::NAN], 1),
        expect!["dataset::label: `x[0]` is NaN, which is none of the classes 0 to 9"],
    );
    check(
        of(&[2], &[1.0, 2.0], 3),
        expect!["dataset::labels: array `x` has the shape [2], the number of images is 3"],
    );
    check(
        of(&[2], &[1.0, 2.0], 1),
        expect!["dataset::labels: array `x` has the shape [2], the number of images is 1"],
    );
    check(
        of(&[1, 2], &[1.0, 2.0], 2),
        expect!["dataset::labels: array `x` has the shape [1, 2], the number of images is 2"],
    );
}
