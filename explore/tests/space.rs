//! Spaces as text: the schema that their errors point to.

use expect_test::expect_file;

#[test]
fn schema() {
    expect_file!["../../docs/reference/space.schema.json"]
        .assert_eq(&explore::Space::json_schema());
}
