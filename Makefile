# Everything here runs on a fresh machine with Go and Node; what else is
# needed is installed by a target or asked for in plain words.

BIN       ?= bin
E2E       := cmd/parlor/e2e
PAGE      := transport/console/page
FUZZTIME  ?= 30s
MODELCHECKS ?= 500
BENCHTIME ?= 1s
STATICCHECK := go tool staticcheck

.DEFAULT_GOAL := help

.PHONY: help
help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ## build and serve the page on http://127.0.0.1:8080 (no key, no network)
	./bin/parlor serve

# Without cgo the programs are static: they run where there is no C library, in an empty container too.
.PHONY: build
build: need-go ## build bin/parlor, bin/parlor-echo and bin/parlor-bench, static
	CGO_ENABLED=0 go build -trimpath -o $(BIN)/ ./cmd/parlor ./cmd/parlor-echo ./cmd/parlor-bench

.PHONY: test
test: lint page-test race e2e ## lint, tests of the page, unit tests with the race detector, end-to-end tests, always from the same SEED

.PHONY: test-long
test-long: need-go need-cc need-node promtool $(E2E)/node_modules $(PAGE)/node_modules race-build ## what is slow and random, from a new SEED that is printed: chaos, kill -9, attacks, crowds
	@echo "SEED=$(SEED)"
	$(GO_TEST) -timeout 30m $(LONG_PACKAGES)
	cd $(PAGE) && npm run --silent test
	$(E2E_TEST) --test-timeout=900000 $(LONG_E2E)

# Random tests begin at SEED: at the same one in make test, at a new one in make test-long.
NEW_SEED := $(shell date +%s)
race e2e: SEED ?= 1
test-long: SEED ?= $(NEW_SEED)
test-long: export LONG := 1
test-long: export RAPID_CHECKS := 500

