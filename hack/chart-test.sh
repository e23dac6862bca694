#!/usr/bin/env bash
# Lints the chart with the real helm (hack/tools.sh helm) and runs the tests of what it renders.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

HELM=$(hack/tools.sh path helm)
export HELM
# Nothing of the user's own settings or plugins.
HELM_CONFIG_HOME=$(mktemp -d)
export HELM_CONFIG_HOME HELM_CACHE_HOME=$HELM_CONFIG_HOME HELM_DATA_HOME=$HELM_CONFIG_HOME
trap 'rm -rf "$HELM_CONFIG_HOME"' EXIT

"$HELM" lint --strict --quiet manifests/chart --set 'vips={192.0.2.10}'
cargo test --quiet --locked -p pintle-cli --test chart -- --include-ignored
