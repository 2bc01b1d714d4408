# Tern: `make run` and `make test` are all a newcomer types on a Debian 12 with a Swift toolchain.

SHELL := /bin/bash
PACKAGES := libsnappy-dev libzstd-dev libre2-dev libdeflate-dev zlib1g-dev pkg-config g++
DATA ?= ./data
ADDRESS ?= 127.0.0.1:4100
ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: run test build debug format lint bench setup clean

## Start the server on the embedded default: it scrapes itself.
run: build
	@exec bash .ci/serve "$(ADDRESS)" "$(DATA)"

## All tests: set-up, debug build, every suite. Ends with the runner's own closing line.
test: setup
	swift build --build-tests
	SWIFT_BACKTRACE=enable=no swift test --skip-build

## Release build of the server and the lab.
build: setup
	swift build -c release --product tern
	swift build -c release --product lab

## Debian packages this needs, installed only where missing.
setup:
	@missing=""; for p in $(PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'install ok installed' || missing="$$missing $$p"; \
	done; \
	if [ -n "$$missing" ]; then \
	  echo "installing$$missing"; \
	  $(ROOT) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(ROOT) apt-get install -y -qq $$missing; \
	fi
	@command -v swift >/dev/null || { echo "no swift on PATH: install a Swift 6.2 or later toolchain"; exit 1; }

format:
	swift format -i -r Sources Tests Package.swift

lint:
	swift format lint --strict -r Sources Tests Package.swift

## Benchmarks; results belong into docs/numbers with the command that made them.
bench: build
	.build/release/lab bench

clean:
	rm -rf .build
