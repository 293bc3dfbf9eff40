# Builds and checks `elector`. `make` alone lists the targets.
#
# Cargo does the work. This file knows the order of the checks, and names missing tools before cargo fails
# for lack of them.

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/sh

CARGO ?= cargo

# Reports a missing tool, its purpose, and where to get it; for use in a recipe. $$(1), $$(2) and $$(3) are
# the arguments of `call`.
missing = { echo "make: $(1) is missing: $(2)." >&2; echo "      To get it: $(3)" >&2; exit 1; }

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: need-cargo need-cc ## build target/debug/elector
	$(CARGO) build --locked

.PHONY: release
release: need-cargo need-cc ## build target/release/elector, small and stripped
	$(CARGO) build --locked --release

# The image's version, name, and revision of the sources.
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
IMAGE ?= g1g1/multi-cluster-leader-election:$(VERSION)
REVISION = $(shell git describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null || echo unknown)
CREATED = $(shell TZ=UTC git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ 2>/dev/null)
IMAGE_ARGS = --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) \
  $(if $(CREATED),--build-arg CREATED=$(CREATED)) --tag $(IMAGE)
# Builder image for `make image-docker`, see hack/debian-builder.sh.
BUILDER ?=

.PHONY: static
static: ## build target/static/elector, which needs no system library
	hack/build-static.sh

.PHONY: image
image: static need-docker ## build the image IMAGE from target/static/elector
	cp LICENSE THIRD-PARTY-NOTICES target/static/
	docker build --file hack/Dockerfile.local $(IMAGE_ARGS) target/static

.PHONY: dist
dist: static man ## pack the release archive of target/static/elector, in target/dist
	hack/package.sh
	cd target/dist && sha256sum -- *.tar.gz >SHA256SUMS

.PHONY: sbom
sbom: need-cargo ## list the crates of the program for auditors (CycloneDX), in target/dist
	hack/sbom.sh

.PHONY: notices
notices: need-cargo need-cc ## write THIRD-PARTY-NOTICES from the crates' licences
	UPDATE_DOCS=1 $(CARGO) test --locked --test library -- notices::

.PHONY: image-docker
image-docker: need-docker ## build the image in Docker: make image-docker BUILDER=rust:1-alpine
	docker build $(if $(BUILDER),--build-arg BUILDER=$(BUILDER)) $(IMAGE_ARGS) .

.PHONY: push
push: need-docker ## push IMAGE, which make image has built, to its registry
	docker push $(IMAGE)

.PHONY: image-report
image-report: need-docker ## print the image's size, start-up time and memory
	@IMAGE=$(IMAGE) hack/image-report.sh

# If no engine answers, the script says so.
.PHONY: test-image
test-image: ## build the image, and test it with a Docker engine
	@if docker info >/dev/null 2>&1; then $(MAKE) --no-print-directory image; fi
	IMAGE=$(IMAGE) hack/test-image.sh

.PHONY: manifests
manifests: ## render hack/manifests and hack/examples, and the chart's generated files
	hack/render-chart.sh

.PHONY: test-chart
test-chart: ## build the image, and test the Helm chart, in a kind cluster if kind is installed
	@if docker info >/dev/null 2>&1; then $(MAKE) --no-print-directory image; fi
	IMAGE=$(IMAGE) hack/test-chart.sh

.PHONY: demo
demo: need-cargo need-cc ## watch three candidates elect a leader, without an account
	$(CARGO) run --locked --quiet -- demo

# Arguments of the scripts, see their --help. CLUSTERS: number of clusters. HOW: pod, graceful, cluster or
# partition.
CLUSTERS ?= 3
HOW ?= pod

.PHONY: deploy
deploy: ## create kind clusters that elect a leader: make deploy CLUSTERS=3
	hack/up.sh $(CLUSTERS)

.PHONY: kill-leader
kill-leader: ## end the leader and watch the takeover: make kill-leader HOW=cluster
	hack/kill-leader.sh --$(HOW)

.PHONY: status
status: ## show each cluster's view of the election
	hack/status.sh

.PHONY: undeploy
undeploy: ## remove the kind clusters
	hack/down.sh

# Three tiers: `make check` while editing, `make test` before a commit and in CI, `make test-all`
# before a release. Each target below also runs alone.

