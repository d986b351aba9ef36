# Every task by name. `make` alone lists them.
cluster := tests/cluster/cluster.sh
version := $(shell sed -n '0,/^version/s/^version = "\(.*\)"/\1/p' Cargo.toml)
IMAGE ?= election-operator:$(version)

.PHONY: help build image lint test hostile chaos bench demo generate cluster-up cluster-down

help: ## List the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build the release binary
	cargo build --release

image: ## Build the container image with docker or podman: make image IMAGE=registry.example.com/election-operator:TAG
	@tool=$$(command -v docker || command -v podman) || { echo "image: there is neither docker nor podman" >&2; exit 1; }; \
	"$$tool" build --tag "$(IMAGE)" --build-arg VERSION="$(version)" .

lint: ## Formatting, lints, the library alone, documentation, chart, dependencies
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	K8S_OPENAPI_ENABLED_VERSION=1.33 cargo clippy --no-default-features --lib -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet
	"$$(tests/cluster/tools.sh)"/helm lint --strict charts/election-operator
	@if command -v cargo-deny >/dev/null; then cargo deny check bans licenses sources; \
	else echo "lint: cargo-deny is not installed: dependencies were not checked"; fi

test: ## Everything: unit, property, model, CRD, chart, the real control plane, and a short chaos
	tests/cluster/with.sh sh -c 'cargo test && cargo test --test cluster -- --ignored --test-threads=1'
	CHAOS_SECONDS=40 tests/chaos/run.sh

hostile: ## A tenant with the role edit does its worst, on the real control plane; failovers of others in figures
	tests/cluster/with.sh cargo test --test cluster -- --include-ignored --test-threads=1 --nocapture tenant::

chaos: ## Faults of every kind for ten minutes (CHAOS_SECONDS), every revision judged
	tests/chaos/run.sh

bench: ## Failover and hand-over in milliseconds, and requests, on the real control plane
	cargo bench --bench failover

demo: ## A failover to look at, on the real control plane
	tests/cluster/demo.sh

generate: ## Rewrite the CRD, the chart's copy of it and the reference from the types
	UPDATE_GENERATED=1 cargo test --quiet --test crd

cluster-up: ## Start the control plane that the tests use, and leave it running
	$(cluster) up

cluster-down: ## Remove it
	$(cluster) down
