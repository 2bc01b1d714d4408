#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs every acceptance script, one after the other, and prints one line of each at the end; exits 1 when one failed.
#
# all.sh [--minutes 10] [--binary .build/release/tern]

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
minutes=10
binary=$here/../../../.build/release/tern
while [ $# -gt 0 ]; do
    case $1 in
        --minutes) minutes=$2; shift 2 ;;
        --binary) binary=$2; shift 2 ;;
        *) echo "unknown option $1" >&2; exit 2 ;;
    esac
done
output=$(mktemp)
trap 'rm -f "$output"' EXIT
status=0
summary=
for script in flask forwarding loki tail doors log-doors spans openmetrics promql-limits promql-compliance remote-read remote-write alerts rules incidents shop shell side-by-side prometheus; do
    options=(--binary "$binary")
    [[ "$script" = prometheus || "$script" = side-by-side ]] && options+=(--minutes "$minutes")
    echo "== $script.sh"
    "$here/$script.sh" "${options[@]}" 2>&1 | tee "$output"
    code=${PIPESTATUS[0]}
    [ "$code" = 0 ] || status=1
    summary+="exit $code  $(tail -1 "$output")"$'\n'
done
printf '\n== summary\n%s' "$summary"
exit $status
