#!/usr/bin/env bash
# Installs what a job needs and this machine lacks, and says what it installs. Nothing goes into the
# checkout: Debian packages by apt-get (root only), Rust tools into a cache keyed by version.
#
#   hack/setup.sh packages         commands that scripts and tests call: ip, jq, cc, flock, …
#   hack/setup.sh go               Debian's Go, for hack/tools.sh where there is none
#   hack/setup.sh kubeadm          what a host of the kubeadm bed runs and calls: containerd, runc, nft, …
#   hack/setup.sh balancers        what bench-balancer compares with: HAProxy, nginx
#   hack/setup.sh cargo-deny       licences, duplicates and sources of dependencies
#   hack/setup.sh cargo-fuzz       fuzzing
#   hack/setup.sh path NAME        prints where the Rust tool NAME is (or would be); installs nothing
#
# PINTLE_TOOLS moves the cache.
set -euo pipefail

cache=${PINTLE_TOOLS:-${XDG_CACHE_HOME:-${HOME:?set PINTLE_TOOLS or HOME}/.cache}/pintle}

# The checkout's own pin, so that a tool is not built with whatever the machine's default is.
toolchain=$(sed -n 's/^channel = "\(.*\)"/\1/p' "$(dirname "${BASH_SOURCE[0]}")/../rust-toolchain.toml")

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 69; }

# A pin is the newest release that builds with the toolchain of rust-toolchain.toml.
version_of() { # NAME
    case $1 in
    cargo-deny) printf 0.20.2 ;;
    cargo-fuzz) printf 0.13.2 ;;
    *) die "unknown Rust tool '$1': one of cargo-deny cargo-fuzz" ;;
    esac
}

# By the Debian package that has each command. libc6-dev brings the static C library.
install_packages() {
    local missing=()
    lacking ip:iproute2 nft:nftables jq:jq cc:gcc c++:g++ flock:util-linux setpriv:util-linux unshare:util-linux \
        gzip:gzip readelf:binutils git:git iptables-restore:iptables
    command -v cc >/dev/null && [[ -f $(cc -print-file-name=libc.a) ]] || missing+=(libc6-dev)
    ((${#missing[@]} == 0)) || apt_install "${missing[@]}"
}

# No service of these is started by us: the bed starts its own, in namespaces.
install_kubeadm() {
    local missing=()
    lacking containerd:containerd runc:runc conntrack:conntrack nft:nftables iptables:iptables socat:socat \
        ethtool:ethtool mount:mount nsenter:util-linux pgrep:procps curl:curl cc:gcc
    [[ -x /usr/lib/cni/ptp ]] || missing+=(containernetworking-plugins)
    ((${#missing[@]} == 0)) || apt_install "${missing[@]}"
}

# Debian starts what it installs, and the bench starts its own, in namespaces: for as long as dpkg runs, a
# policy of ours says no (invoke-rc.d(8), deb-systemd-invoke(1)). A policy of the host's stays as it is.
install_balancers() {
    local missing=() policy=/usr/sbin/policy-rc.d
    lacking haproxy:haproxy nginx:nginx-light taskset:util-linux
    [[ -f /usr/lib/nginx/modules/ngx_stream_module.so ]] || missing+=(libnginx-mod-stream)
    ((${#missing[@]} == 0)) && return 0
    if [[ $(id -u) == 0 && ! -e $policy ]]; then
        # shellcheck disable=SC2064 # the path of this moment
        trap "rm -f '$policy'" EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    apt_install "${missing[@]}"
}

# Adds to $missing the packages whose command is not there.
lacking() { # COMMAND:PACKAGE...
    local pair
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
}

apt_install() { # PACKAGES...
    if ! command -v apt-get >/dev/null || [[ $(id -u) != 0 ]]; then
        die "install these packages first (this is not root on Debian, so it cannot): $*"
    fi
    say "installing Debian packages: $*"
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

install_tool() { # NAME
    local name=$1 version root started=$SECONDS
    version=$(version_of "$name")
    root=$cache/$name-$version
    [[ ! -x $root/bin/$name ]] || return 0
    mkdir -p "$root"
    # Two runs at once: the second waits, then finds the tool built.
    exec {lock}>"$root/.lock"
    flock -n "$lock" || { say "waiting for another run that builds $name"; flock "$lock"; }
    [[ ! -x $root/bin/$name ]] || return 0
    say "building $name $version into $root (once; some minutes)"
    # The caller's target directory and flags are about pintle, not about a tool; from /, a
    # .cargo/config.toml of the checkout does not count either. Little optimisation: it runs for a
    # second and would build for four minutes. {lock}>&-: a compiler that outlives an interrupted run
    # must not hold the lock.
    (cd / && env -u RUSTFLAGS -u CARGO_BUILD_TARGET CARGO_TARGET_DIR="$root/build" RUSTUP_TOOLCHAIN="$toolchain" \
        CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install --quiet --locked --version "$version" --root "$root" "$name") {lock}>&-
    rm -rf "$root/build"
    say "$name $version built in $((SECONDS - started)) s"
}

case ${1:-} in
path)
    version=$(version_of "${2:?usage: hack/setup.sh path NAME}")
    printf '%s\n' "$cache/$2-$version/bin/$2" ;;
'' | -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" ;;
*)
    for wanted in "$@"; do
        case $wanted in
        packages) install_packages ;;
        kubeadm) install_kubeadm ;;
        balancers) install_balancers ;;
        go) command -v go >/dev/null || apt_install golang-go ;;
        *) install_tool "$wanted" ;;
        esac
    done ;;
esac
