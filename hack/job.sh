#!/usr/bin/env bash
# The jobs behind the Makefile, as stages (hack/stage.sh). Each target's one line is in the Makefile's
# help; the order here is: what fails fastest comes first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. hack/stage.sh

die() { printf '%s\n' "$*" >&2; exit "${code:-64}"; }

# --- read-only checks of the tree ---

static_checks() {
    stage formatting cargo fmt --all --check
    stage 'formatting of fuzz' cargo fmt --manifest-path fuzz/Cargo.toml --check
    stage layers hack/layers.sh
    stage tree hack/hygiene.sh
    stage lints cargo clippy --workspace --all-targets --locked -- -D warnings
}

# Its advisory database is a download of its own and changes without us: not part of a test of this tree.
dependencies() {
    stage 'cargo-deny' hack/setup.sh cargo-deny
    stage dependencies "$(hack/setup.sh path cargo-deny)" --locked check -A unused-wrapper bans licenses sources
}

# Fuzzing needs nightly and minutes; that the targets still fit the modules they include needs neither.
fuzz_targets() {
    stage 'fuzz targets' cargo check --manifest-path fuzz/Cargo.toml --locked
}

docs() {
    stage docs env RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked --document-private-items
}

# What the fault table and the kubeadm bed run.
KUBERNETES=(kube-apiserver etcd etcdctl kube-controller-manager kube-scheduler kubelet kubeadm kubectl helm)

# The rows in which a client sees something else with the balancer than without.
DIFFERENT_WITH_BALANCER=(sigterm api-killed api-term api-hung rolling-term rolling-kill rolling-hang)

# --- test beds: programs of the e2e crate around the binary that ships ---

need_root() {
    [[ $(id -u) == 0 ]] || code=69 die "make $job needs root: it makes network namespaces"
}

# A bed prints its own progress, and a judge that counts milliseconds shares its cores with nothing.
bed() { # PROGRAM ARGUMENTS...
    local program=$1
    shift
    stage "build $program" cargo build --locked -p pintle-e2e --bin "$program"
    export PINTLE_BIN=$PWD/target/dist/pintle
    STAGE_HEARTBEAT_SECONDS='' stage "$program" cargo run --quiet --locked -p pintle-e2e --bin "$program" -- "$@"
}

# Whole hosts with containerd and kubelet, and kubeadm; the image and the manifest that ship.
kubeadm_bed() { # ARGUMENTS...
    stage 'containerd and what kubelet calls' hack/setup.sh kubeadm
    local arguments=() name version
    stage 'control plane images' hack/k8s/images.sh
    for name in kubelet kubeadm kubectl helm; do arguments+=(--program "$(hack/tools.sh path "$name")"); done
    version=$(basename "$(dirname "${arguments[1]}")")
    mkdir -p target/e2e-kubeadm
    target/dist/pintle manifest static-pod --vip 172.30.0.10 --interface eth0 >target/e2e-kubeadm/pintle.yaml
    bed e2e-kubeadm "${arguments[@]}" --images "$(dirname "${arguments[1]}")/images" --image "$(hack/image.sh path)" \
        --manifest target/e2e-kubeadm/pintle.yaml --kubernetes "${version#k8s-}" "$@"
}

# --- jobs ---

check() {
    stages 7
    stage packages hack/setup.sh packages
    static_checks
    stage 'unit, property, simulation' hack/tests.sh quick
}

test_all() {
    need_root
    stages 29
    stage packages hack/setup.sh packages
    stage Go hack/tools.sh go "${KUBERNETES[@]}"
    static_checks
    stage 'controls of layers' hack/layers.sh --self-test
    stage 'controls of tree' hack/hygiene.sh --self-test
    stage 'unit, property, simulation' hack/tests.sh quick
    dependencies
    fuzz_targets
    docs
    stage 'control plane' hack/tools.sh "${KUBERNETES[@]}"
    stage chart hack/chart-test.sh
    stage namespaces hack/tests.sh netns
    stage binary hack/binary.sh
    stage image hack/image.sh
    stage 'image test' hack/image-test.sh
    bed e2e --once
    bed e2e --balanced --once "${DIFFERENT_WITH_BALANCER[@]/#/--row=}"
    kubeadm_bed --core
}

