#!/usr/bin/env bash
# Checks the image that hack/image.sh left: digests, structure, size, that a second packing gives the
# same bytes, and that the program runs in an empty root. Where containerd is installed, a containerd
# of our own (own root, own socket) imports it too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

MAX_BYTES=12000000 # the issue's limit

die() { printf 'image-test: %s\n' "$*" >&2; exit 1; }
say() { printf 'image-test: %s\n' "$*" >&2; }

version=$(cargo metadata --no-deps --format-version 1 | jq -r '.packages[] | select(.name == "pintle-cli").version')
images=(target/image/pintle-"$version"-linux-*.tar)
[[ ${#images[@]} == 1 && -f ${images[0]} ]] || die "want one image of version $version in target/image, see make image"
image=${images[0]}

# Short: a socket's path has at most 107 bytes.
work=$(mktemp -d /tmp/pintle-image.XXXXXX)
daemon=
clean() {
    if [[ -n $daemon ]]; then
        kill -TERM "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
    fi
    ! mountpoint -q "$work/mount" || umount "$work/mount"
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

size=$(stat -c %s "$image")
((size <= MAX_BYTES)) || die "$image has $size bytes, more than $MAX_BYTES"

mkdir "$work/layout" "$work/root" "$work/mount"
tar --extract --file "$image" --directory "$work/layout"
cd "$work/layout"
for file in blobs/sha256/*; do
    [[ $(sha256sum "$file" | cut -d ' ' -f 1) == "$(basename "$file")" ]] || die "$file is not what its name says"
done

follow() { # DESCRIPTOR: prints the path of its blob, after checking that size and digest are true
    local path
    path=blobs/$(jq -r '.digest | sub(":"; "/")' <<<"$1")
    [[ -f $path && $(stat -c %s "$path") == "$(jq .size <<<"$1")" ]] || die "no blob of this size: $1"
    printf '%s' "$path"
}
must() { # FILE JQ_CONDITION
    jq -e "$2" "$1" >/dev/null || die "$1 does not satisfy: $2"
}
manifest=$(follow "$(jq -c '.manifests[0]' index.json)")
config=$(follow "$(jq -c .config "$manifest")")
layer=$(follow "$(jq -c '.layers[0]' "$manifest")")
must oci-layout '.imageLayoutVersion == "1.0.0"'
must index.json '(.manifests | length) == 1 and .manifests[0].platform.os == "linux"'
must index.json ".manifests[0].annotations[\"io.containerd.image.name\"] | endswith(\":$version\")"
must "$manifest" '(.layers | length) == 1'
must "$config" '.config.Entrypoint == ["/pintle"] and .config.User == "0:0" and .config.Cmd == null'
must "$config" ".architecture == $(jq '.manifests[0].platform.architecture' index.json)"
must "$config" ".rootfs.diff_ids == [\"sha256:$(gzip -dc "$layer" | sha256sum | cut -d ' ' -f 1)\"]"
must manifest.json ".[0].Config == \"$config\" and .[0].Layers == [\"$layer\"]"
[[ $(tar --list --file "$layer") == pintle ]] || die 'the layer holds more than /pintle'
[[ $(tar --list --verbose --numeric-owner --file "$layer") == '-rwxr-xr-x 0/0 '* ]] || die '/pintle is not 0/0 0755'
name=$(jq -r '.manifests[0].annotations["io.containerd.image.name"]' index.json)
cd - >/dev/null
tar --extract --file "$work/layout/$layer" --directory "$work/root"
say "structure, digests and size are right"

before=$(sha256sum "$image")
(umask 077 && IMAGE=${name%:*} hack/image.sh 2>/dev/null)
[[ $(sha256sum "$image") == "$before" ]] || die 'a second packing gave other bytes'
say "a second packing gave the same bytes"

if [[ $(id -u) == 0 && ${image##*-} == "$(dpkg --print-architecture 2>/dev/null || echo amd64).tar" ]]; then
    said=$(chroot "$work/root" /pintle version) || die "/pintle version fails in an empty root"
    grep -qF "$version" <<<"$said" || die "/pintle version says '$said', not $version"
    say "it runs in an empty root: $said"
    # Else kubelet looks for an image that nobody imported.
    [[ -n ${IMAGE:-} ]] || chroot "$work/root" /pintle manifest static-pod --vip 192.0.2.10 | grep -qE "image: \"?$name\"?\$" ||
        die "\`pintle manifest static-pod\` names another image than $name"
fi

if [[ $(id -u) == 0 ]] && command -v containerd >/dev/null && command -v ctr >/dev/null; then
    printf 'version = 2\nroot = "%s"\nstate = "%s"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "%s"\n' \
        "$work/containerd" "$work/state" "$work/sock" >"$work/config.toml"
    containerd --config "$work/config.toml" --log-level error 2>"$work/log" &
    daemon=$!
    ctr=(ctr --address "$work/sock" --namespace k8s.io)
    for _ in $(seq 100); do
        ! "${ctr[@]}" version >/dev/null 2>&1 || break
        kill -0 "$daemon" 2>/dev/null || die "containerd ended: $(tail -n 3 "$work/log")"
        sleep 0.1
    done
    "${ctr[@]}" images import --snapshotter native "$image" >/dev/null || die 'containerd refuses the image'
    [[ $("${ctr[@]}" images list --quiet) == "$name" ]] || die "containerd names it $("${ctr[@]}" images list --quiet), not $name"
    "${ctr[@]}" images check | grep -F "$name" | grep -qF 'complete' || die 'containerd says it is not complete'
    "${ctr[@]}" images mount --snapshotter native "$name" "$work/mount" >/dev/null || die 'containerd cannot unpack it'
    cmp "$work/mount/pintle" "$work/root/pintle" || die 'what containerd unpacks is not what was packed'
    umount "$work/mount"
    say "containerd $(containerd --version | cut -d ' ' -f 3) imported and unpacked it as $name"
else
    say "containerd is not installed: the import was not tried"
fi
