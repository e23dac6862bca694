#!/usr/bin/env bash
# Builds every test once (one build, one set of features) and runs those that belong together.
#
#   hack/tests.sh quick [FILTER]     unit, property and simulation tests: need no root
#   hack/tests.sh netns [FILTER]     adapters and whole daemons in network namespaces: root
#
# FILTER is libtest's: only tests whose name contains it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The packages whose tests/ make network namespaces, and the whole daemon's. Everything else runs as any
# user.
NEEDS_ROOT='pintle-net pintle-testkit pintle-cli/whole'
# A namespace test measures tens of milliseconds: more of them at once than cores and they measure
# each other.
NETNS_THREADS=2

kind=${1:?usage: hack/tests.sh quick|netns [FILTER]}
filter=${2:-}
case $kind in
quick) ;;
netns) [[ $(id -u) == 0 ]] || { echo 'tests: network namespaces need root' >&2; exit 69; } ;;
*) echo "tests: unknown kind '$kind': quick or netns" >&2; exit 64 ;;
esac

# One line per test program: KIND PACKAGE TARGET DIRECTORY PROGRAM. `-n` and `inputs`: an error in the
# filter then ends jq with a failure; it must never leave a test program out in silence.
list=$(cargo test --workspace --locked --lib --bins --tests --no-run --message-format=json-render-diagnostics |
    jq -rn --arg root "$NEEDS_ROOT" 'inputs
        | select(.reason == "compiler-artifact" and .profile.test and .executable)
        | (.manifest_path | rtrimstr("/Cargo.toml")) as $dir
        | ("pintle-" + ($dir | split("/") | last)) as $package
        | [$package, $package + "/" + .target.name] as $names
        | (.target.kind | index("test")) as $is_integration
        | (if $is_integration and any($root | split(" ")[]; IN($names[])) then "netns" else "quick" end) as $kind
        | [$kind, $package, .target.kind[0] + ":" + .target.name, $dir, .executable] | @tsv')

# What `cargo test` sets: the package's directory, in two ways.
run_program() { # DIRECTORY PROGRAM ARGUMENTS...
    (cd "$1" && CARGO_MANIFEST_DIR=$1 exec "${@:2}") </dev/null
}

run=0
while IFS=$'\t' read -r its_kind package target directory program; do
    [[ $its_kind == "$kind" ]] || continue
    run=$((run + 1))
    printf '     Running %s %s\n' "$package" "$target" >&2
    arguments=(--quiet)
    [[ -z $filter ]] || arguments+=("$filter")
    if [[ $kind == quick ]]; then
        run_program "$directory" "$program" "${arguments[@]}" && continue
    else
        run_program "$directory" "$program" "${arguments[@]}" --test-threads "$NETNS_THREADS" && continue
        # These tests judge milliseconds on machines that lose whole tenths of a second to their
        # neighbours. What fails is tried once more, one test at a time, and it is said aloud.
        printf 'tests: %s %s failed, once more and one test at a time\n' "$package" "$target" >&2
        run_program "$directory" "$program" "${arguments[@]}" --test-threads 1 && continue
    fi
    printf 'tests: %s %s failed; alone: hack/tests.sh %s NAME\n' "$package" "$target" "$kind" >&2
    exit 1
done <<<"$list"
# Zero programs would be a silent pass.
((run)) || { echo "tests: no $kind test program was built" >&2; exit 70; }
printf 'tests: %s %s test programs passed\n' "$run" "$kind" >&2
