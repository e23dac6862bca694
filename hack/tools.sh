#!/usr/bin/env bash
# Builds the real control plane's programs from the Go module proxy, once per version, into a
# cache outside the checkout. The pins are hack/{k8s,etcd,helm}/go.mod (+ go.sum).
#
#   hack/tools.sh                  what the tests need: kube-apiserver etcd etcdctl
#   hack/tools.sh NAME...          these programs: also kube-controller-manager kube-scheduler
#                                  kubeadm kubectl kubelet helm
#   hack/tools.sh go [NAME...]     only what building those takes: Go, nothing when they are built
#   hack/tools.sh path NAME        prints where NAME is (or would be); builds nothing
#
# Where there is no Go, hack/setup.sh installs Debian's. Where it is too old, as that may be, it fetches
# the one that the go.mod files ask for, from the module proxy into the cache.
#
# PINTLE_TOOLS moves the cache; PINTLE_TOOLS_JOBS limits the compilers that run at once.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${PINTLE_TOOLS:-${XDG_CACHE_HOME:-${HOME:?set PINTLE_TOOLS or HOME}/.cache}/pintle}
default_tools=(kube-apiserver etcd etcdctl)

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
    helm)
        module=helm package=helm.sh/helm/v3/cmd/helm
        target=$cache/helm-$(pinned helm helm.sh/helm/v3)/$1 ;;
    *) die "unknown program '$1': one of ${default_tools[*]} kube-controller-manager kube-scheduler kubeadm kubectl kubelet helm" ;;
    esac
}

# The newest that a module file asks for.
go_wanted() { awk '$1 == "go" { print $2 }' "$here"/*/go.mod | sort -V | tail -n 1; }

# Puts a Go that is new enough into PATH: the one that is there, or one of our own.
need_go() {
    local wanted own
    wanted=$(go_wanted)
    own=$cache/go-$wanted
    PATH=$PATH:/usr/local/go/bin
    ! command -v go >/dev/null || ! printf 'go%s\n%s\n' "$wanted" "$(go env GOVERSION)" | sort -VC || return 0
    [[ -x $own/bin/go ]] || fetch_go "$wanted" "$own"
    PATH=$own/bin:$PATH
}

# Go's releases are modules too, vouched for by its checksum database as any other. `go mod download`
# takes them since long before a go command switched to a newer one by itself (1.21).
fetch_go() { # VERSION DIRECTORY
    local fetched
    command -v go >/dev/null || "$here/setup.sh" go ||
        die "or install Go $1 or newer from https://go.dev/dl/ and put it in PATH"
    say "fetching Go $1 into $2 (once); $(command -v go) is $(go env GOVERSION)"
    fetched=$(cd / && GOWORK=off GOFLAGS= go mod download -json \
        "golang.org/toolchain@v0.0.1-go$1.linux-$(go env GOARCH)" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p') ||
        die "Go $1 cannot be fetched: install it or a newer one from https://go.dev/dl/ and put it in PATH"
    # A module has no executable files, and no go.mod below its own: what go does about that, in
    # cmd/go/internal/toolchain.
    mkdir -p "$cache"
    work=$2.partial.$$
    cp -r "$fetched" "$work"
    chmod -R u+w "$work"
    chmod +x "$work"/bin/* "$work"/pkg/tool/*/*
    find "$work/src" -name _go.mod -execdir mv {} go.mod \;
    # Another run may have been quicker.
    mv -T "$work" "$2" 2>/dev/null || [[ -x $2/bin/go ]]
    rm -rf "$work"
    work=
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

# Nothing is built without Go, and a job should say so in its first minute.
go_if_needed() { # NAME...
    local name
    for name in "$@"; do
        locate "$name"
        [[ -x $target ]] || { need_go; say "$(command -v go) is $(go env GOVERSION)"; return; }
    done
    say "all built: Go is not needed"
}

case ${1:-} in
path)
    [[ $# == 2 ]] || die "usage: hack/tools.sh path NAME"
    locate "$2"
    printf '%s\n' "$target" ;;
go)
    shift
    (($#)) || set -- "${default_tools[@]}"
    go_if_needed "$@" ;;
-h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" ;;
*)
    (($#)) || set -- "${default_tools[@]}"
    for name in "$@"; do locate "$name"; done # a typing error shows before a build
    for name in "$@"; do build "$name"; done ;;
esac
