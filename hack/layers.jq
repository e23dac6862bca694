# The judge of hack/layers.sh: `cargo metadata` in, one line per broken rule out (none is a pass).
# The rules are the design's: core <- {cluster, probe, net, balancer, telemetry} <- daemon <- cli.

def adapters: ["cluster", "probe", "net", "balancer", "telemetry"];
def shipped: ["core"] + adapters + ["daemon", "cli"];

# Which of our crates each crate may name. dev: for its tests only, in addition.
def may_name: {
  core:      {normal: [],                              dev: []},
  cluster:   {normal: ["core"],                        dev: ["testkit"]},
  probe:     {normal: ["core"],                        dev: ["testkit"]},
  net:       {normal: ["core"],                        dev: ["testkit"]},
  balancer:  {normal: ["core"],                        dev: ["testkit"]},
  telemetry: {normal: ["core"],                        dev: ["testkit"]},
  daemon:    {normal: (["core"] + adapters),           dev: ["testkit"]},
  cli:       {normal: (["core", "daemon"] + adapters), dev: ["testkit"]},
  sim:       {normal: ["core"],                        dev: []},
  testkit:   {normal: ["core"],                        dev: []},
  e2e:       {normal: ["core", "testkit"],             dev: []}
};

# Crates from outside that only these may name, tests included.
def owners: {
  "kube":                 ["cluster"],
  "k8s-openapi":          ["cluster"],
  "rtnetlink":            ["net"],
  "netlink-packet-route": ["net"],
  "netlink-packet-core":  ["net"],
  "netlink-packet-netfilter": ["net"],
  "netlink-sys":          ["net"],
  "hyper":                ["cluster", "probe", "telemetry", "testkit", "e2e"],
  "hyper-util":           ["cluster", "probe", "telemetry", "testkit", "e2e"],
  "rustls":               ["cluster", "probe", "cli", "daemon", "testkit", "e2e"],
  "clap":                 ["cli", "e2e"],
  "prometheus-client":    ["telemetry"],
  "sd-notify":            ["daemon"],
  "stateright":           ["sim"]
};

# The same, but their tests may: libraries have an error type per operation.
def normal_owners: { "anyhow": ["daemon", "cli", "testkit", "e2e"] };

# For tests only: never among what a shipped crate is built from.
def dev_only: ["proptest", "rstest", "rcgen", "tempfile", "etherparse", "stateright", "pintle-testkit", "pintle-sim"];

# What core and sim may not reach by any road.
def runtimes: ["tokio", "kube", "k8s-openapi", "rtnetlink", "hyper", "rustls"];

def short: ltrimstr("pintle-");

. as $metadata
| ($metadata.workspace_members) as $members
| ($metadata.packages | map({key: .id, value: .}) | from_entries) as $package
| ($metadata.resolve.nodes
    | map({key: .id, value: [.deps[] | select(any(.dep_kinds[]; .kind == null)) | .pkg]})
    | from_entries) as $built_from
| ($members | map($package[.])) as $crates

# Every crate that those of `todo` are built from, `seen` included.
| def reach($todo; $seen):
    if ($todo | length) == 0 then $seen
    else ([$todo[] | ($built_from[.] // [])[]] | unique) as $next
    | reach($next - $seen; ($seen + $next) | unique) end;

def may($crate; $kind):
  may_name[$crate] as $table
  | if $kind == "dev" then $table.normal + $table.dev elif $kind == "normal" then $table.normal else [] end;

( $crates[] | select(may_name[.name | short] == null)
  | "\(.name): unknown crate: give it a place in hack/layers.jq" ),

( $crates[] | (.name | short) as $crate | select(may_name[$crate] != null)
  | .dependencies[] | (.kind // "normal") as $kind
  | select(.name | startswith("pintle-"))
  | select((.name | short) as $named | may($crate; $kind) | index($named) | not)
  | "pintle-\($crate): may not name \(.name) (\($kind) dependency)" ),

( $crates[] | (.name | short) as $crate
  | .dependencies[] | .name as $named
  | (owners[$named] // if .kind == "dev" then null else normal_owners[$named] end) as $may
  | select($may != null and ($may | index($crate) | not))
  | "pintle-\($crate): may not name \($named): only \($may | join(", ")) may" ),

( $crates[] | (.name | short) as $crate | select(shipped | index($crate))
  | .dependencies[] | select(.kind != "dev") | .name as $named
  | select(dev_only | index($named))
  | "pintle-\($crate): ships \($named), which is for tests only" ),

( $crates[] | select(.name == "pintle-core" or .name == "pintle-sim") | .name as $crate
  | reach([.id]; [])[] | $package[.].name
  | select(. as $reached | runtimes | index($reached))
  | "\($crate): is built from \(.) by some road" ),

( $crates[] | select(.name == "pintle-core" and (.features | length) > 0)
  | "\(.name): has feature flags" )
