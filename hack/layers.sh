#!/usr/bin/env bash
# Checks who may depend on whom (hack/layers.jq), and that every crate takes the workspace's lints and
# forbids unsafe code. Prints every broken rule; changes nothing.
#
#   hack/layers.sh                 judges this workspace
#   hack/layers.sh --self-test     judges doctored copies, each of which must be refused
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# One reviewed module each may lift the workspace's deny(unsafe_code): socket queues, frames, namespaces.
MAY_DENY_ONLY='balancer net testkit'

metadata() { cargo metadata --format-version 1 --locked --filter-platform "$(rustc -vV | sed -n 's/^host: //p')"; }

judge_graph() { jq -r -f hack/layers.jq; }

# Every crate of a workspace directory: crates/* and e2e.
judge_sources() { # DIRECTORY
    local manifest crate root lint
    for manifest in "$1"/crates/*/Cargo.toml "$1"/e2e/Cargo.toml; do
        crate=$(basename "$(dirname "$manifest")")
        awk '/^\[/ { in_lints = ($0 == "[lints]") } in_lints && /^workspace *= *true/ { found = 1 } END { exit !found }' \
            "$manifest" || echo "pintle-$crate: Cargo.toml lacks [lints] workspace = true"
        root=$(dirname "$manifest")/src/lib.rs
        [[ -f $root ]] || continue
        lint='#!\[forbid\(unsafe_code\)\]'
        [[ " $MAY_DENY_ONLY " != *" $crate "* ]] || lint='#!\[(forbid|deny)\(unsafe_code\)\]'
        grep -Eq "^$lint" "$root" || echo "pintle-$crate: ${root#"$1"/} lacks #![forbid(unsafe_code)]"
    done
}

verdict() { # BROKEN_RULES
    [[ -z $1 ]] && return 0
    printf 'layers: %s\n' "$1" | sed '2,$s/^/layers: /' >&2
    return 1
}

# --- negative controls ---

failures=0

must_be_refused() { # WHAT EXPECTED_TEXT BROKEN_RULES
    if grep -qF -- "$2" <<<"$3"; then
        echo "layers: self-test: refused as it must be: $1" >&2
    else
        echo "layers: self-test: NOT refused: $1 (wanted '$2', got '${3:-nothing}')" >&2
        failures=$((failures + 1))
    fi
}

# Adds a dependency to a crate, both where it is declared and where it is resolved.
# shellcheck disable=SC2016 # jq's variables, not the shell's
doctor='def add($crate; $named; $kind):
    (.packages[] | select(.name == "pintle-" + $crate) | .id) as $id
    | (first(.packages[] | select(.name == $named) | .id) // ("doctored#" + $named)) as $dep
    | (if any(.packages[]; .id == $dep) then . else .packages += [{id: $dep, name: $named, dependencies: [], features: {}}] end)
    | (.packages[] | select(.id == $id) | .dependencies) += [{name: $named, kind: $kind}]
    | (.resolve.nodes[] | select(.id == $id) | .deps) += [{name: $named, pkg: $dep, dep_kinds: [{kind: $kind}]}];'

# shellcheck disable=SC2016 # jq's variables, not the shell's
self_test() {
    local real copy
    real=$(metadata)
    graph() { must_be_refused "$1" "$2" "$(jq "$doctor $3" <<<"$real" | judge_graph)"; }
    graph 'core with a runtime' 'pintle-core: is built from tokio' 'add("core"; "tokio"; null)'
    graph 'core with a runtime by way of another crate' 'pintle-core: is built from kube' \
        '.packages += [{id: "x", name: "x", dependencies: [], features: {}}] | .resolve.nodes += [{id: "x", deps: [{pkg: "k", dep_kinds: [{kind: null}]}]}]
         | .packages += [{id: "k", name: "kube", dependencies: [], features: {}}]
         | (.packages[] | select(.name == "pintle-core") | .id) as $id
         | (.resolve.nodes[] | select(.id == $id) | .deps) += [{pkg: "x", dep_kinds: [{kind: null}]}]'
    graph 'an adapter that names another' 'pintle-net: may not name pintle-cluster' 'add("net"; "pintle-cluster"; null)'
    graph 'an adapter whose tests name another' 'pintle-net: may not name pintle-probe' 'add("net"; "pintle-probe"; "dev")'
    graph 'an adapter that names the daemon' 'pintle-probe: may not name pintle-daemon' 'add("probe"; "pintle-daemon"; null)'
    graph 'sim with more than core' 'pintle-sim: may not name pintle-net' 'add("sim"; "pintle-net"; null)'
    graph 'testkit in what ships' 'pintle-daemon: ships pintle-testkit' 'add("daemon"; "pintle-testkit"; null)'
    graph 'rcgen in what ships' 'pintle-probe: ships rcgen' 'add("probe"; "rcgen"; "build")'
    graph 'kube outside cluster' 'pintle-daemon: may not name kube' 'add("daemon"; "kube"; null)'
    graph 'clap outside cli, in tests' 'pintle-daemon: may not name clap' 'add("daemon"; "clap"; "dev")'
    graph 'anyhow in a library' 'pintle-net: may not name anyhow' 'add("net"; "anyhow"; null)'
    graph 'a feature flag in core' 'pintle-core: has feature flags' '(.packages[] | select(.name == "pintle-core") | .features) = {x: []}'
    graph 'a crate without a place' 'pintle-extra: unknown crate' '(.packages[] | select(.name == "pintle-cli") | .name) = "pintle-extra"'

    copy=$(mktemp -d)
    # shellcheck disable=SC2064 # the directory of this moment
    trap "rm -rf '$copy'" EXIT
    mkdir "$copy/crates"
    local crate
    for crate in crates/core crates/net e2e; do
        mkdir -p "$copy/$crate/src"
        printf '[package]\nname = "x"\n\n[lints]\nworkspace = true\n' >"$copy/$crate/Cargo.toml"
        echo '#![forbid(unsafe_code)]' >"$copy/$crate/src/lib.rs"
    done
    echo '#![deny(unsafe_code)]' >"$copy/crates/net/src/lib.rs"
    local clean
    clean=$(judge_sources "$copy")
    [[ -z $clean ]] || { echo "layers: self-test: a clean tree is refused: $clean" >&2; failures=$((failures + 1)); }
    echo '#![deny(unsafe_code)]' >"$copy/crates/core/src/lib.rs"
    sed -i '/workspace/d' "$copy/e2e/Cargo.toml"
    : >"$copy/crates/net/src/lib.rs"
    must_be_refused 'core that only denies unsafe code' 'pintle-core: crates/core/src/lib.rs lacks' "$(judge_sources "$copy")"
    must_be_refused 'net without a word on unsafe code' 'pintle-net: crates/net/src/lib.rs lacks' "$(judge_sources "$copy")"
    must_be_refused 'a crate without the lints' 'pintle-e2e: Cargo.toml lacks' "$(judge_sources "$copy")"
    ((failures == 0))
}

case ${1:-} in
--self-test) self_test ;;
'')
    broken=$(metadata | judge_graph)
    broken+=${broken:+$'\n'}$(judge_sources .)
    verdict "${broken%$'\n'}"
    echo 'layers: every rule holds' >&2 ;;
*) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 64 ;;
esac
