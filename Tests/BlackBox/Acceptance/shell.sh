#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `tern shell` on pseudo-terminals with PyPI's pexpect and pyte: what each form of output looks like at 80×24 and 200×60 (compared with
# shell-screens/), on TERM=dumb and without UTF-8, with hostile bytes; that Ctrl-C and the pager end and hold up work on the server, by
# the server's own counters; how quick completion is with 100,000 names; LogQL over standard input; the demo.
#
# shell.sh [--binary .build/release/tern] [--update yes] [--keep]
#
# --update yes writes the screens instead of comparing them: look at the difference before committing it.

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

update=no
options update "$@"
need_binary
debian curl python3
pypi pexpect pyte
"$python" -m pip list --disable-pip-version-check 2>/dev/null | grep -E '^(pexpect|pyte) ' | tr -s ' '
# The data lies at a fixed time, and nothing is made of spans by the clock, so that screens are the same each time.
echo 'span_metrics: {enabled: false}' >"$scratch/tern.yml"
start_tern --config.file "$scratch/tern.yml" --storage.retention.time 36500d
read -r demo_port < <(free_ports 1)
"$python" "$acceptance/shell_check.py" --tern "$tern_url" --binary "$binary" --results "$results" --scratch "$scratch" \
    --screens "$acceptance/shell-screens" --update "$update" --demo-port "$demo_port" \
    || record FAIL "the checks ran to their end"
finish
