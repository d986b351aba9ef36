#!/usr/bin/env bash
# cargo, as cargo-auditable calls it. Cargo mixes the path of a compiler's wrapper into the names of
# symbols: the wrapper is found by its name here, so that no folder of this machine gets in.
unset CARGO
RUSTC_WORKSPACE_WRAPPER=cargo-auditable exec cargo "$@"
