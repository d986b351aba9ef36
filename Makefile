# Every task by name. `make` alone lists them.
cluster := tests/cluster/cluster.sh
dist := $(CURDIR)/dist

# Of a release: where it will be published, as ghcr.io/OWNER, and its tag, as v1.2.3 (docs/releasing.md).
export REGISTRY TAG SOURCE_URL
# A private key of cosign, to sign with: make sign COSIGN_KEY=cosign.key
export COSIGN_KEY
# The name of the image. Default: REGISTRY/election-operator:VERSION.
export IMAGE

# The sizes of `make test`; a plain `cargo test` takes a small share of them. To change one:
# make sim SIMULATION_SEEDS=20000
export SIMULATION_SEEDS ?= 2000
export ELECTOR_SEEDS ?= 2000
export MODEL_SCALE ?= 0

# Test binaries that take long, or need more than themselves. All others are unit tests.
slow := chaos cluster elect elector examples model nodes release simulation
folders := tests $(wildcard crates/*/tests)
tests := $(foreach folder,$(folders),$(basename $(wildcard $(folder)/*.rs)) $(patsubst %/main.rs,%,$(wildcard $(folder)/*/main.rs)))
unit := $(filter-out $(slow),$(notdir $(tests)))

.PHONY: help unit sim model cluster chaos nodes alerts gitops test lint build image generate demo hostile picture \
	bench bench-nodes cluster-up cluster-down nodes-up nodes-down cargo-deny release release-test reproducible \
	publish sign

help: ## List the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

unit: ## Unit tests, decisions, properties, CRD, layers: seconds
	cargo test --workspace --lib $(unit:%=--test %)

sim: ## Operators and electors with faults from 2,000 seeds (SIMULATION_SEEDS): minutes
	cargo test --workspace --test simulation --test elector

model: ## Every interleaving of the switch protocol within bounds (MODEL_SCALE): minutes
	cargo test --package planner --test model -- --nocapture

cluster: ## The operator on a real control plane, started and removed unless it is up
	tests/cluster/with.sh tests/cluster/run.sh

chaos: ## Faults of every kind for ten minutes (CHAOS_SECONDS, CHAOS_SEED), every revision judged
	tests/chaos/run.sh

alerts: ## Each alert of the chart, firing and not firing, by promtool (PROMTOOL)
	cargo test --test metrics -- --ignored promtool

gitops: ## What kstatus, Argo CD and Flux make of a group, by their own libraries; needs Go
	cargo test --test gitops -- --ignored

test: ## Everything: all of the above, documentation tests, a short chaos, and real nodes where they can be
	cargo test
	cargo test --test release -- --include-ignored --skip registry::
	tests/cluster/with.sh tests/cluster/run.sh
	CHAOS_SECONDS=40 tests/chaos/run.sh
	ELECTION_OPERATOR_NODES_OPTIONAL=1 tests/nodes/with.sh cargo test --test nodes -- \
		--ignored --exact failover::routed_leader_is_switched_and_deleted

lint: ## Formatting, lints, the library alone, documentation, chart, dependencies
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --package planner --package lease-elector --all-targets -- -D warnings
	# Alone it has no TLS provider, and no version of the API: the oldest and the newest there is.
	versions=$$(cargo metadata --format-version 1 | grep -o '"v1_[0-9]*":\[\]' | \
		sed 's/.*v1_\([0-9]*\).*/1.\1/' | sort -uV | sed -n '1p;$$p') && \
	for version in $${versions:?k8s-openapi names no version}; do \
		K8S_OPENAPI_ENABLED_VERSION=$$version cargo check --package lease-elector || exit 1; \
	done
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet
	"$$(tests/cluster/tools.sh)"/helm lint --strict charts/election-operator
	@if ! command -v cargo-deny >/dev/null; then \
		echo "lint: cargo-deny is not installed: dependencies were not checked"; \
	elif timeout 120 cargo deny fetch db 2>/dev/null; then \
		cargo deny check; \
	else \
		echo "lint: the advisory database cannot be reached: advisories were not checked"; \
		cargo deny check bans licenses sources; \
	fi

build: ## Build the release binary
	cargo build --release --bin election-operator

image: ## The image of both platforms in dist/, named IMAGE, without a container engine
	release/dist.sh image "$(dist)"

release: ## All that a release has, in dist/ (REGISTRY, TAG): docs/releasing.md
	release/dist.sh all "$(dist)"

release-test: ## What is in dist/, pushed to a registry on this machine and read back
	cargo test --test release -- --include-ignored

reproducible: ## Build the programs once more, from a copy in another folder: the bytes must be those of dist/
	release/reproducible.sh "$(dist)"

publish: ## Push image and chart of dist/ to REGISTRY
	@release/publish.sh "$(REGISTRY)" "$(dist)"

sign: ## Sign image and chart in REGISTRY, and the checksums in dist/, with cosign (COSIGN_KEY)
	release/sign.sh "$(REGISTRY)" "$(dist)"

generate: ## Rewrite the CRD, the reference and the elector's public surface from the types
	UPDATE_GENERATED=1 cargo test --quiet --workspace --test crd --test surface

demo: ## A failover to look at, on the real control plane
	tests/cluster/demo.sh

hostile: ## A tenant with the role edit does its worst, on the real control plane
	tests/cluster/with.sh cargo test --release --test cluster -- \
		--include-ignored --test-threads=1 --nocapture tenant::

picture: ## Draw the dashboard's picture in docs/ from a Prometheus that scrapes (Debian: prometheus): six minutes
	cargo build --bin election-operator
	tests/cluster/with.sh docs/pictures/dashboard.sh

bench: ## Failover and hand-over in milliseconds, and requests, on the real control plane
	cargo bench --bench failover

nodes: ## Chart, examples and failovers on real nodes, seen by a client (docs/nodes.md)
	tests/nodes/with.sh cargo test --test nodes -- --ignored --test-threads=1 --skip bench

bench-nodes: ## From the cause to the first answer of the new leader, on real nodes
	cargo build --release --bin election-operator
	ELECTION_OPERATOR_NODES_BINARY="$(CURDIR)/target/release/election-operator" \
	ELECTION_OPERATOR_NODES_PICTURE="$(CURDIR)/target/bench-nodes.svg" \
		tests/nodes/with.sh cargo test --test nodes bench -- --ignored --nocapture

nodes-up: ## Start a cluster of real nodes (Linux, root), and leave it running
	tests/nodes/nodes.sh up

nodes-down: ## Remove it
	tests/nodes/nodes.sh down

cluster-up: ## Start the control plane that the tests use, and leave it running
	$(cluster) up

cluster-down: ## Remove it
	$(cluster) down

cargo-deny: ## Install cargo-deny, with which `make lint` checks dependencies
	command -v cargo-deny || cargo install --locked cargo-deny
