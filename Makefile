# Everything that is done to this tree by hand or by CI. `make help` lists it.

.DEFAULT_GOAL := help
.NOTPARALLEL:
SHELL := /bin/bash

# Go stands outside root's PATH on many machines. An older one (1.21 at least) fetches what go.mod names.
GO := $(or $(shell command -v go 2>/dev/null || ls /usr/local/go/bin/go /usr/lib/go/bin/go 2>/dev/null | head -1),go)
# One set of flags everywhere, so that the slow part (SQLite in C) is compiled once.
# -buildvcs=false: the checkout may be another user's; the version is given below instead.
export GOFLAGS := $(GOFLAGS) -tags=sqlite_fts5 -trimpath -buildvcs=false
export CGO_ENABLED := 1

git      := git -c safe.directory='*'
VERSION  ?= $(shell $(git) describe --tags --exact-match 2>/dev/null || echo dev)
REVISION ?= $(shell $(git) describe --always --dirty --exclude '*' 2>/dev/null || echo unknown)
LDFLAGS  := -X main.version=$(VERSION) -X main.revision=$(REVISION)

e2e := cmd/dplane/e2e
# What goes into the guest is static: the guest's libc may be older than this machine's.
static_tags := sqlite_fts5,netgo,osusergo
static := -linkmode=external -extldflags '-static -Wl,--no-warnings'

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9.-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Variables: RUN=REGEXP of test-zfs; ZFSVM_SUITE=trixie|bookworm|trixie-backports; FUZZTIME=20s; DPLANE_HOST_ZFS=yes: this machine's ZFS"

.PHONY: build
build: ## bin/dplane
	$(GO) build -ldflags "$(LDFLAGS)" -o bin/dplane ./cmd/dplane

.PHONY: tools
tools: ## install the C compiler where it is missing (root)
	@$(e2e)/zfsvm/install compiler
	@$(GO) version || { echo "no Go found: install Go 1.21 or newer (https://go.dev/dl)" >&2; exit 1; }

.PHONY: check
check: ## gofmt, vet, staticcheck, tidy go.mod, all tests with -race; no root, no ZFS
	@unformatted=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .) || exit 1; \
	  [ -z "$$unformatted" ] || { echo "gofmt these files:"; echo "$$unformatted"; exit 1; }
	$(GO) vet -tags=sqlite_fts5,e2e ./...
	$(GO) tool staticcheck -tags=sqlite_fts5,e2e ./...
	$(GO) mod tidy -diff
	$(GO) test -race -timeout 30m ./...

# Where it can't be installed the tests of two nodes say that they are skipped.
.PHONY: pair-tools
pair-tools:
	-@$(e2e)/zfsvm/install pair

.PHONY: test
test: tools pair-tools check test-zfs test-faults ## install what is missing, check, then test-zfs and test-faults: this is what CI runs

build_static = $(GO) build -tags=$(static_tags) -ldflags "$(LDFLAGS) $(static)"

.PHONY: e2e-binaries
e2e-binaries:
	@rm -rf bin/e2e && mkdir -p bin/e2e
	$(build_static) -o bin/e2e/dplane ./cmd/dplane
	$(GO) test -c -tags=$(static_tags) -ldflags "$(static)" -o bin/e2e/zfs.test ./drivers/zfs
	$(GO) test -c -tags=$(static_tags),e2e -ldflags "$(static)" -o bin/e2e/e2e.test ./$(e2e)
	@cp $(e2e)/suite $(e2e)/cut bin/e2e/

# How many datasets the bench of schedules has beside the suites; 0: it is left out.
DATASETS ?= 50
.PHONY: test-zfs
test-zfs: e2e-binaries ## the suites on a real OpenZFS, in a guest; with DPLANE_HOST_ZFS=yes on this machine
	@$(e2e)/on-zfs --timeout 4500 bin/e2e "RUN='$(RUN)' DPLANE_E2E_DATASETS=$(DATASETS) ./suite"

.PHONY: demo
demo: tools ## reconcile a real pool on file vdevs and show each step
	@rm -rf bin/demo && mkdir -p bin/demo && cp $(e2e)/demo bin/demo/
	@echo "building dplane: minutes the first time, since SQLite is compiled"
	@$(build_static) -o bin/demo/dplane ./cmd/dplane
	@$(e2e)/on-zfs --timeout 600 bin/demo ./demo

.PHONY: bench
bench: build ## start-to-end validate, plans of 10,000 datasets, the daemon's memory
	DPLANE_BIN=$(CURDIR)/bin/dplane $(GO) test -run '^$$' -bench . ./...

.PHONY: golden
golden: ## rewrite the golden files; review the diff
	$(GO) test -run Golden $$(grep -rlE --include='*_test.go' 'flag\.Bool\("update"' . | xargs -n1 dirname | sort -u) -update

FUZZTIME ?= 20s
.PHONY: fuzz
fuzz: ## each fuzz test for FUZZTIME
	@set -e; grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's/:func / /' | sort | \
	  while read -r file name; do \
	    echo "== $$(dirname "$$file") $$name"; \
	    $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")"; \
	  done

.PHONY: test-2.1 test-2.4
test-2.1: ## test-zfs on OpenZFS 2.1
	@ZFSVM_SUITE=bookworm $(MAKE) test-zfs DATASETS=0

