# syntax=docker/dockerfile:1
# The operator as an image: `make image`. Both bases can be taken from a mirror, with --build-arg.
ARG BUILD_IMAGE=docker.io/library/rust:1.95.0-slim-bookworm
# glibc and nothing else; its user is 65532. Of the same Debian as the one above.
ARG RUN_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY benches benches
COPY crates crates
COPY src src
ARG TARGETARCH
# The caches outlive this build: a change of the source compiles this crate only.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/build/target,sharing=locked \
    cargo build --release --locked --bin election-operator --target-dir "target/${TARGETARCH}" && \
    cp "target/${TARGETARCH}/release/election-operator" /election-operator

FROM ${RUN_IMAGE}
ARG VERSION=unknown
LABEL org.opencontainers.image.title="election-operator" \
      org.opencontainers.image.description="Elects one pod of a group, holds its Lease and labels it as the leader" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /election-operator /election-operator
COPY LICENSE /LICENSE
USER 65532:65532
ENTRYPOINT ["/election-operator"]
CMD ["run"]
