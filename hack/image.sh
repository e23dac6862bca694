#!/usr/bin/env bash
# Packs target/dist/pintle into target/image/pintle-VERSION-linux-ARCH.tar: an OCI image layout that
# `ctr -n k8s.io images import` and `docker load` take. Needs no container engine and no registry; the
# same binary gives the same bytes. The Dockerfile builds one like it where there is an engine.
#
#   hack/image.sh         IMAGE=name (default: the one that `pintle manifest` writes);
#                         TARGET as for hack/binary.sh; SOURCE_DATE_EPOCH for `created`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${TARGET:-$(rustc -vV | sed -n 's/^host: //p')}
case $target in
x86_64-*) architecture=amd64 ;;
aarch64-*) architecture=arm64 ;;
*) printf 'image: no image architecture known for %s\n' "$target" >&2; exit 64 ;;
esac
version=$(cargo metadata --no-deps --format-version 1 | jq -r '.packages[] | select(.name == "pintle-cli").version')
epoch=${SOURCE_DATE_EPOCH:-0}
created=$(date --utc --date="@$epoch" +%Y-%m-%dT%H:%M:%SZ)
name=${IMAGE:-pintle.dev/pintle}:$version
out=target/image/pintle-$version-linux-$architecture.tar

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root" "$work/layout/blobs/sha256" target/image

# Nothing of this machine or moment: not the order of a directory, a time, an owner or a umask.
pack() { # DIRECTORY TARBALL NAMES...
    tar --create --file "$2" --directory "$1" --format=ustar --sort=name --mtime="@$epoch" \
        --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX -- "${@:3}"
}

# Puts a file among the blobs and prints its descriptor.
blob() { # FILE MEDIA_TYPE
    local digest
    digest=$(sha256sum "$1" | cut -d ' ' -f 1)
    cp "$1" "$work/layout/blobs/sha256/$digest"
    jq -cn --arg type "$2" --arg digest "sha256:$digest" --argjson size "$(stat -c %s "$1")" \
        '{mediaType: $type, digest: $digest, size: $size}'
}

install -m 0755 target/dist/pintle "$work/root/pintle"
pack "$work/root" "$work/layer.tar" pintle
diff_id=sha256:$(sha256sum "$work/layer.tar" | cut -d ' ' -f 1)
gzip -9 --no-name "$work/layer.tar"
layer=$(blob "$work/layer.tar.gz" application/vnd.oci.image.layer.v1.tar+gzip)

# Root by number: without a passwd file there are no names. Capabilities come from the manifest.
jq -cn --arg architecture "$architecture" --arg created "$created" --arg version "$version" --arg diff_id "$diff_id" '{
    created: $created, architecture: $architecture, os: "linux",
    config: {
        User: "0:0", Entrypoint: ["/pintle"], WorkingDir: "/",
        Labels: {
            "org.opencontainers.image.title": "pintle",
            "org.opencontainers.image.description": "Highly available front door of a Kubernetes control plane",
            "org.opencontainers.image.licenses": "Apache-2.0",
            "org.opencontainers.image.source": "https://github.com/pintle-dev/pintle",
            "org.opencontainers.image.version": $version
        }
    },
    rootfs: {type: "layers", diff_ids: [$diff_id]},
    history: [{created: $created, created_by: "hack/image.sh"}]
}' >"$work/config.json"
config=$(blob "$work/config.json" application/vnd.oci.image.config.v1+json)

jq -cn --argjson config "$config" --argjson layer "$layer" '{
    schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config: $config, layers: [$layer]
}' >"$work/manifest.json"
manifest=$(blob "$work/manifest.json" application/vnd.oci.image.manifest.v1+json)

# containerd names the image by its own annotation, other tools by the tag in the OCI one.
jq -cn --argjson manifest "$manifest" --arg name "$name" --arg tag "$version" --arg architecture "$architecture" '{
    schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [$manifest + {
        platform: {architecture: $architecture, os: "linux"},
        annotations: {"io.containerd.image.name": $name, "org.opencontainers.image.ref.name": $tag}
    }]
}' >"$work/layout/index.json"
echo '{"imageLayoutVersion":"1.0.0"}' >"$work/layout/oci-layout"
# What `docker load` read before it knew the OCI layout.
jq -cn --argjson config "$config" --argjson layer "$layer" --arg name "$name" \
    'def path: "blobs/" + (.digest | sub(":"; "/")); [{Config: ($config | path), RepoTags: [$name], Layers: [$layer | path]}]' \
    >"$work/layout/manifest.json"

pack "$work/layout" "$work/image.tar" oci-layout index.json manifest.json blobs
mv "$work/image.tar" "$out"
printf 'image: %s: %s, %s bytes\n' "$out" "$name" "$(stat -c %s "$out")" >&2
