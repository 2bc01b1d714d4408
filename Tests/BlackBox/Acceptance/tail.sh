#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Live tails of logs with PyPI's websocket-client: history and new lines in order, a slow reader, a stopped reader, 50 readers,
# what is refused, a tail of two tenants; meanwhile pushes are as quick as without readers and the server's memory stays bounded.
#
# tail.sh [--binary .build/release/tern] [--seconds 20] [--keep]

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

seconds=20
options seconds "$@"
need_binary
debian curl python3
pypi websocket-client
"$python" -m pip list --disable-pip-version-check 2>/dev/null | grep -E '^websocket-client ' | tr -s ' '
start_tern
"$python" "$acceptance/tail_readers.py" --tern "$tern_url" --results "$results" --seconds "$seconds" --pid "${process_of[tern]}" \
    || record FAIL "the checks ran to their end"
stop tern TERM
start_tern --tenancy header
"$python" "$acceptance/tail_readers.py" --tern "$tern_url" --results "$results" --tenants \
    || record FAIL "the checks of tenants ran to their end"
stop tern TERM
check "tern check data" "$binary" check data "$scratch/data"
finish
