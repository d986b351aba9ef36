# syntax=docker/dockerfile:1
# examples/elect.rs as an image:
#
#     docker build --file examples/elect.Dockerfile --tag registry.example.com/elect:0.1.0 .
#
# For a program of your own, replace the sources that are copied and the name of the binary.
ARG BUILD_IMAGE=docker.io/library/rust:1.95.0-slim-bookworm
# glibc and nothing else; its user is 65532. Of the same Debian as the one above.
ARG RUN_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY benches benches
COPY crates crates
COPY examples examples
COPY src src
ARG TARGETARCH
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/build/target,sharing=locked \
    cargo build --release --locked --example elect --target-dir "target/${TARGETARCH}" && \
    cp "target/${TARGETARCH}/release/examples/elect" /elect

FROM ${RUN_IMAGE}
COPY --from=build /elect /elect
USER 65532:65532
ENTRYPOINT ["/elect"]
