# What a contributor runs. "make" alone lists the targets; .ci/run runs what a change must pass.
#
# Needed: Go, git, bash and, for the race detector, a C compiler. Everything else is built
# from the Go module proxy at the versions in tools/go.mod.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# auto: with the race detector if there is a C compiler, else without it and saying so.
# 1: insist on it. 0: do without.
RACE ?= auto
# More for go test, as in: make test TESTFLAGS='-run TestClaim -v'
TESTFLAGS ?=
# A file to keep what go test says, as JSON: make test JSON=test.json
JSON ?=
# What is tested: every module of go.work, or as in: make test PKG=./tasks/...
PKG ?= work
# For make bench.
BENCHFLAGS ?=
BENCH ?= .
BENCHTIME ?= 1s
BENCHCOUNT ?= 1
FUZZTIME ?= 10s
# The examples that end by themselves; "make examples" builds all and runs these.
RUN_EXAMPLES ?= quickstart custombackend swap

# Modules of the workspace as folders, and all modules including tools.
WORK_MODULES = $(shell sed -n 's|^[[:space:]]*\(\.[^[:space:]]*\)[[:space:]]*$$|\1|p' go.work)
ALL_MODULES = $(WORK_MODULES) ./tools
TOOLS := bin/.tools

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' Makefile

# 1: test on PostgreSQL and Redis too, in containers. 0: do without, and say what is skipped.
SERVERS ?= 1
# Runs a command while those servers run.
WITH_SERVERS = TASKS_TEST_SERVERS=1 go run ./conformance/containers/cmd/with-servers

.PHONY: images
images: ## Get or build the images of PostgreSQL, PgBouncer and Redis that the tests run
	@conformance/containers/image/get.sh

.PHONY: servers
servers: images ## A shell with PostgreSQL and Redis running, for go test by hand
	@$(WITH_SERVERS)

# One package more at a time than there are processors: those on servers wait for most of their time.
.PHONY: test
test: $(if $(filter 1,$(SERVERS)),images) ## Test every module: race detector, shuffled; SERVERS=0, RACE=0, PKG=./tasks/..., TESTFLAGS='-run X'
	@race=$(RACE); \
	cc=$$(go env CC); \
	if [ "$$race" != 0 ] && ! command -v "$${cc%% *}" >/dev/null; then \
		if [ "$$race" = 1 ]; then \
			echo "make test: the race detector needs a C compiler, and '$$cc' is not there. Install gcc or clang, or run: make test RACE=0" >&2; \
			exit 1; \
		fi; \
		without="NOT TESTED FOR RACES: the race detector needs a C compiler, and '$$cc' is not there."; \
		echo "$$without" >&2; \
		race=0; \
	fi; \
	flags=(-shuffle=on -timeout 20m -p $$(($$(getconf _NPROCESSORS_ONLN) + 1))); \
	if [ "$$race" != 0 ]; then flags+=(-race); export CGO_ENABLED=1; fi; \
	echo "go test $${flags[*]} $(TESTFLAGS) $(PKG)"; \
	status=0; \
	$(if $(filter 1,$(SERVERS)),$(WITH_SERVERS)) go test -json "$${flags[@]}" $(TESTFLAGS) $(PKG) 2>&1 | $(if $(JSON),tee $(JSON) |) go run ./internal/testsummary || status=$$?; \
	if [ -n "$${without:-}" ]; then echo "$$without" >&2; fi; \
	exit $$status

.PHONY: lint
lint: $(TOOLS) ## Run the linters of .golangci.yml over every module
	bin/golangci-lint run --allow-parallel-runners $(addsuffix /...,$(WORK_MODULES))

.PHONY: fmt
fmt: $(TOOLS) ## Format the code: gofumpt, goimports
	bin/golangci-lint fmt $(addsuffix /...,$(WORK_MODULES))

.PHONY: bench
bench: images ## Measure beside River, asynq and backlite: BENCHFLAGS='-quick', '-on redis -only enqueue'
	@go run ./benchmarks $(BENCHFLAGS)

.PHONY: microbench
microbench: ## Run the Go benchmarks of the root module: BENCH=regexp, BENCHTIME=1s, BENCHCOUNT=6 (for bin/benchstat)
	go test -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME) -count $(BENCHCOUNT) ./...

# The packages whose TestConformance goes into docs/conformance.md.
CONFORMING = ./backends/immediate ./backends/dummy ./backends/bolt ./conformance/containers/database ./conformance/containers/redis
REPORT = go run ./conformance/internal/report -o docs/conformance.md

.PHONY: conformance
conformance: images ## Run the suite on every backend and write docs/conformance.md
	@TASKS_TEST_REQUIRE=postgres,redis go test -json -timeout 20m -run '^TestConformance$$' $(CONFORMING) | $(REPORT)

.PHONY: conformance-check
conformance-check: ## Fail if docs/conformance.md is not what "make test JSON=test.json" has shown; JSON=test.json
	@$(REPORT) -check <$(or $(JSON),$(error conformance-check: say JSON=FILE, what make test JSON=FILE has written))

.PHONY: session
session: images tmux ## Type the guide's session into terminals (tmux) and write docs/cli.md
	@$(WITH_SERVERS) go run ./cli/internal/session $(SESSIONFLAGS)

.PHONY: session-check
session-check: SESSIONFLAGS = -check
session-check: session ## Fail if docs/cli.md is not what the commands do

.PHONY: tmux
tmux:
	@command -v tmux >/dev/null || { \
		echo "tmux isn't there; installing it from Debian's packages"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends tmux >/dev/null; \
	} || { echo "make session needs tmux: install it" >&2; exit 1; }

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME (10s)
	@.ci/fuzz $(FUZZTIME)

.PHONY: examples
examples: ## Build every example and run those that end by themselves
	@.ci/examples $(RUN_EXAMPLES)

.PHONY: tidy-check
tidy-check: ## Check that go.mod and go.sum of every module are tidy
	@status=0; \
	for dir in $(ALL_MODULES); do \
		echo "go mod tidy -diff ($$dir)"; \
		GOWORK=off go -C "$$dir" mod tidy -diff || status=1; \
	done; \
	exit $$status

.PHONY: tools
tools: $(TOOLS) ## Build golangci-lint, gofumpt and benchstat into bin/

# Installed by hand rather than run with "go tool", which a workspace refuses for another module's tools.
$(TOOLS): tools/go.mod tools/go.sum
	@echo "building the tools into bin/ (once, a few minutes)"
	@GOWORK=off GOBIN="$$PWD/bin" go -C tools install tool
	@touch $@

.PHONY: clean
clean: ## Remove what was built here
	rm -rf bin
	go clean -testcache
