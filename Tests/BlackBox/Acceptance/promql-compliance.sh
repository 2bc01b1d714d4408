#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# PromQL as Prometheus computes it: the same random data of three demo targets goes into Debian's prometheus and into Tern by
# remote write, both are asked all queries of the PromQL compliance tester, and every label and number is compared (1e-9
# relative). Differences that follow from Prometheus' own changes since 2.42 are listed with the change.
#
# promql-compliance.sh [--queries promql-queries.jsonl] [--seed 1] [--binary .build/release/tern] [--keep]
#
# The queries are looked for in $TERN_SHARED or ../shared beside the checkout, below corpora/compliance.

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

queries=${TERN_SHARED:-$repository/../shared}/corpora/compliance/promql-queries.jsonl
seed=1
options "queries seed" "$@"
need_binary
[ -r "$queries" ] || die "no queries at $queries; name the file with --queries"
debian prometheus curl python3

read -r prometheus_port < <(free_ports 1)
prometheus_url=http://127.0.0.1:$prometheus_port
start_tern
echo 'global: {}' > "$scratch/prometheus.yml"
start prometheus prometheus --config.file="$scratch/prometheus.yml" --storage.tsdb.path="$scratch/prometheus" \
    --web.listen-address="127.0.0.1:$prometheus_port" --web.enable-remote-write-receiver
wait_for 30 answers "$prometheus_url/-/ready" || die "prometheus did not start: $(tail -3 "$scratch/prometheus.log")"
echo "comparing with $(prometheus --version 2>&1 | head -1)"

python3 "$acceptance/promql_compliance.py" --prometheus "$prometheus_url" --tern "$tern_url" --queries "$queries" \
    --results "$results" --seed "$seed" || die "no comparison"
finish
