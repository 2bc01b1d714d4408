#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the built-in rules cost: services with a day of their own figures and the series of their spans are written, and the CPU time of
# each rule's query is measured. No verdict but that every rule answers: the time is the machine's.
#
# watch-cost.sh [--services 300] [--binary .build/release/tern] [--keep]

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

services=300
options services "$@"
need_binary
debian curl python3
tern_watch=true
start_tern
python3 "$acceptance/watch_cost.py" "$tern_url" "${process_of[tern]}" "$services" "$results"
stop tern
finish
