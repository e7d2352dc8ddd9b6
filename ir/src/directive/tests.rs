use expect_test::{Expect, expect};
use proptest::prelude::*;
use proptest::sample::select;

use super::select::matches;
use super::*;

fn words<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    select(all)
}

fn selector() -> impl Strategy<Value = Selector> {
    prop_oneof![
        ".{1,8}".prop_map(Selector::Name),
        "[a-z*?/.]{1,8}".prop_map(Selector::Name),
        words(Operator::ALL).prop_map(Selector::Operator),
        (words(Size::ALL), words(Relation::ALL), 1..1000u64)
            .prop_map(|(size, relation, value)| Selector::Size(size, relation, value)),
    ]
}

fn settings() -> impl Strategy<Value = Vec<Setting>> {
    let one = (0..9usize, 1..300usize, any::<bool>());
    prop::collection::vec(one, 1..5).prop_map(|list| {
        let mut settings: Vec<Setting> = Vec::new();
        for (key, n, flag) in list {
            let i = usize::from(flag);
            let setting = match key {
                0 => Setting::Rows(RowMapping::ALL[i]),
                1 => Setting::Dataflow(Dataflow::ALL[i]),
                2 => Setting::Order(Order::ALL[i]),
                3 => Setting::TileRows(n),
                4 => Setting::TileCols(n),
                5 => Setting::GroupTiles(n),
                6 => Setting::StripRows(n),
                7 => Setting::Inputs(Residency::ALL[i]),
                _ => Setting::Output(Residency::ALL[i]),
            };
            if settings.iter().all(|other| other.key() != setting.key()) {
                settings.push(setting);
            }
        }
        settings
    })
}

proptest! {
    #[test]
    fn text_reads_back(list in prop::collection::vec((prop::collection::vec(selector(), 1..4), settings()), 0..5)) {
        let list: Vec<Directive> =
            list.into_iter().map(|(selectors, settings)| Directive { selectors, settings }).collect();
        let text = print(&list);
        let back: Vec<Directive> =
            read("test", &text).unwrap().into_iter().map(|placed| placed.directive).collect();
        prop_assert_eq!(&back, &list);
        prop_assert_eq!(print(&back), text);
    }

    #[test]
    fn any_text_gives_an_error_at_most(text: String) {
        let _ = read("test", &text);
        let _ = read("test", &format!("directives 1\n{text}"));
        let _ = read_one("test", &text);
    }

    #[test]
    fn a_text_is_its_own_pattern(text in "[a-z/.]{0,8}", at in 0..9usize) {
        prop_assert!(matches(&text, &text));
        let at = at.min(text.len());
        let any = format!("{}*", &text[..at]);
        prop_assert!(matches(&any, &text));
    }
}

#[test]
fn patterns() {
    for (pattern, text, expected) in [
        ("conv*", "conv10", true),
        ("conv?", "conv10", false),
        ("*.conv?", "layer1.0.conv2", true),
        ("*", "", true),
        ("a*b*c", "axxbyyc", true),
        ("a*b*c", "axxbyy", false),
        ("", "a", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

#[track_caller]
fn check(text: &str, expected: Expect) {
    let shown = match read("file", text) {
        Ok(list) => list
            .iter()
            .map(|placed| {
                let places: Vec<String> = placed.settings.iter().map(ToString::to_string).collect();
                format!(
                    "{} @ {} [{}]\n",
                    placed.directive,
                    placed.place,
                    places.join(" ")
                )
            })
            .collect(),
        Err(error) => {
            let (offset, length) = (error.span.offset(), error.span.len());
            format!(
                "{error} `{}`\n{}\n",
                &text[offset..offset + length],
                error.help
            )
        }
    };
    expected.assert_eq(&shown);
}

#[test]
fn places_are_those_of_the_text() {
    check(
        "# a comment\ndirectives 1\n\nconv1: tile_rows=2, tile_cols=4 # why\n\"a:b\" \"é\" p<=7:\n\n  output=spills\n# between\n  rows=taps\n*: order=weights_outer\n",
        expect![[r#"
            conv1: tile_rows=2 tile_cols=4 @ file:4:1 [file:4:8 file:4:21]
            "a:b" é p<=7: output=spills rows=taps @ file:5:1 [file:7:3 file:9:3]
            *: order=weights_outer @ file:10:1 [file:10:4]
        "#]],
    );
}

#[test]
fn faults_are_named_with_what_to_do() {
    let of = |line: &str| format!("directives 1\n{line}\n");
    check(
        "",
        expect![[r#"
        a file of directives starts with `directives 1` ``
        write it as the first line
    "#]],
    );
    check(
        "directives 2\n",
        expect![[r#"
        a file of directives starts with `directives 1` `directives 2`
        write it as the first line
    "#]],
    );
    check(
        &of("conv1 tile_rows=2"),
        expect![[r#"
        a directive has a `:` between what it selects and what holds `conv1 tile_rows=2`
        write SELECTOR.. : KEY=VALUE.., such as `operator=conv r=3: tile_rows=4`
    "#]],
    );
    check(
        &of(": tile_rows=2"),
        expect![[r#"
        nothing before the `:` says which layers are meant; `*` is all of them `:`
        write SELECTOR.. : KEY=VALUE.., such as `operator=conv r=3: tile_rows=4`
    "#]],
    );
    check(
        &of("conv1:"),
        expect![[r#"
        nothing after the `:` says what holds `:`
        write SELECTOR.. : KEY=VALUE.., such as `operator=conv r=3: tile_rows=4`
    "#]],
    );
    check(
        &of("conv1: tile=2"),
        expect![[r#"
        `tile` is no part of a mapping `tile=2`
        the key is `rows`, `dataflow`, `order`, `tile_rows`, `tile_cols`, `group_tiles`, `strip_rows`, `inputs` or `output`
    "#]],
    );
    check(
        &of("conv1: tile_rows"),
        expect![[r#"
        `tile_rows` is not KEY=VALUE `tile_rows`
        the key is `rows`, `dataflow`, `order`, `tile_rows`, `tile_cols`, `group_tiles`, `strip_rows`, `inputs` or `output`
    "#]],
    );
    check(
        &of("conv1: tile_rows=+2"),
        expect![[r#"
        `+2` is not a whole number from 1 to 2^40 `tile_rows=+2`
        write digits only
    "#]],
    );
    check(
        &of("conv1: tile_rows=2 tile_rows=3"),
        expect![[r#"
        `tile_rows` is set twice `tile_rows=3`
        keep one of them
    "#]],
    );
    check(
        &of("conv1: dataflow=row_stationary"),
        expect![[r#"
        `row_stationary` is not known here `dataflow=row_stationary`
        it can be `weight_stationary` or `output_stationary`
    "#]],
    );
    check(
        &of("operator=gemm: rows=taps"),
        expect![[r#"
        `gemm` is not known here `operator=gemm`
        it can be `conv`, `depthwise`, `add`, `max_pool`, `average_pool`, `concat` or `table`
    "#]],
    );
    check(
        &of("k=3: rows=taps"),
        expect![[r#"
        `k` is nothing to select by `k=3`
        it can be `operator`, `p`, `q`, `m`, `c`, `r`, `s`, `groups`, `stride` or `dilation`
    "#]],
    );
    check(
        &of("\"conv: rows=taps"),
        expect![[r#"
        this is not a name in double quotes `"conv: rows=taps`
        end it with `"`; `\"` is a quote inside
    "#]],
    );
}
