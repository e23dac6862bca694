# The front door: one line per target, the logic is in hack/.
.DEFAULT_GOAL := help
.PHONY: help check test verify fix demo e2e e2e-kubeadm bench-idle bench-balancer binary image fuzz clean-net

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

check: ## the inner loop: formatting, lints, layers, unit, property, simulation (no root, < 2 minutes warm)
	@hack/job.sh check

test: ## everything, each fault once: check + dependencies + namespaces + real control plane (root)
	@hack/job.sh test

verify: ## everything that only reads the tree: formatting, lints, layers, dependencies, docs
	@hack/job.sh verify

fix: ## writes to the tree: formatting and what clippy can mend
	@hack/job.sh fix

demo: ## three pintles, three kills, a timeline and the client's gap (root); REAL=1 on the real control plane
	@hack/job.sh demo

e2e: ## the fault table on the real control plane, without and with the balancer, 10 runs a row, resumable (root); ROW=name RUNS=n FRESH=1 BALANCED=0|1; CONTROLS=1: what must fail
	@hack/job.sh e2e

e2e-kubeadm: ## hosts with kubelet and containerd, kubeadm, upgrades, the chart (root, < 30 minutes); CORE=1; STEP='name …' KEEP=1
	@hack/job.sh e2e-kubeadm

bench-idle: ## memory, CPU and requests of an idle holder and an idle follower (root)
	@hack/job.sh bench-idle

bench-balancer: ## the balancer beside Debian's HAProxy and nginx, into docs/benchmarks.md (root, < 12 minutes); RUNS=n ROW='downloads connections round-trips memory killed hung' QUICK=1 CONTROLS=1
	@hack/job.sh bench-balancer

binary: ## the static release binary in target/dist; TARGET=triple
	@hack/binary.sh

image: ## the OCI archive in target/image, checked; TARGET=triple IMAGE=name
	@hack/job.sh image

fuzz: ## each fuzz target for FUZZ_SECONDS (default 30), on nightly
	@hack/job.sh fuzz

clean-net: ## removes namespaces, processes and directories that an interrupted run left
	@hack/clean-net.sh
