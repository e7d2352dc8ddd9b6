//! Spaces as text, and what an axis with one value means.

use expect_test::expect_file;
use explore::Space;

/// The schema that errors of space files point to.
#[test]
fn schema() {
    expect_file!["../../docs/reference/space.schema.json"].assert_eq(&Space::json_schema());
}

#[test]
fn one_value_is_an_axis() {
    let space = |axes: &str| {
        let text = format!("format = 1\nname = \"test\"\n{axes}");
        Space::read("space.toml", &text).expect("the space is legal")
    };
    assert!(space("").is_base());
    assert!(space("rows = []").is_base());
    let one = space("rows = [8]");
    assert_eq!((one.is_base(), one.len()), (false, 1));
}
