# The image for who has a container engine. `make image` packs one without: the same file, user and entry
# point, and a version label besides, which here the tag alone says.
#
#   docker build -t pintle.dev/pintle:VERSION .
#
# The build stage makes a binary for the machine that it runs on, so `docker build --platform
# linux/arm64` gives an arm64 image by emulation. Across architectures without emulation: outside a
# container, with gcc-aarch64-linux-gnu installed and `rustup target add aarch64-unknown-linux-gnu`,
# `make image TARGET=aarch64-unknown-linux-gnu`.

FROM rust:1.95.0-bookworm AS build
# The toolchain of this image, without the formatter and linter that rust-toolchain.toml asks for.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /pintle
COPY . .
RUN hack/binary.sh

FROM scratch
COPY --from=build --chmod=0755 /pintle/target/dist/pintle /pintle
LABEL org.opencontainers.image.title="pintle" \
      org.opencontainers.image.description="Highly available front door of a Kubernetes control plane" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/pintle-dev/pintle"
# By number: without a passwd file there are no names. Capabilities come from the manifest.
USER 0:0
WORKDIR /
ENTRYPOINT ["/pintle"]