verify() {
    stages 10
    stage packages hack/setup.sh packages
    static_checks
    dependencies
    fuzz_targets
    docs
}

fix() {
    stages 3
    stage lints cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
    stage formatting cargo fmt --all
    stage 'formatting of fuzz' cargo fmt --manifest-path fuzz/Cargo.toml
}

demo() {
    need_root
    stage packages hack/setup.sh packages
    [[ -z ${REAL:-} ]] || stage 'control plane' hack/tools.sh
    stage binary hack/binary.sh
    bed demo ${REAL:+--real}
}

e2e() {
    need_root
    stage packages hack/setup.sh packages
    stage 'control plane' hack/tools.sh
    stage binary hack/binary.sh
    local which=(--runs "${RUNS:-10}" ${ROW:+--row "$ROW"} ${CONTROLS:+--controls} ${FRESH:+--fresh})
    # The whole table has both columns; of single rows, one is asked for.
    [[ ${BALANCED:-} == 1 ]] || bed e2e "${which[@]}"
    [[ ${BALANCED:-${ROW:+0}} == 0 ]] || bed e2e --balanced "${which[@]}"
    [[ -n ${CONTROLS:-}${ROW:-} ]] || stage 'table in README.md' cargo run --quiet --locked -p pintle-e2e --bin e2e -- --write-readme README.md
}

e2e_kubeadm() {
    need_root
    stage packages hack/setup.sh packages
    stage 'control plane' hack/tools.sh "${KUBERNETES[@]}"
    stage binary hack/binary.sh
    stage image hack/image.sh
    local steps=() step
    for step in ${STEP:-}; do steps+=(--step "$step"); done
    kubeadm_bed ${CORE:+--core} "${steps[@]}" ${KEEP:+--keep}
}

bench_idle() {
    need_root
    stage packages hack/setup.sh packages
    stage 'control plane' hack/tools.sh
    stage binary hack/binary.sh
    bed bench-idle
}

# The clients must not be what is measured: optimised, without the minutes of the profile that ships.
bench_balancer() {
    need_root
    stage packages hack/setup.sh packages balancers
    stage binary hack/binary.sh
    export PINTLE_BIN=$PWD/target/dist/pintle CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
    local run=(cargo run --quiet --release --locked -p pintle-e2e --bin bench-balancer --) row rows=()
    stage 'build bench-balancer' cargo build --release --locked -p pintle-e2e --bin bench-balancer
    for row in ${ROW:-}; do rows+=(--row "$row"); done
    if [[ -n ${CONTROLS:-} ]]; then
        STAGE_HEARTBEAT_SECONDS='' stage controls "${run[@]}" --controls
        return
    fi
    # A part of the table does not take the place of the whole.
    [[ -n ${QUICK:-}${ROW:-} ]] || rows+=(--write-docs docs/benchmarks.md)
    STAGE_HEARTBEAT_SECONDS='' stage bench-balancer "${run[@]}" --rounds "${RUNS:-5}" ${QUICK:+--quick} "${rows[@]}"
}

image() {
    stage packages hack/setup.sh packages
    stage binary hack/binary.sh
    stage image hack/image.sh
    stage 'image test' hack/image-test.sh
}

fuzz() {
    stage packages hack/setup.sh packages
    stage 'cargo-fuzz' hack/setup.sh cargo-fuzz
    stage fuzz hack/fuzz.sh
}

job=${1:-}
case $job in
check | verify | fix | demo | e2e | image | fuzz) "$job" ;;
test) test_all ;;
bench-idle) bench_idle ;;
bench-balancer) bench_balancer ;;
e2e-kubeadm) e2e_kubeadm ;;
*) die "hack/job.sh check|test|verify|fix|demo|e2e|e2e-kubeadm|bench-idle|bench-balancer|image|fuzz" ;;
esac
finish
