#!/usr/bin/env bash
# Runs each fuzz target for a while; a crash, a slow input or one that takes too much memory ends it
# with an artifact in fuzz/artifacts/TARGET. The corpus grows in fuzz/corpus (neither is
# tracked) from the good inputs in fuzz/seeds.
#
#   hack/fuzz.sh [TARGET...]        FUZZ_SECONDS: for each (default 30)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# pintle itself has 12 MB: an input of some kilobytes that needs more than this is an amplifier. The
# address sanitizer takes most of it.
RSS_LIMIT_MB=512
MALLOC_LIMIT_MB=32
INPUT_SECONDS=5

# +nightly would be overruled by an inherited RUSTUP_TOOLCHAIN, and cargo-fuzz calls cargo by itself.
export RUSTUP_TOOLCHAIN=nightly
rustc -V >/dev/null 2>&1 || { echo 'fuzz: a nightly toolchain is needed: rustup toolchain install nightly' >&2; exit 69; }
PATH=$(dirname "$(hack/setup.sh path cargo-fuzz)"):$PATH
# cargo-fuzz keeps to fuzz/target, away from the cache of everything else.
unset CARGO_TARGET_DIR RUSTFLAGS

mapfile -t targets < <(if (($#)); then printf '%s\n' "$@"; else cargo fuzz list; fi)
((${#targets[@]})) || { echo 'fuzz: no targets' >&2; exit 70; }
for target in "${targets[@]}"; do
    printf 'fuzz: %s for %s s\n' "$target" "${FUZZ_SECONDS:-30}" >&2
    corpus=(fuzz/corpus/"$target")
    mkdir -p "${corpus[0]}"
    [[ ! -d fuzz/seeds/$target ]] || corpus+=(fuzz/seeds/"$target")
    cargo fuzz run "$target" "${corpus[@]}" -- -max_total_time="${FUZZ_SECONDS:-30}" -timeout="$INPUT_SECONDS" \
        -rss_limit_mb="$RSS_LIMIT_MB" -malloc_limit_mb="$MALLOC_LIMIT_MB" -print_final_stats=1 -verbosity=0
done
