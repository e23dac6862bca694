#!/usr/bin/env bash
# Packs the control plane's programs (hack/tools.sh) as the images that kubeadm's static pods name, into
# the cache beside them: registry.k8s.io/kube-apiserver:v1.35.4 and so on, and a pause and a stream of our own. Needs
# no registry.
#
#   hack/k8s/images.sh        packs them and prints the directory with the images
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. hack/oci.sh

# kubeadm's, for this version: cmd/kubeadm/app/constants/constants.go.
etcd_tag=3.6.6-0
pause_tag=3.10.1

# Local and large: packing them smaller costs more than it saves.
export GZIP_LEVEL=0
kubelet=$(hack/tools.sh path kubelet)
version=$(basename "$(dirname "$kubelet")")
version=${version#k8s-}
out=$(dirname "$kubelet")/images
mkdir -p "$out"
architecture=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

image() { # NAME TAG PROGRAM
    local name=$1 tag=$2 program=$3
    [[ ! -e $out/$name-$tag.tar ]] || return 0
    rm -rf "$work/root"
    install -D -m 0755 "$program" "$work/root/usr/local/bin/$name"
    oci_image "$work/root" "$architecture" "registry.k8s.io/$name:$tag" \
        "$(jq -cn --arg name "$name" '{Env: ["PATH=/usr/local/bin"], Entrypoint: ["/usr/local/bin/" + $name]}')" \
        "$work/image.tar"
    mv "$work/image.tar" "$out/$name-$tag.tar"
}

for name in kube-apiserver kube-controller-manager kube-scheduler; do
    image "$name" "$version" "$(hack/tools.sh path "$name")"
done
image etcd "$etcd_tag" "$(hack/tools.sh path etcd)"
if [[ ! -e $out/pause-$pause_tag.tar ]]; then
    # Holds a pod's namespaces until it is told to end.
    printf '%s\n' '#include <signal.h>' '#include <unistd.h>' 'static void end(int s) { (void)s; _exit(0); }' \
        'int main(void) { signal(SIGTERM, end); signal(SIGINT, end); for (;;) pause(); }' >"$work/pause.c"
    cc -static -Os -s -o "$work/pause" "$work/pause.c"
    image pause "$pause_tag" "$work/pause"
fi
# Named by what it is made from: the cache must not keep a former one.
stream_tag=$(sha256sum hack/k8s/stream.c | cut -c 1-12)
if [[ ! -e $out/stream-$stream_tag.tar ]]; then
    rm -f "$out"/stream-*.tar
    cc -static -Os -s -o "$work/stream" hack/k8s/stream.c
    image stream "$stream_tag" "$work/stream"
fi
printf '%s\n' "$out"
