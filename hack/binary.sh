#!/usr/bin/env bash
# Builds the one file that ships: a static pintle in target/dist/ (docs/adr/0002, 0003).
#
#   hack/binary.sh        TARGET=<triple> for another than this machine's, e.g.
#                         TARGET=aarch64-unknown-linux-gnu with gcc-aarch64-linux-gnu installed and
#                         `rustup target add aarch64-unknown-linux-gnu`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The issue's limit for the image, which is this file and some hundred bytes.
MAX_BYTES=12000000

host=$(rustc -vV | sed -n 's/^host: //p')
target=${TARGET:-$host}
die() { printf 'binary: %s\n' "$*" >&2; exit 1; }

# With an explicit --target these flags reach neither build scripts nor proc-macros (which cannot be
# static), and the debug build's cache stays as it is. The prefixes take this machine's paths out of
# panic messages, so that two checkouts give the same bytes.
flags=(
    -C target-feature=+crt-static
    --cfg 'getrandom_backend="linux_raw"'
    "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
    "--remap-path-prefix=$PWD=/pintle"
)
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS

if [[ $target != "$host" ]]; then
    linker=CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$target")_LINKER
    [[ -n ${!linker:-} ]] || export "$linker=${target%%-*}-linux-gnu-gcc"
fi

program=$(cargo build --release --locked --target "$target" -p pintle-cli --bin pintle \
    --message-format=json-render-diagnostics |
    sed -n 's/.*"name":"pintle".*"executable":"\([^"]*\)".*/\1/p')
[[ -x $program ]] || die "cargo says it built no program"

# A dynamic one would look fine here and fail in the image, which has no loader.
headers=$(readelf --wide --program-headers --dynamic "$program")
! grep -q 'INTERP' <<<"$headers" || die "$program asks for a dynamic loader: it is not static"
! grep -q '(NEEDED)' <<<"$headers" || die "$program needs shared libraries: it is not static"
size=$(stat -c %s "$program")
((size <= MAX_BYTES)) || die "$program has $size bytes, more than $MAX_BYTES"

mkdir -p target/dist
# By rename: a test that runs the old one keeps it.
cp "$program" target/dist/.pintle.$$
mv target/dist/.pintle.$$ target/dist/pintle
printf 'binary: target/dist/pintle: static, %s, %s bytes\n' "$target" "$size" >&2