# Signals that the shell ignores, as under nohup or in the background, would be ignored by the tests'
# programs too.
DEFAULT_SIGNALS := $(shell env --default-signal=HUP,INT,QUIT true 2>/dev/null \
  && echo env --default-signal=HUP,INT,QUIT)

# Without MAKEFLAGS, because cargo would use the job slots of this make.
TEST = env -u MAKEFLAGS -u MFLAGS $(DEFAULT_SIGNALS) $(CARGO) test --locked

.PHONY: check
check: lint ## quick checks: lints, unit tests, conformance, gist lock, history rule, 200 runs
	$(TEST) --lib --bins
	$(TEST) --test library -- conformance:: dependency_rule:: notices:: wording::
	$(TEST) --test gist -- lock:: rule::
	$(SIMULATION) --bin soak -- 0 200 drawn

# Of the first two, one waits and one computes.
.PHONY: test
test: lint ## every test but the long ones
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps
	$(TEST) --no-run
	@$(MAKE) --no-print-directory --jobs=2 --keep-going \
	  test-processes test-simulation test-library test-gist test-guard test-bench test-scripts

.PHONY: test-all
test-all: test ## every test: also large simulations and models, chaos, real stores, image, kind, chart
	@$(MAKE) --no-print-directory --keep-going \
	  test-soak model test-chaos test-stores test-image test-kind test-chart

.PHONY: test-library
test-library: need-cargo need-cc
	@$(TEST) --no-fail-fast --lib --bins --test library
	@$(TEST) --doc

.PHONY: test-gist
test-gist: need-cargo need-cc
	@$(TEST) --no-fail-fast --test gist --test git

# More threads than processors, because these tests spend their time waiting.
.PHONY: test-processes
test-processes: need-cargo need-cc
	@$(TEST) --test processes --test lease --test object -- --test-threads=6

.PHONY: test-guard
test-guard: need-cargo need-cc
	@$(TEST) --test guard

.PHONY: test-bench
test-bench: need-cargo need-cc
	@$(TEST) --package bench

.PHONY: test-scripts
test-scripts: ## test the scripts in hack/ with stubs of docker, kind and kubectl
	@tests/scripts/run.sh

# Simulations and models, which share what they are built from.
.PHONY: test-simulation
test-simulation: need-cargo need-cc
	@$(TEST) --package simulation --package model --profile simulation

.PHONY: test-chaos
test-chaos: need-cargo need-cc ## one short round of `make chaos`
	$(TEST) --test chaos

# Another place to test than the servers of this machine: make test-stores STORE_LOCK=lease://hub/jobs/trial, with
# STORE_LOCK_TOKEN_FILE and STORE_LOCK_CA_FILE, or for s3:// with the variables AWS_*. Each test uses a separate
# Lease, branch or object beside it, and leaves it there.
STORE_LOCK ?=
STORE_LOCK_TOKEN_FILE ?=
STORE_LOCK_CA_FILE ?=

.PHONY: test-stores
test-stores: need-cargo need-cc ## test locks on real servers (25 minutes): kube-apiserver and etcd, git, object stores, client-go
	@test -n '$(STORE_LOCK)' || hack/install-stores.sh || echo 'make: the tests name what they skip' >&2
	STORE_LOCK='$(STORE_LOCK)' STORE_LOCK_TOKEN_FILE='$(STORE_LOCK_TOKEN_FILE)' \
	  STORE_LOCK_CA_FILE='$(STORE_LOCK_CA_FILE)' $(TEST) --test stores -- --nocapture --test-threads=1

.PHONY: test-kind
test-kind: ## test the demonstration on kind clusters, with a gist and with a Lease, if kind is installed
	@hack/test-kind.sh
	@hack/test-kind.sh --lock lease

# Runs of `make soak`: number of seeds, first seed, and kind (drawn, gist, cas, restored, restarting,
# racing, steered, switching, scarce, suspending, calm, shared, rewritten). A single seed is shown with every
# event.
SEEDS ?= 2000
FROM ?= 0
KIND ?= drawn
SIMULATION = $(CARGO) run --locked --quiet --package simulation --profile simulation

