#!/usr/bin/env bash
# Packs target/dist/pintle into target/image/pintle-VERSION-linux-ARCH.tar: an OCI image layout that
# `ctr -n k8s.io images import` and `docker load` take. Needs no container engine and no registry; the
# same binary gives the same bytes. The Dockerfile builds one like it where there is an engine.
#
#   hack/image.sh path    prints where the archive is (or would be)
#   hack/image.sh         IMAGE=name (default: the one that `pintle manifest` writes);
#                         TARGET as for hack/binary.sh; SOURCE_DATE_EPOCH for `created`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. hack/oci.sh

target=${TARGET:-$(rustc -vV | sed -n 's/^host: //p')}
case $target in
x86_64-*) architecture=amd64 ;;
aarch64-*) architecture=arm64 ;;
*) printf 'image: no image architecture known for %s\n' "$target" >&2; exit 64 ;;
esac
version=$(cargo metadata --no-deps --format-version 1 | jq -r '.packages[] | select(.name == "pintle-cli").version')
name=${IMAGE:-pintle.dev/pintle}:$version
out=target/image/pintle-$version-linux-$architecture.tar
[[ ${1:-} != path ]] || { printf '%s\n' "$out"; exit; }

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p target/image
install -m 0755 target/dist/pintle "$root/pintle"
# Root by number: without a passwd file there are no names. Capabilities come from the manifest.
config=$(jq -cn --arg version "$version" '{
    User: "0:0", Entrypoint: ["/pintle"], WorkingDir: "/",
    Labels: {
        "org.opencontainers.image.title": "pintle",
        "org.opencontainers.image.description": "Highly available front door of a Kubernetes control plane",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.source": "https://github.com/pintle-dev/pintle",
        "org.opencontainers.image.version": $version
    }
}')
oci_image "$root" "$architecture" "$name" "$config" "$out"
printf 'image: %s: %s, %s bytes\n' "$out" "$name" "$(stat -c %s "$out")" >&2
