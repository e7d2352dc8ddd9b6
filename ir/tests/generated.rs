//! Generated files that are committed are not stale. `UPDATE_EXPECT=1 cargo test` writes them anew.

use expect_test::expect_file;

#[test]
fn instruction_set_page() {
    expect_file!["../../docs/reference/isa.md"].assert_eq(&ir::isa::reference_page());
}

#[test]
fn arch_schema() {
    expect_file!["../../docs/reference/arch.schema.json"].assert_eq(&ir::arch::json_schema());
}

/// Every preset prints and reads back, and is legal.
#[test]
fn presets() {
    for name in ["nano", "edge", "both"] {
        let path = format!(
            "{}/../examples/archs/{name}.toml",
            env!("CARGO_MANIFEST_DIR")
        );
        let arch = ir::arch::read(
            name,
            &std::fs::read_to_string(path).expect("the preset is there"),
        )
        .expect("it is legal");
        assert_eq!(arch.name, name);
        assert_eq!(
            ir::arch::read(name, &arch.to_toml()).expect("it reads back"),
            arch
        );
    }
}
