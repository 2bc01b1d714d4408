#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The incidents of the corpora over HTTP: each goes through OTLP, Loki push and remote write into a fresh server and is diagnosed from
# its window and the day's fault-free minute; every query of the evidence is run and its answer compared with the number in the text.
#
# incidents.sh [--binary .build/release/tern] [--corpora ../shared/corpora] [--only PIECE-OF-AN-ID] [--keep]

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

corpora=${TERN_SHARED:-$repository/../shared}/corpora
only=
options "corpora only" "$@"
need_binary
debian curl python3 tar zstd
[ -d "$corpora/incidents" ] || die "no incidents in $corpora"
incidents=$(python3 "$acceptance/incidents.py" list "$corpora" "$only") || die "the corpora cannot be read"
for incident in $incidents; do
    rm -rf "$scratch/data"
    # The corpus is years old.
    start_tern --storage.retention.time 100y
    python3 "$acceptance/incidents.py" run "$corpora" "$incident" "$tern_url" >> "$scratch/outcomes" \
        || record FAIL "$incident" "$(tail -1 "$scratch/outcomes")"
    stop tern
done
python3 "$acceptance/incidents.py" table < "$scratch/outcomes" | tee "$scratch/table"
while IFS=$'\t' read -r state name detail; do record "$state" "$name" "$detail"; done \
    < <(python3 "$acceptance/incidents.py" rows < "$scratch/outcomes")
finish