test-2.4: ## test-zfs on OpenZFS 2.4
	@ZFSVM_SUITE=trixie-backports $(MAKE) test-zfs DATASETS=0

.PHONY: test-suspended
test-suspended: e2e-binaries ## a pool suspended for ten minutes, beside one that is reconciled
	@$(e2e)/on-zfs --timeout 1800 bin/e2e "RUN=TestSuspendedPool DPLANE_E2E_SUSPENDED=10m ./suite"

.PHONY: test-crash
test-crash: e2e-binaries ## the whole guest stopped in the middle of an apply, five times
	@$(e2e)/crash bin/e2e

.PHONY: test-replication
test-replication: e2e-binaries ## a replication broken off a hundred times: at its writes, in its streams, the network, the whole guest; a transfer of an hour
	@$(e2e)/on-zfs --timeout 3500 bin/e2e "RUN='^TestReplicationKilled$$' DPLANE_E2E_KILLS=50 ./suite"
	@for seed in 1 2; do $(e2e)/on-zfs --timeout 3500 bin/e2e "RUN='^TestReplicationRandom$$' DPLANE_E2E_KILLS=25 DPLANE_E2E_SEED=$$seed ./suite" || exit 1; done
	@$(e2e)/crash-replication bin/e2e
	@$(e2e)/on-zfs --timeout 4500 bin/e2e "RUN='^TestReplicationLong$$' DPLANE_E2E_LONG=3600 ./suite"

.PHONY: test-across
test-across: e2e-binaries ## replication between OpenZFS 2.1 and 2.3, 2.3 and 2.1, 2.3 and 2.4: two guests, a real SSH
	@for pair in "bookworm trixie" "trixie bookworm" "trixie trixie-backports"; do $(e2e)/across bin/e2e $$pair || exit 1; done

.PHONY: test-pair
test-pair: e2e-binaries ## two nodes become a pair: a failover, switchovers, the old active one back with more, one without power
	@RUN='^TestPair$$' $(e2e)/across bin/e2e trixie trixie

# How often each fault of test-matrix is lived through.
ROUNDS ?= 3
.PHONY: test-matrix
test-matrix: tools pair-tools ## the faults of two nodes, in network namespaces on the model of ZFS (root): judged by their history, with the time until writable, median and worst
	PATH="$(dir $(GO)):$$PATH" $(GO) test -timeout 55m ./cmd/dplane -run '^(TestPair|TestMatrix.*)$$' -v -parallel 4 -matrix -rounds $(ROUNDS)

.PHONY: test-faults test-faults-full
test-faults: e2e-binaries ## two guests that are written to all the time: cut off, paused, switched off by a fence agent
	@RUN='^TestPairFaults$$/^(cut off|paused for 40 s|power)$$' $(e2e)/across bin/e2e trixie trixie

test-faults-full: e2e-binaries ## test-faults, and over and back, one-way cuts, longer pauses, an older database; each twice; two sections of less than an hour
	@for parts in 'twice|cut' 'paused|power|older'; do \
	  RUN="^TestPairFaults\$$/($$parts)" DPLANE_E2E_ROUNDS=2 DPLANE_ACROSS_TIMEOUT=3500 $(e2e)/across bin/e2e trixie trixie || exit 1; done

.PHONY: test-reboot
test-reboot: e2e-binaries ## a machine booted three times: what is in the trash stays there, and comes back whole
	@$(e2e)/reboot bin/e2e

.PHONY: bench-replication
bench-replication: e2e-binaries ## a transfer over SSH beside one by hand and syncoid, median of seven; a tick with nothing to send
	@$(e2e)/on-zfs --timeout 3500 bin/e2e "RUN='^TestReplicationBench$$' DPLANE_E2E_ROUNDS=7 ./suite"
	@$(e2e)/on-zfs --timeout 1800 bin/e2e "RUN='^TestReplicationIdle$$' DPLANE_E2E_ROUNDS=1 ./suite"

.PHONY: bench-zfs
bench-zfs: bench-replication ## ticks of a schedule on a real OpenZFS, beside sanoid: 100 datasets with 30 snapshots each; and bench-replication
	@$(e2e)/on-zfs --timeout 1800 bin/e2e "RUN=TestScheduleBench DPLANE_E2E_DATASETS=100 DPLANE_E2E_SNAPSHOTS=30 ./suite"

.PHONY: sim
sim: ## 100,000 schedules of two and three nodes, with faults and orders at random, judged by their history; and every interleaving of two, within budgets
	$(GO) test -timeout 55m ./drivers/ha -run '^(TestSimulation|TestProduct)$$' -v -schedules 100000 -deep

.PHONY: laws
laws: ## the property tests of the decisions, with many more cases than `make check` has
	$(GO) test -timeout 50m ./drivers/dataset ./drivers/pool ./drivers/retention ./drivers/schedule ./spec -run 'Law|Prop|Ticks|Clock|Retain|Simulate|Recurrence' -rapid.checks=3000

.PHONY: test-full
test-full: test laws sim fuzz test-2.1 test-2.4 test-suspended test-crash test-reboot test-replication test-across test-pair test-matrix test-faults-full bench-zfs ## everything that is too long for CI, in sections of less than an hour

.PHONY: clean
clean: ## remove bin/
	rm -rf bin
