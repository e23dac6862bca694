# shellcheck shell=bash
# Sourced by hack/job.sh: runs a job as named stages, tells how long each took, and leaves nothing
# running. A stage is a process group of its own, so that an interrupt ends all of
# it and not only its first process.
#
#   stages 3                  how many there will be (optional: numbers the headings)
#   stage NAME COMMAND...     runs one; the first that fails ends the job with its exit code
#   finish                    prints the table of times

# A compiler may be silent for minutes; whoever watches a log wants a sign of life. Empty: none.
STAGE_HEARTBEAT_SECONDS=30
# A test bed needs a moment to take its namespaces down before it is killed.
STAGE_GRACE_SECONDS=15

stage_total=
stage_number=0
stage_table=()
stage_group=
stage_ticker=

stage_say() { printf '==> %s\n' "$*" >&2; }

stages() { stage_total=$1; }

# Ends a process group: by SIGTERM, and by SIGKILL when it does not listen.
stage_end_group() { # PGID
    local waited=0
    kill -TERM -- "-$1" 2>/dev/null || return 0
    while kill -0 -- "-$1" 2>/dev/null; do
        ((waited++ < STAGE_GRACE_SECONDS * 10)) || { kill -KILL -- "-$1" 2>/dev/null || true; return 0; }
        sleep 0.1
    done
}

stage_stop_ticker() {
    [[ -n $stage_ticker ]] || return 0
    kill -KILL -- "-$stage_ticker" 2>/dev/null || true
    wait "$stage_ticker" 2>/dev/null || true
    stage_ticker=''
}

stage_clean() {
    stage_stop_ticker
    if [[ -n $stage_group ]]; then
        stage_end_group "$stage_group"
        wait "$stage_group" 2>/dev/null || true # or bash reports its death
    fi
    stage_group=''
    # Test programs remove what they made; this is for those that were killed before they could.
    "$(dirname "${BASH_SOURCE[0]}")/clean-net.sh" --quiet || true
}

stage_interrupted() { # EXIT_CODE
    trap '' INT TERM HUP
    stage_say "interrupted: ending what runs and removing what it made"
    exit "$1" # the EXIT trap cleans
}

trap stage_clean EXIT
trap 'stage_interrupted 130' INT
trap 'stage_interrupted 143' TERM
trap 'stage_interrupted 129' HUP

stage() { # NAME COMMAND...
    local name=$1 started=$SECONDS code=0 place
    shift
    stage_number=$((stage_number + 1))
    place=$stage_number${stage_total:+/$stage_total}
    stage_say "[$place] $name: $*"
    set -m # each background job becomes a process group
    "$@" </dev/null &
    stage_group=$!
    if [[ -n $STAGE_HEARTBEAT_SECONDS ]]; then
        while sleep "$STAGE_HEARTBEAT_SECONDS"; do
            stage_say "[$place] $name: $((SECONDS - started)) s so far"
        done &
        stage_ticker=$!
    fi
    set +m
    wait "$stage_group" || code=$?
    stage_stop_ticker
    stage_end_group "$stage_group" # whatever the stage itself left running
    stage_group=''
    stage_table+=("$(printf '%5d s  %s' $((SECONDS - started)) "$name")")
    if ((code)); then
        stage_say "[$place] $name FAILED (exit $code) after $((SECONDS - started)) s; alone: $*"
        exit "$code"
    fi
    stage_say "[$place] $name: passed in $((SECONDS - started)) s"
}

finish() {
    stage_say "all passed in $SECONDS s"
    printf '    %s\n' "${stage_table[@]}" >&2
}
