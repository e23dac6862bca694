#!/usr/bin/env bash
# Builds the real control plane's programs from the Go module proxy, once per version, into a
# cache outside the checkout. The pins are hack/k8s/go.mod and hack/etcd/go.mod (+ go.sum).
#
#   hack/tools.sh                  what the tests need: kube-apiserver etcd etcdctl
#   hack/tools.sh NAME...          these programs: also kube-controller-manager kube-scheduler
#                                  kubeadm kubectl kubelet
#   hack/tools.sh path NAME        prints where NAME is (or would be); builds nothing
#
# PINTLE_TOOLS moves the cache; PINTLE_TOOLS_JOBS limits the compilers that run at once.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${PINTLE_TOOLS:-${XDG_CACHE_HOME:-${HOME:?set PINTLE_TOOLS or HOME}/.cache}/pintle}
default_tools=(kube-apiserver etcd etcdctl)
# k8s.io/kubernetes 1.35 says `go 1.25.0` in its go.mod.
go_minor_needed=25

say() { printf 'tools: %s\n' "$*" >&2; }
die() { say "$*"; exit 69; }

# The version that a module file pins, so that it is written down once.
pinned() { # MODULE_DIR MODULE
    awk -v m="$2" '{ sub(/^require /, "") } $1 == m && $2 ~ /^v/ { print $2; exit }' "$here/$1/go.mod"
}

# Sets $module (directory with the go.mod), $package and $target for a program.
locate() { # NAME
    case $1 in
    kube-apiserver | kube-controller-manager | kube-scheduler | kubeadm | kubectl | kubelet)
        module=k8s package=k8s.io/kubernetes/cmd/$1
        target=$cache/k8s-$(pinned k8s k8s.io/kubernetes)/$1 ;;
    etcd)
        module=etcd package=go.etcd.io/etcd/server/v3
        target=$cache/etcd-$(pinned etcd "$package")/$1 ;;
    etcdctl)
        module=etcd package=go.etcd.io/etcd/etcdctl/v3
        target=$cache/etcd-$(pinned etcd go.etcd.io/etcd/server/v3)/$1 ;;
    *) die "unknown program '$1': one of ${default_tools[*]} kube-controller-manager kube-scheduler kubeadm kubectl kubelet" ;;
    esac
}

need_go() {
    command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin
    command -v go >/dev/null ||
        die "Go 1.$go_minor_needed or newer is needed to build the control plane: install it from https://go.dev/dl/ and put it in PATH"
    local version minor
    version=$(go env GOVERSION)
    minor=${version#go1.}
    minor=${minor%%[!0-9]*}
    [[ ${minor:-0} -ge $go_minor_needed ]] ||
        die "Go 1.$go_minor_needed or newer is needed, but $(command -v go) is $version: install one from https://go.dev/dl/"
}

# Linker flags: kubeadm and kubectl compare versions and refuse binaries without one.
version_flags() { # MODULE
    [[ $1 == k8s ]] || return 0
    local version date flags= major minor prefix
    version=$(pinned k8s k8s.io/kubernetes)
    IFS=. read -r major minor _ <<<"${version#v}"
    # The module's own time, not the build's: the same pin gives the same bytes.
    date=$(go list -m -f '{{.Time.Format "2006-01-02T15:04:05Z"}}' k8s.io/kubernetes)
    for prefix in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        flags+=" -X $prefix.gitVersion=$version -X $prefix.gitMajor=$major -X $prefix.gitMinor=$minor"
        # The module proxy does not tell the commit.
        flags+=" -X $prefix.gitCommit=unknown -X $prefix.gitTreeState=clean -X $prefix.buildDate=$date"
    done
    printf '%s' "$flags"
}

child=
partial=
work=
cleanup() {
    trap - EXIT INT TERM HUP
    if [[ -n $child ]]; then
        # The whole group: no compiler goes on.
        kill -INT -- "-$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    fi
    [[ -z $partial ]] || rm -f "$partial"
    # An interrupted go leaves its work directory.
    [[ -z $work ]] || rm -rf "$work"
}
trap cleanup EXIT
trap 'cleanup; exit 130' INT
trap 'cleanup; exit 143' TERM HUP

build() { # NAME
    local name=$1 module package target
    locate "$name"
    if [[ -x $target ]]; then
        say "$name is there: $target"
        return
    fi
    need_go
    mkdir -p "$(dirname "$target")"
    # Two runs at once: the second waits, then finds the program built.
    exec {lock}>"$(dirname "$target")/.lock"
    flock -n "$lock" || { say "waiting for another run that builds into $(dirname "$target")"; flock "$lock"; }
    if [[ -x $target ]]; then
        say "$name is there: $target"
        exec {lock}>&-
        return
    fi
    local hint=
    [[ $name != kube-apiserver ]] || hint=" (about 5 minutes on 2 cores from empty caches)"
    say "building $name with $(go env GOVERSION) into $target$hint"
    partial=$target.partial.$$
    work=$(mktemp -d)
    cd "$here/$module"
    local flags started=$SECONDS
    flags=$(version_flags "$module")
    # GOWORK and -mod: a workspace file or GOFLAGS of the user's must not move the pins.
    # {lock}>&-: a compiler that outlives an interrupted run must not hold the lock.
    # set -m: a process group of its own, and interrupts not ignored as in other background jobs.
    set -m
    CGO_ENABLED=0 GOTMPDIR=$work GOWORK=off GOFLAGS=-mod=readonly nice -n 10 \
        go build -trimpath -buildvcs=false ${PINTLE_TOOLS_JOBS:+-p "$PINTLE_TOOLS_JOBS"} \
        -ldflags "-s -w$flags" -o "$partial" "$package" {lock}>&- &
    child=$!
    set +m
    while kill -0 "$child" 2>/dev/null; do
        sleep 1
        local elapsed=$((SECONDS - started))
        ((elapsed == 0 || elapsed % 15 != 0)) || say "$name: still building, $elapsed s"
    done
    wait "$child" || { child=; die "building $name failed"; }
    child=
    mv "$partial" "$target"
    rm -rf "$work"
    partial= work=
    exec {lock}>&-
    say "$name built in $((SECONDS - started)) s"
}

# The tests' own commands, by the Debian package that has each.
install_packages() {
    local missing=() pair
    for pair in ip:iproute2 setpriv:util-linux unshare:util-linux; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null && [[ $(id -u) == 0 ]] ||
        die "install these packages first (this is not root on Debian, so it cannot): ${missing[*]}"
    say "installing Debian packages: ${missing[*]}"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

case ${1:-} in
path)
    [[ $# == 2 ]] || die "usage: hack/tools.sh path NAME"
    locate "$2"
    printf '%s\n' "$target" ;;
-h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" ;;
*)
    install_packages
    (($#)) || set -- "${default_tools[@]}"
    for name in "$@"; do locate "$name"; done # a typing error shows before a build
    for name in "$@"; do build "$name"; done ;;
esac
