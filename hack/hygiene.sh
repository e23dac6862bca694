#!/usr/bin/env bash
# Checks what lies in the tree: sizes, names, shell syntax, paths of someone's machine, debts without
# a topic.
# Prints every finding; changes nothing.
#
#   hack/hygiene.sh                judges every file that is tracked or could be
#   hack/hygiene.sh --self-test    judges a tree of bad files, each of which must be found
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C # the same letters everywhere

RS_LINES_HARD=600 # beyond it nobody reads a file whole
TEST_LINES_HARD=1000 # tables of cases are long, and read one case at a time
RS_LINES_SOFT=400 # said, not refused
MAIN_LINES=60 # design: main.rs only reports
FILE_BYTES=1000000 # a binary or a capture got in by mistake

# Home directories, checkouts and package mirrors mean nothing on another machine. The bracketed
# letters keep this file from finding itself.
MACHINE_PATHS='/w[o]rk/(main|shared)|(^|[^A-Za-z0-9_.-])/(h[o]me/[a-z][a-z0-9_-]*|U[s]ers/[a-z][a-z0-9_-]*|r[o]ot)/'
REGISTRY_HOSTS='(s[t]atic|index)\.crates\.io|p[r]oxy\.golang\.org|s[u]m\.golang\.org|(deb|snapshot)\.d[e]bian\.org|r[e]place-with *=|G[O]PROXY=|://[^/ ]+:[^/ ]+@'
# An indented `type` is an associated one, whose name somebody else's trait gives.
BANNED_NAMES='(\b(struct|enum|trait|union|mod)|^(pub(\([a-z]+\))? +)?type) +\w*(Manager|Handler|Helpers?|Utils?|Data|Info|helpers?|utils?|misc|common)\b'
BARE_DEBTS='\b(FI[X]ME|XX[X])\b|\bTO[D]O\b[^(]|\bTO[D]O$'

find_in() { # RULE PATTERN FILES...
    local rule=$1 pattern=$2
    shift 2
    (($#)) || return 0
    { grep -nEI -- "$pattern" /dev/null "$@" || true; } | sed "s/^/$rule: /"
}

# Judges the files named on stdin, separated by NUL, below the current directory.
judge() {
    local file lines limit files=() sources=() scripts=() prose=()
    mapfile -d '' -t files
    local present=()
    for file in "${files[@]}"; do
        [[ -f $file && ! -L $file ]] || continue
        present+=("$file")
        (($(stat -c %s "$file") <= FILE_BYTES)) || echo "too large: $file: more than $FILE_BYTES bytes"
        case $file in
        *.rs) sources+=("$file") ;;
        hack/*.sh | .ci/run) scripts+=("$file") ;;
        esac
        case $file in
        # Written by others: the licence, lock files.
        LICENSE | *.lock | */go.sum) ;;
        *) prose+=("$file") ;;
        esac
    done
    for file in "${sources[@]}"; do
        lines=$(wc -l <"$file")
        limit=$RS_LINES_HARD
        [[ $file != */tests.rs && $file != */tests/* ]] || limit=$TEST_LINES_HARD
        ((lines <= limit)) || echo "too long: $file: $lines lines, at most $limit"
        ((lines <= RS_LINES_SOFT || limit != RS_LINES_HARD || lines > limit)) || echo "hygiene: long file: $file: $lines lines" >&2
        case $file in
        */mod.rs) echo "mod.rs: $file: name it after its module" ;;
        */main.rs) ((lines <= MAIN_LINES)) || echo "too long: $file: $lines lines, at most $MAIN_LINES" ;;
        esac
        case $file in
        fuzz/fuzz_targets/* | */build.rs | */tests.rs) ;;
        *) head -n 1 "$file" | grep -q '^//!' || echo "no header: $file: the first line says what it is (//!)" ;;
        esac
    done
    for file in "${scripts[@]}"; do
        [[ $(head -n 1 "$file") != '#!'* || -x $file ]] || echo "not executable: $file"
        { bash -n "$file" 2>&1 || true; } | sed 's/^/shell syntax: /'
    done
    find_in 'path of a machine' "$MACHINE_PATHS" "${prose[@]}"
    find_in 'registry host' "$REGISTRY_HOSTS" "${prose[@]}"
    find_in 'conflict marker' '^(<{7}|>{7})( |$)' "${present[@]}"
    find_in 'empty name' "$BANNED_NAMES" "${sources[@]}"
    find_in 'debt without a topic' "$BARE_DEBTS" "${sources[@]}" "${scripts[@]}"
    find_in 'ignored test without a reason' '#\[ignore\]' "${sources[@]}"
    [[ ! -f Cargo.lock ]] ||
        { grep -n '^source = ' Cargo.lock | grep -v '"registry+https://github.com/rust-lang/crates.io-index"$' || true; } |
        sed 's/^/source of a crate: Cargo.lock:/'
}