# The Go packages and the end-to-end tests that make test runs in part only: those that ask testing.Short,
# as rapid does, and those that ask lib/random.mjs.
LONG_PACKAGES = $(sort $(dir $(shell grep -rlE 'testing.Short|pgregory.net/rapid' --include='*_test.go' ./actors ./cmd ./persistence ./protocol ./transport)))
LONG_E2E = $(notdir $(shell grep -l lib/random.mjs $(E2E)/*.test.mjs))

# Without the setting of GORACE each program would wait for a second at its end.
GO_TEST = GORACE=atexit_sleep_ms=0 SEED=$(SEED) RAPID_SEED=$(SEED) RAPID_NOFAILFILE=true go test -race -count=1
E2E_TEST = cd $(E2E) && SEED=$(SEED) PARLOR=$(CURDIR)/bin/parlor-race PARLOR_ECHO=$(CURDIR)/bin/parlor-echo-race node --test --test-concurrency=2

# Prometheus' own program tests the alert rules. It is taken out of Debian's package: nothing is
# installed, and no Prometheus starts. As a Go tool it would be 1,369 packages to compile.
.PHONY: promtool
promtool: BIN_DIR := $(abspath $(BIN))
promtool:
	@command -v promtool >/dev/null || [ -x $(BIN_DIR)/promtool ] || ( \
	  dir=$$(mktemp -d) && trap "rm -rf $$dir" EXIT && cd $$dir && \
	  { [ "$$(id -u)" != 0 ] || timeout 120 apt-get update -qq || true; } && timeout 120 apt-get download -qq prometheus && \
	  dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool && \
	  mkdir -p $(BIN_DIR) && mv usr/bin/promtool $(BIN_DIR)/ \
	) 2>/dev/null || echo "There is no promtool (Debian: apt-get install prometheus), so the alert rules are not run."

.PHONY: lint
lint: need-go ## gofmt, go vet, staticcheck
	@files=$$(gofmt -l cmd actors protocol transport persistence); \
	if [ -n "$$files" ]; then echo "not gofmt-ed: $$files"; exit 1; fi
	go vet ./...
	go vet -tags chaos ./actors/... ./cmd/parlor
	$(STATICCHECK) ./...

.PHONY: race
race: need-go need-cc need-node $(E2E)/node_modules ## go test -race -short ./..., providers also against aimock
	$(GO_TEST) -short -timeout 10m ./...

.PHONY: e2e
e2e: need-node $(E2E)/node_modules chromium race-build ## the official client, aimock, kill -9 and a browser against a race build
	$(E2E_TEST) --test-timeout=300000

.PHONY: race-build
race-build: need-go need-cc
	go build -race -o bin/parlor-race ./cmd/parlor
	go build -race -o bin/parlor-echo-race ./cmd/parlor-echo

$(E2E)/node_modules: $(E2E)/package-lock.json
	cd $(E2E) && npm ci --no-audit --no-fund
	@touch $@

# What is built is committed, so that a build of parlor needs no Node.
.PHONY: page
page: need-node $(PAGE)/node_modules ## build the page into transport/console/page/dist
	cd $(PAGE) && npm run --silent build

.PHONY: page-test
page-test: need-node $(PAGE)/node_modules ## types and tests of the page, and that its dist is what the sources make
	cd $(PAGE) && npm run --silent check && npm run --silent test && timeout 120 npm run --silent verify

$(PAGE)/node_modules: $(PAGE)/package-lock.json
	cd $(PAGE) && npm ci --no-audit --no-fund
	@touch $@

.PHONY: fuzz
fuzz: need-go ## run every fuzz target for FUZZTIME (30s), and MODELCHECKS (500) sequences of the model test
	@for pkg in $$(go list ./...); do \
	  for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$target"; \
	    out=$$(go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg 2>&1) && continue; \
	    echo "$$out" | tail -20; \
	    : "go test fails now and then with this alone when the time is up, having found nothing"; \
	    echo "$$out" | grep -q '^    context deadline exceeded' || exit 1; \
	  done; \
	done
	go test -count=1 -timeout 1h -run 'TestModel$$' ./actors/chats -rapid.seed=0 -rapid.checks=$(MODELCHECKS)

.PHONY: bench
bench: need-go ## run every benchmark for BENCHTIME (1s)
	go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

REFERENCE := cmd/parlor-bench/reference

.PHONY: bench-idle
bench-idle: build need-node $(REFERENCE)/node_modules ## memory of 10,000 idle connections, next to the Node reference server (Linux)
	./bin/parlor-bench idle

.PHONY: bench-rooms
bench-rooms: build ## memory of 10,000 rooms, start with 100,000 chats, time to wake up (Linux)
	./bin/parlor-bench rooms

.PHONY: bench-restart
bench-restart: build ## how long 5,000 people are away while the server starts again, and what they miss
	./bin/parlor-bench restart

.PHONY: bench-view
bench-view: build ## what an open runtime view and parlor top cost a server with 10,000 rooms (Linux)
	./bin/parlor-bench view

.PHONY: bench-fair
bench-fair: build ## how long one user waits beside another who does as much as possible
	./bin/parlor-bench fair

.PHONY: bench-stream
bench-stream: build ## latency of 100 streamed answers, with and without a provider that hangs
	./bin/parlor-bench stream

$(REFERENCE)/node_modules: $(REFERENCE)/package-lock.json
	cd $(REFERENCE) && npm ci --no-audit --no-fund
	@touch $@

.PHONY: chaos
chaos: need-go ## ten minutes of kill -9, cut networks, full disks, unknown outcomes and panics, and a table of what survived (Linux)
	go build -trimpath -tags chaos -o bin/parlor-chaos ./cmd/parlor
	go run ./cmd/parlor-bench chaos --parlor bin/parlor-chaos $(CHAOS)

.PHONY: chaos-bugs
chaos-bugs: need-go need-cc ## show that chaos notices each of twelve bugs that are switched on (Linux)
	CHAOS_BUGS=1 go test -count=1 -v -timeout 10m -run TestBugsAreCaught ./cmd/parlor-bench/chaos

GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

.PHONY: vulncheck
vulncheck: need-go ## look for known vulnerabilities in the code that is used; VULNDB=URL asks another database than https://vuln.go.dev
	GOBIN=$(abspath $(BIN)) go install $(GOVULNCHECK)
	@$(BIN)/govulncheck $(if $(VULNDB),-db $(VULNDB)) ./...; status=$$?; case $$status in \
	  0 | 3) exit $$status ;; \
	esac; \
	echo "The check did not come to its end. It needs its database: https://vuln.go.dev, or a copy of it,"; \
	echo "for example https://vuln.go.dev/vulndb.zip unpacked: make vulncheck VULNDB=file:///where/it/is"; \
	exit $$status

VERSION ?=
TARGETS ?=

# It uses the network for Go modules only. With the same Go, a second run at the same commit makes the same bytes.
.PHONY: release
release: need-go ## build bin/release for Linux, macOS and Windows: archives, Debian packages, SBOMs, checksums; VERSION=1.2.3
	go run ./cmd/parlor-release $(if $(VERSION),--version $(VERSION)) $(if $(TARGETS),--targets $(TARGETS))

.PHONY: clean
clean: ## remove what was built and installed here
	rm -rf bin $(E2E)/node_modules $(PAGE)/node_modules $(REFERENCE)/node_modules

.PHONY: need-go need-cc need-node chromium
need-go:
	@command -v go >/dev/null || { echo "Go 1.26 or newer is needed: https://go.dev/dl/"; exit 1; }
need-cc:
	@command -v gcc >/dev/null || command -v clang >/dev/null || { \
	  echo "The race detector needs a C compiler: install gcc (Debian: apt-get install gcc)."; exit 1; }
need-node:
	@command -v npm >/dev/null || { echo "Node 20 or newer with npm is needed: https://nodejs.org/"; exit 1; }
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } || { \
	  echo "The browser tests need Chromium: install it (Debian: apt-get install chromium) or set CHROMIUM=/path."; \
	  [ -n "$$CHROMIUM" ]; }
