# `make demo` and `make test` need Debian 12 and Rust; they install the rest (see scripts/setup).

CARGO ?= cargo
# Where the tools from Python packages are, for every command below.
export TILEWRIGHT_VENV := $(CURDIR)/build/venv

.PHONY: help setup demo test lint bench bitstream conformance fuzz mutants verify

help:
	@echo "make setup      install yosys, nextpnr, verilator and what else the tests use"
	@echo "make demo       the whole main job on a bundled network, ending with a report"
	@echo "make test       every test, RTL lint and formal proof"
	@echo "make lint       formatting, clippy, documentation, licences, spelling"
	@echo "make bench      how fast simulator, RTL, mapper and commands are"
	@echo "make bitstream  the bitstream of nano with all its checks; figures to bench/results/"
	@echo "make conformance node tests of ONNX and files of exporters against the committed tables"
	@echo "make fuzz       thousands of random programs and networks on RTL and simulator"
	@echo "make mutants    faults in a copy of the tree: which of them the tests notice"
	@echo "make verify     all 360 images of digits on reference, simulator and RTL"

setup:
	@scripts/setup

demo: setup
	$(CARGO) run --release -- demo

test: setup
	scripts/lint-rtl
	scripts/formal
	$(CARGO) test --workspace

lint: setup
	$(CARGO) metadata --locked --format-version 1 >/dev/null
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --workspace --all-targets --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps
	scripts/lint-rtl
	@if command -v cargo-deny >/dev/null; then cargo-deny --all-features check; \
	else echo "skipped: cargo-deny is not installed (cargo install cargo-deny)"; fi
	@if command -v typos >/dev/null; then typos; \
	else echo "skipped: typos is not installed (cargo install typos-cli)"; fi

conformance: setup
	$(TILEWRIGHT_VENV)/bin/pip install --quiet -r tests/conformance/requirements.txt
	$(CARGO) build --release
	$(TILEWRIGHT_VENV)/bin/python tests/conformance/run.py --check
	$(TILEWRIGHT_VENV)/bin/python tests/conformance/exporters.py --check

fuzz: setup
	scripts/fuzz

bitstream: setup
	scripts/bitstream

bench: setup
	scripts/bench
	scripts/bench-commands

mutants: setup
	scripts/mutants

verify: setup
	scripts/verify-digits
