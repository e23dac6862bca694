# POD SECONDS: three streams to a pod, through the VIP, silent for so long between two words.
set -euo pipefail
pod=$1 silence=$2
export KUBECONFIG=/etc/kubernetes/admin.conf
work=$(mktemp -d)
mkfifo "$work/in"

die() {
    printf '%s\n' "$*" >&2
    tail -n 5 "$work"/*.err >&2
    exit 1
}

finish() {
    # shellcheck disable=SC2046 # pids
    kill $(jobs -p) 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

kubectl exec -i -n kube-system "$pod" -- /usr/local/bin/stream cat <"$work/in" >"$work/exec" 2>"$work/exec.err" &
exec 4>"$work/in"
kubectl logs -f -n kube-system "$pod" >"$work/logs" 2>"$work/logs.err" &
kubectl port-forward -n kube-system "pod/$pod" 18081:18080 >"$work/forward.out" 2>"$work/forward.err" &
for _ in {1..100}; do
    ! exec 3<>/dev/tcp/127.0.0.1/18081 || break
    sleep 0.1
done 2>/dev/null

# A word goes through the exec and comes back, goes through the forward and comes back, and is in the logs.
word() { # WORD
    local heard
    echo "$1" >&4
    echo "$1" >&3 || die "port-forward: cannot say '$1'"
    read -r -t 10 heard <&3 || die "port-forward: no answer to '$1'"
    [[ $heard == "$1" ]] || die "port-forward: '$heard' to '$1'"
    for stream in exec logs; do
        for _ in {1..100}; do
            ! grep -q "^$1$" "$work/$stream" || continue 2
            sleep 0.1
        done
        die "$stream: '$1' did not arrive"
    done
}

word before
sleep "$silence"
word after
echo "exec, logs -f, port-forward: silent for $silence s"
