#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Memory and cancellation of queries: under a limit of 512 MB a query that would need 10 GB is refused with the limit named while
# others go on; a query ends within 50 ms of its client, in whichever operator it is; a thousand queries whose clients go away leave
# no memory behind.
#
# promql-limits.sh [--series 60000] [--binary .build/release/tern] [--keep]

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

series=60000
options "series" "$@"
need_binary
debian curl python3

start_tern --query.memory-limit 512MB --enable-feature promql-experimental-functions,promql-binop-fill-modifiers
python3 "$acceptance/promql_limits.py" --tern "$tern_url" --series "$series" --process "${process_of[tern]}" --results "$results" \
    || die "no result"
finish
