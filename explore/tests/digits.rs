//! Digits over a small space: the same result for any number of threads, every point with a reason or a result.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use explore::print::{Subject, from_jsonl, rejected, table, to_jsonl};
use explore::{Options, Outcome, Point, Space, front, run};
use ir::arch::Arch;
use ir::network::Network;

fn preset(name: &str) -> Arch {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/archs/{name}.toml"));
    ir::arch::read(
        name,
        &std::fs::read_to_string(path).expect("the preset is there"),
    )
    .expect("presets are legal")
}

fn digits() -> Network {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/networks/digits_int8.onnx");
    onnx::import(&path, &onnx::Options::default()).expect("digits is supported")
}

/// 48 points, some of them illegal, some without a program.
fn space() -> Space {
    let text = "format = 1\nname = \"test\"\nrows = [8, 16, 12]\ncols = [4, 8]\nreduction = [\"systolic\", \"dot\"]\n\
                dataflows = [[\"weight_stationary\"], [\"output_stationary\"]]\nweight_words = [64, 4096]\n";
    Space::read("space.toml", text).expect("the space is legal")
}

fn explore_with(threads: usize) -> Vec<Point> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("threads start");
    let (network, base) = (digits(), preset("edge"));
    pool.install(|| {
        run(
            &space(),
            &network,
            &base,
            &Options::default(),
            &|_| (),
            &|| false,
        )
    })
}

#[test]
fn any_number_of_threads_gives_the_same_lines() {
    let subject = |network_hash: &str, memory: &str| Subject {
        network_hash: network_hash.to_owned(),
        memory: memory.to_owned(),
    };
    let digits = subject("d1", "m1");
    let one = to_jsonl(&digits, &explore_with(1));
    assert_eq!(one, to_jsonl(&digits, &explore_with(3)));
    let read = from_jsonl(&digits, &one).expect("it reads back");
    assert_eq!(to_jsonl(&digits, &read), one);
    for (other, expected) in [
        (
            subject("d2", "m1"),
            "line 1 is about the network d1, this one is d2",
        ),
        (
            subject("d1", "m2"),
            "line 1 has the memory m1, this one is m2",
        ),
    ] {
        assert_eq!(
            from_jsonl(&other, &one).expect_err("another subject"),
            expected
        );
    }
}

#[test]
fn every_point_has_a_result_or_a_reason() {
    let points = explore_with(2);
    assert_eq!(points.len(), space().len());
    let counted: usize = rejected(&points).iter().map(|(_, _, n)| n).sum();
    let running = points.iter().filter(|p| p.metrics().is_some()).count();
    assert_eq!(counted + running, points.len());
    assert!(running > 0, "{}", table(&points));
    assert!(
        points
            .iter()
            .any(|p| matches!(p.outcome, Outcome::Illegal { .. })),
        "twelve rows are illegal"
    );
    assert!(
        !points
            .iter()
            .any(|p| matches!(p.outcome, Outcome::Refused { .. })),
        "{}",
        table(&points)
    );
    for point in points.iter().filter_map(Point::metrics) {
        assert!(point.utilisation > 0.0 && point.utilisation <= 1.0);
    }
    let text = table(&points);
    for i in front(&points) {
        assert!(text.contains(&points[i].name), "{text}");
    }
}

#[test]
fn progress_counts_and_stop_stops() {
    let calls = AtomicUsize::new(0);
    let (network, base) = (digits(), preset("edge"));
    let progress = |_| {
        calls.fetch_add(1, Ordering::Relaxed);
    };
    let points = run(
        &space(),
        &network,
        &base,
        &Options::default(),
        &progress,
        &|| true,
    );
    assert_eq!(calls.load(Ordering::Relaxed), space().len());
    assert!(points.iter().all(|p| p.outcome == Outcome::NotReached));
}

#[test]
fn the_text_form_reads_back_and_names_its_faults() {
    let standard = Space::standard();
    assert_eq!(
        Space::read("s", &standard.to_toml()).expect("it reads back"),
        standard
    );
    for text in [
        "format = 2\nname = \"x\"\n",
        "format = 1\nname = \"x\"\nrow = [1]\n",
        "format = 1\nname = \"x\"\nrows = [-1]\n",
    ] {
        assert!(Space::read("s", text).is_err(), "{text}");
    }
}

#[test]
fn points_are_all_different() {
    let (space, base) = (space(), preset("edge"));
    let names: std::collections::BTreeSet<String> = (0..space.len())
        .map(|i| space.coordinates(i, &base).name())
        .collect();
    assert_eq!(names.len(), space.len());
}
