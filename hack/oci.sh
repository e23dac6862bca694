# Sourced: packs a directory as an OCI image layout in a tar, which `ctr -n k8s.io images import` and
# `docker load` take. Needs no container engine and no registry; the same files give the same bytes.

# Nothing of this machine or moment: not the order of a directory, a time, an owner or a umask.
oci_pack() { # DIRECTORY TARBALL NAMES...
    tar --create --file "$2" --directory "$1" --format=ustar --sort=name --mtime="@${SOURCE_DATE_EPOCH:-0}" \
        --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX -- "${@:3}"
}

# Puts a file among the blobs and prints its descriptor.
oci_blob() { # LAYOUT FILE MEDIA_TYPE
    local digest
    digest=$(sha256sum "$2" | cut -d ' ' -f 1)
    cp "$2" "$1/blobs/sha256/$digest"
    jq -cn --arg type "$3" --arg digest "sha256:$digest" --argjson size "$(stat -c %s "$2")" \
        '{mediaType: $type, digest: $digest, size: $size}'
}

# Packs ROOT as the one layer of the image NAME:TAG. CONFIG is the `config` object of the image
# specification, as JSON; GZIP_LEVEL 0 leaves the layer as it is.
oci_image() { # ROOT ARCHITECTURE NAME:TAG CONFIG OUT
    local root=$1 architecture=$2 name=$3 config=$4 out=$5
    local work created diff_id layer type=application/vnd.oci.image.layer.v1.tar manifest
    created=$(date --utc --date="@${SOURCE_DATE_EPOCH:-0}" +%Y-%m-%dT%H:%M:%SZ)
    work=$(mktemp -d)
    mkdir -p "$work/layout/blobs/sha256"

    # shellcheck disable=SC2046 # names of our own, without spaces
    oci_pack "$root" "$work/layer.tar" $(ls -A "$root")
    diff_id=sha256:$(sha256sum "$work/layer.tar" | cut -d ' ' -f 1)
    layer=$work/layer.tar
    if ((${GZIP_LEVEL:-9} > 0)); then
        gzip "-${GZIP_LEVEL:-9}" --no-name "$layer"
        layer+=.gz type+=+gzip
    fi
    layer=$(oci_blob "$work/layout" "$layer" "$type")

    jq -cn --arg architecture "$architecture" --arg created "$created" --arg diff_id "$diff_id" \
        --arg by "hack/$(basename "$0")" --argjson config "$config" '{
        created: $created, architecture: $architecture, os: "linux", config: $config,
        rootfs: {type: "layers", diff_ids: [$diff_id]},
        history: [{created: $created, created_by: $by}]
    }' >"$work/config.json"
    config=$(oci_blob "$work/layout" "$work/config.json" application/vnd.oci.image.config.v1+json)

    jq -cn --argjson config "$config" --argjson layer "$layer" '{
        schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config: $config, layers: [$layer]
    }' >"$work/manifest.json"
    manifest=$(oci_blob "$work/layout" "$work/manifest.json" application/vnd.oci.image.manifest.v1+json)

    # containerd names the image by its own annotation, other tools by the tag in the OCI one.
    jq -cn --argjson manifest "$manifest" --arg name "$name" --arg architecture "$architecture" '{
        schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json",
        manifests: [$manifest + {
            platform: {architecture: $architecture, os: "linux"},
            annotations: {
                "io.containerd.image.name": $name,
                "org.opencontainers.image.ref.name": ($name | split(":") | last)
            }
        }]
    }' >"$work/layout/index.json"
    echo '{"imageLayoutVersion":"1.0.0"}' >"$work/layout/oci-layout"
    # What `docker load` read before it knew the OCI layout.
    jq -cn --argjson config "$config" --argjson layer "$layer" --arg name "$name" \
        'def path: "blobs/" + (.digest | sub(":"; "/")); [{Config: ($config | path), RepoTags: [$name], Layers: [$layer | path]}]' \
        >"$work/layout/manifest.json"

    oci_pack "$work/layout" "$work/image.tar" oci-layout index.json manifest.json blobs
    mv "$work/image.tar" "$out"
    rm -rf "$work"
}
