# Two commands do it: `make run` tries Snova out, `make test` checks all of it. The second time both work offline.

CARGO ?= cargo
BIN := target/release/snova
# Plain output in logs; colours only where somebody looks.
SAY = @printf '\n== %s\n'

.DEFAULT_GOAL := help
.PHONY: help run setup build test lint bench pages month crash-test soak test-camera ready

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## build, fetch and verify the models, start the demo
	$(SAY) 'starting the demo'
	$(BIN) demo

setup: build ## fetch, verify and convert ONNX Runtime, models and sample pictures into models/.cache
	$(SAY) 'setting up (about 190 MB are fetched the first time)'
	$(BIN) setup --tools run

build: ready ## build the release binary
	$(SAY) 'building (some minutes the first time)'
	$(CARGO) build --release --locked

test: ready ## set up what tests need, then format check, lints, tests, documentation
	$(SAY) 'setting up for tests (about 190 MB are fetched the first time)'
	$(CARGO) run --locked --quiet -- setup --tools test
	@tools/crm-clients.sh
	$(MAKE) --no-print-directory lint
	$(SAY) 'running the tests'
	$(CARGO) test --locked

lint: ready ## check format, lints and documentation; warnings are errors
	$(SAY) 'checking the format'
	$(CARGO) fmt --check
	$(SAY) 'checking the lints'
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(SAY) 'checking the documentation'
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps

bench: setup ## measure; keep dated runs in benches/runs/
	$(SAY) 'measuring'
	$(CARGO) bench --locked

pages: ready ## write the vendors' keys anew into firmware-config/snova.toml, as src/vendors states them
	SNOVA_WRITE_PAGES=1 cargo test --locked --lib the_documented_file_shows

crash-test: ready ## kill the program 40 times at each fake CRM and 300 times while it greets (some 45 minutes)
	$(SAY) 'setting up for tests'
	$(CARGO) run --locked --quiet -- setup --tools run
	$(SAY) 'killing'
	SNOVA_CRASH_KILLS=$${SNOVA_CRASH_KILLS:-40} $(CARGO) test --locked --test crash_run -- --nocapture
	SNOVA_CRASH_KILLS_AT_COUNTER=$${SNOVA_CRASH_KILLS_AT_COUNTER:-300} $(CARGO) test --locked --test crash_counter -- --nocapture

month: ready ## two stores at each fake CRM for a simulated month, 50 customers shared and 50 of each store (some 40 minutes)
	$(SAY) 'living a month'
	SNOVA_MONTH_DAYS=$${SNOVA_MONTH_DAYS:-30} SNOVA_MONTH_PEOPLE=$${SNOVA_MONTH_PEOPLE:-50} $(CARGO) test --locked --test crm_month -- --nocapture

soak: setup ## run the program for an hour (SNOVA_SOAK_MINUTES) and watch its memory; SNOVA_SOAK_KEEP=FILE keeps the run
	$(SAY) 'soaking'
	SNOVA_SOAK_MINUTES=$${SNOVA_SOAK_MINUTES:-60} $(CARGO) bench --locked --bench soak

test-camera: ready ## test USB cameras on a real driver in a virtual machine (optional; fetches about 150 MB)
	tests/camera-vm/run.sh

# What every build needs. Once it has run, plain `cargo build` works as well: .cargo/config.toml says where to look.
ready:
	@command -v $(CARGO) > /dev/null || { echo 'cargo is missing: install Rust 1.95 or newer with rustup' >&2; exit 1; }
	@tools/libclang.sh
