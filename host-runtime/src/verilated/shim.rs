//! The C++ text that gives a verilated model a plain C interface.
//!
//! Names and widths of ports and public memories are read from the headers that Verilator wrote, so the interface
//! follows the design and no list of ports is kept twice.

use std::fmt::Write;

/// The number that the shared library and this crate must agree on.
pub(super) const ABI: u32 = 1;

/// Prefix of all classes that Verilator writes.
pub(super) const PREFIX: &str = "Vcore";

/// One port or memory, as a line of the table in the shared library.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    name: String,
    /// C++ expression of its address, with `m` as the model.
    address: String,
    /// Bits of the port, or of one word of the memory.
    bits: u32,
    /// Words of a memory, 0 for a port.
    words: u32,
}

/// The shim for the model whose headers are `top_header` and `root_header`.
///
/// `sources` are the names of the C++ files that Verilator wrote; the shim includes them all, so that one run of the
/// compiler builds the whole model. Files named `Slow` hold what runs once, and are not worth the time to optimise them.
pub(super) fn text(top_header: &str, root_header: &str, sources: &[String]) -> String {
    let mut text = String::new();
    for source in sources {
        let include = format!("#include \"{source}\"\n");
        if source.ends_with("__Slow.cpp") {
            let _ = write!(
                text,
                "#pragma GCC push_options\n#pragma GCC optimize (\"O0\")\n{include}#pragma GCC pop_options\n"
            );
        } else {
            text += &include;
        }
    }
    let _ = write!(
        text,
        "#include <cstring>\n\
         #define EXPORT extern \"C\" __attribute__((visibility(\"default\")))\n\
         namespace {{\n\
         struct Instance {{ VerilatedContext context; {PREFIX} model; Instance() : context(), model(&context, \"\") {{}} }};\n\
         }}\n\
         EXPORT uint32_t tw_abi() {{ return {ABI}; }}\n\
         EXPORT void* tw_new() {{ return new Instance; }}\n\
         EXPORT void tw_delete(void* p) {{ Instance* i = static_cast<Instance*>(p); i->model.final(); delete i; }}\n\
         EXPORT void tw_eval(void* p) {{ static_cast<Instance*>(p)->model.eval(); }}\n\
         EXPORT void* tw_find(void* p, const char* name, uint32_t* bits, uint32_t* words, uint64_t* bytes) {{\n\
         \x20 auto& m = static_cast<Instance*>(p)->model;\n"
    );
    for Entry {
        name,
        address,
        bits,
        words,
    } in entries(top_header, root_header)
    {
        let _ = writeln!(
            text,
            "  if (!std::strcmp(name, \"{name}\")) {{ *bits = {bits}; *words = {words}; *bytes = sizeof({address}); return &({address}); }}"
        );
    }
    text + "  (void)m;\n  return nullptr;\n}\n"
}

fn entries(top_header: &str, root_header: &str) -> Vec<Entry> {
    let ports = top_header.lines().filter_map(port);
    let memories = root_header.lines().filter_map(memory);
    ports.chain(memories).collect()
}

/// `VL_OUTW(&counters_o,639,0,20);`
fn port(line: &str) -> Option<Entry> {
    let line = line.trim();
    let is_port = ["VL_IN", "VL_OUT"]
        .iter()
        .any(|start| line.starts_with(start));
    let arguments = line
        .split_once("(&")
        .filter(|_| is_port)?
        .1
        .strip_suffix(");")?;
    let mut arguments = arguments.split(',');
    let name = arguments.next()?.to_owned();
    let high: u32 = arguments.next()?.parse().ok()?;
    let low: u32 = arguments.next()?.parse().ok()?;
    Some(Entry {
        address: format!("m.{name}"),
        name,
        bits: high - low + 1,
        words: 0,
    })
}

/// `VlUnpacked<QData/*63:0*/, 16384> tilewright_core__DOT__u_memory__DOT__u_spram__DOT__mem;`
fn memory(line: &str) -> Option<Entry> {
    let (kind, name) = line
        .trim()
        .strip_prefix("VlUnpacked<")?
        .strip_suffix(';')?
        .split_once("> ")?;
    if name.contains(['<', ' ']) || kind.contains('<') && !kind.starts_with("VlWide<") {
        return None;
    }
    let (range, words) = kind.split_once("/*")?.1.split_once("*/, ")?;
    let (high, low) = range.split_once(':')?;
    let bits = high.parse::<u32>().ok()?.checked_sub(low.parse().ok()?)? + 1;
    let readable = name.replace("__DOT__", ".");
    Some(Entry {
        name: readable,
        address: format!("m.rootp->{name}"),
        bits,
        words: words.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_memories_are_found_in_headers() {
        let top = "    VL_IN8(&clk_i,0,0);\n    VL_OUTW(&counters_o,639,0,20);\n    Vcore___024root* const rootp;\n";
        let root = "    VL_IN8(clk_i,0,0);\n    VlUnpacked<QData/*63:0*/, 16384> tilewright_core__DOT__u_memory__DOT__u_spram__DOT__mem;\n    VlUnpacked<VlWide<4>/*127:0*/, 8> t__DOT__wide;\n";
        let found = entries(top, root);
        let summary: Vec<_> = found
            .iter()
            .map(|e| (e.name.as_str(), e.bits, e.words))
            .collect();
        assert_eq!(
            summary,
            [
                ("clk_i", 1, 0),
                ("counters_o", 640, 0),
                ("tilewright_core.u_memory.u_spram.mem", 64, 16384),
                ("t.wide", 128, 8)
            ]
        );
    }
}
