//! Writes the Design of an arch file to a folder: `emit ARCH.toml DIR [ice40]`.
#![expect(clippy::print_stdout, reason = "an example program")]
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let text = std::fs::read_to_string(&args[1]).expect("the arch file");
    let arch = ir::arch::read(&args[1], &text).expect("a legal arch");
    let tech = if args.len() > 3 {
        hw::Technology::Ice40
    } else {
        hw::Technology::Generic
    };
    let design = hw::generate(&arch, tech);
    std::fs::create_dir_all(&args[2]).expect("the folder");
    for (name, text) in &design.files {
        std::fs::write(format!("{}/{name}", args[2]), text).expect("a file");
        println!("{name}");
    }
}