self_test() {
    local tree found rule failures=0
    tree=$(mktemp -d)
    # shellcheck disable=SC2064 # the directory of this moment
    trap "rm -rf '$tree'" EXIT
    (
        cd "$tree"
        mkdir -p src/a hack home
        yes '//! Line.' | head -n $((RS_LINES_HARD + 1)) >src/long.rs || true
        yes '//! Line.' | head -n $((MAIN_LINES + 1)) >src/main.rs || true
        echo '//! A module.' >src/a/mod.rs
        echo 'fn f() {}' >src/headless.rs
        head -c $((FILE_BYTES + 1)) /dev/zero >big.bin
        printf '#!/bin/sh\nif\n' >hack/x.sh
        printf '%s\n' "see /h""ome/jo/notes" >a.md
        printf '%s\n' "see /w""ork/main/x" >b.md
        printf '%s\n' "from p""roxy.golang.org" >c.md
        printf '%s\n' '<<<<<<< HEAD' >d.md
        printf '//! X.\nstruct LeaseManager;\n// TO''DO later\n#[ignore]\n' >src/named.rs
        printf 'source = "git+https://example.org/x"\n' >Cargo.lock
        # And what must pass.
        printf '//! Good. TO''DO(ipv6): said with its topic.\nstruct Fence;\n' >src/good.rs
    )
    found=$(cd "$tree" && find . -type f -printf '%P\0' | judge 2>/dev/null)
    for rule in 'too long: src/long.rs' 'too long: src/main.rs' 'mod.rs: src/a/mod.rs' 'no header: src/headless.rs' \
        'too large: big.bin' 'not executable: hack/x.sh' 'shell syntax: hack/x.sh' 'path of a machine: a.md' 'path of a machine: b.md' \
        'registry host: c.md' 'conflict marker: d.md' 'empty name: src/named.rs' 'debt without a topic: src/named.rs' \
        'ignored test without a reason: src/named.rs' 'source of a crate: Cargo.lock'; do
        if grep -qF "$rule" <<<"$found"; then
            echo "hygiene: self-test: found as it must be: $rule" >&2
        else
            echo "hygiene: self-test: NOT found: $rule" >&2
            failures=$((failures + 1))
        fi
    done
    if grep -F good.rs <<<"$found" >&2; then
        echo 'hygiene: self-test: a good file is refused' >&2
        failures=$((failures + 1))
    fi
    ((failures == 0))
}

case ${1:-} in
--self-test) self_test ;;
'')
    # An exported tree without .git (a release archive, an image build) is judged whole.
    if git rev-parse --git-dir >/dev/null 2>&1; then
        findings=$(git ls-files -z --cached --others --exclude-standard | judge)
    else
        findings=$(find . \( -name target -o -name .git \) -prune -o -type f -printf '%P\0' | judge)
    fi
    if [[ -n $findings ]]; then
        while read -r finding; do echo "hygiene: $finding"; done <<<"$findings" >&2
        exit 1
    fi
    echo 'hygiene: every rule holds' >&2 ;;
*) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 64 ;;
esac