.PHONY: soak
soak: need-cargo need-cc ## simulate elections: make soak SEEDS=20000 FROM=0 KIND=racing
	$(SIMULATION) --bin soak -- $(FROM) $(SEEDS) $(KIND)

.PHONY: test-soak
test-soak: need-cargo need-cc ## the large simulations: 20,000 drawn runs, 20,000 steered, 17,000 of other kinds
	$(SIMULATION) --bin soak -- 0 20000 drawn
	$(SIMULATION) --bin soak -- 0 5000 racing
	$(SIMULATION) --bin soak -- 0 5000 cas
	$(SIMULATION) --bin soak -- 0 5000 restarting
	$(SIMULATION) --bin soak -- 0 20000 steered
	$(SIMULATION) --bin soak -- 0 2000 switching

# A single mutant: make mutants ONLY=name
ONLY ?=

.PHONY: mutants
mutants: need-cargo need-cc ## break each safety rule in a copy; a test must fail: make mutants ONLY=name
	tests/mutants/run.sh $(ONLY)

.PHONY: bench-simulation
bench-simulation: need-cargo need-cc ## candidate-hours per CPU second of the simulation
	$(SIMULATION) --bin soak -- 0 600 drawn | tail -1
	$(SIMULATION) --bin soak -- 0 300 calm | tail -1

# Measures the static program. If it cannot be built, it measures what can be, and says so.
GO ?= $(firstword $(wildcard /usr/local/go/bin/go) go)
BENCH = target/simulation/bench

.PHONY: bench-programs
bench-programs: need-cargo need-cc
	@hack/build-static.sh >/dev/null || { rm -f target/static/elector; \
	  echo 'make: the static program cannot be built here: target/release/elector is measured instead' >&2; }
	$(CARGO) build --locked --release
	$(CARGO) build --locked --package bench --profile simulation
	@rm -f target/bench/client-go; \
	if ! $(GO) version >/dev/null 2>&1; then \
	  echo 'make: Go is missing: client-go is LEFT OUT. To get it: https://go.dev/dl' >&2; \
	elif ! (cd bench/client-go && CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' \
	    -o ../../target/bench/client-go .); then \
	  echo 'make: bench/client-go cannot be built: client-go is LEFT OUT' >&2; \
	fi

.PHONY: bench
bench: bench-programs ## measure beside client-go (15 minutes); writes bench/results
	$(BENCH) all --image $(IMAGE)

.PHONY: bench-long
bench-long: bench-programs ## the same with more repetitions, for tighter results
	$(BENCH) all --long --image $(IMAGE)

.PHONY: bench-docs
bench-docs: ## put the tables of the last run into docs/performance.md
	$(CARGO) run --locked --quiet --package bench --profile simulation -- report --docs

.PHONY: model
model: need-cargo need-cc ## explore every state of the models, also the large ones (minutes)
	$(CARGO) run --locked --package model --profile simulation --bin explore

# With SEEDS=N, a quick trial: N drawn runs and only the small models.
.PHONY: docs-figures
docs-figures: need-cargo need-cc ## put the tests' figures into docs/testing.md (half an hour): SEEDS=200 to try
	tests/figures.sh $(if $(filter file,$(origin SEEDS)),,$(SEEDS) small)

# Runs the checks that `make test` applies to the corpus on inputs from a fuzzer. Failures go to
# fuzz/artifacts, interesting inputs to fuzz/target. Without a sanitizer it needs no nightly compiler, and
# this code has no unsafe. To use one: SANITIZER=address, with `rustup override set nightly` or
# RUSTC_BOOTSTRAP=1.
SECONDS ?= 60
SANITIZER ?= none
FUZZ_TARGETS ?= record gist_answer gist_protocol http_request settings gist_server_request state_file \
  git_answer git_pack git_object object_answer cloud_credentials
FUZZ_LIMITS := -max_len=8192 -timeout=25 -rss_limit_mb=2048

.PHONY: fuzz
fuzz: need-cargo need-cc need-cxx need-cargo-fuzz ## fuzz each target for SECONDS=60
	@set -e; for target in $(FUZZ_TARGETS); do \
	  found=fuzz/target/corpus/$$target; mkdir -p $$found; \
	  echo "fuzzing $$target for $(SECONDS) s"; \
	  $(CARGO) fuzz run --sanitizer $(SANITIZER) $$target $$found fuzz/corpus/$$target -- \
	    -max_total_time=$(SECONDS) $(FUZZ_LIMITS); \
	done

# Duration and seed of `make chaos`. Without a seed it draws one, and prints it.
MINUTES ?= 10
SEED ?=

.PHONY: chaos
chaos: need-cargo need-cc ## test real processes under faults: make chaos MINUTES=60 SEED=7
	CHAOS_MINUTES=$(MINUTES) CHAOS_SEED=$(SEED) $(CARGO) test --locked --test chaos -- \
	  --ignored --exact long_chaos_keeps_the_promises --nocapture

.PHONY: page-picture
page-picture: need-cargo need-cc ## draw docs/page.png, the picture of the page (with Chromium)
	$(CARGO) test --locked --test processes -- --ignored --exact page::picture::draw_picture_for_readme

.PHONY: page-pictures
page-pictures: need-cargo need-cc ## draw every state of the page into target/page (with Chromium)
	$(CARGO) test --locked --test processes -- --ignored --exact page::picture::draw_every_state

.PHONY: docs-configuration
docs-configuration: need-cargo need-cc ## write docs/configuration.md from the table of settings
	UPDATE_DOCS=1 $(CARGO) test --locked --lib -- commands::settings::document::

.PHONY: doc
doc: need-cargo need-cc ## build the documentation, in target/doc
	$(CARGO) doc --locked --no-deps

.PHONY: man
man: need-cargo need-cc ## write the manual pages, in target/man, and completions, in target/completions
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null || date +%s) \
	  $(CARGO) run --locked --quiet --example man_pages -- target/man
	@mkdir -p target/completions
	$(CARGO) run --locked --quiet -- completions bash >target/completions/elector.bash
	$(CARGO) run --locked --quiet -- completions zsh >target/completions/_elector
	$(CARGO) run --locked --quiet -- completions fish >target/completions/elector.fish

.PHONY: lint
lint: need-cargo need-rustfmt need-clippy need-cc ## check format and lints
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --test chaos --test stores -- -D warnings

.PHONY: fmt
fmt: need-cargo need-rustfmt ## format the code
	$(CARGO) fmt --all
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml

.PHONY: clean
clean: need-cargo ## remove build results
	$(CARGO) clean

.PHONY: need-cargo need-rustfmt need-clippy need-cargo-fuzz need-cc need-cxx need-docker
need-cargo:
	@command -v $(CARGO) >/dev/null 2>&1 \
	  || $(call missing,cargo,it builds and tests everything here,install Rust with rustup: https://rustup.rs)

need-rustfmt: need-cargo
	@$(CARGO) fmt --version >/dev/null 2>&1 \
	  || $(call missing,rustfmt,it formats the code and checks the format,rustup component add rustfmt)

need-clippy: need-cargo
	@$(CARGO) clippy --version >/dev/null 2>&1 \
	  || $(call missing,clippy,it checks the code for mistakes,rustup component add clippy)

need-cargo-fuzz: need-cargo
	@$(CARGO) fuzz --version >/dev/null 2>&1 \
	  || $(call missing,cargo-fuzz,it builds and runs the fuzz targets (a stable compiler will do),cargo install cargo-fuzz --locked)

need-cxx:
	@$${CXX:-c++} -fsyntax-only -include cstring -x c++ /dev/null >/dev/null 2>&1 \
	  || $(call missing,a C++ compiler ($${CXX:-c++}),the fuzzer's own library is written in C++,apt-get install g++; dnf install gcc-c++; apk add g++)

need-docker:
	@command -v docker >/dev/null 2>&1 \
	  || $(call missing,docker,it builds the image and runs it,apt-get install docker.io; https://docs.docker.com/engine/install)

# The C library's headers must exist too, which some systems package separately.
need-cc:
	@$${CC:-cc} -fsyntax-only -include string.h -x c /dev/null >/dev/null 2>&1 \
	  || $(call missing,a C compiler with its library's headers ($${CC:-cc}),the TLS library (ring) is partly written in C and Rust links with it,apt-get install gcc libc6-dev; dnf install gcc; apk add gcc musl-dev)
