#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Remote read: Debian's prometheus without data of its own reads Tern's and gives the same answers; and Tern's streamed chunks
# are, byte for byte, those that Prometheus serves of the same samples.
#
# remote-read.sh [--binary .build/release/tern] [--keep]

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

options "" "$@"
need_binary
debian prometheus curl python3

read -r reader_port holder_port < <(free_ports 2)
reader_url=http://127.0.0.1:$reader_port
holder_url=http://127.0.0.1:$holder_port
start_tern
printf 'remote_read:\n  - url: %s/api/v1/read\n    read_recent: true\n' "$tern_url" > "$scratch/reader.yml"
echo 'global: {}' > "$scratch/holder.yml"
start reader prometheus --config.file="$scratch/reader.yml" --storage.tsdb.path="$scratch/reader" \
    --web.listen-address="127.0.0.1:$reader_port"
start holder prometheus --config.file="$scratch/holder.yml" --storage.tsdb.path="$scratch/holder" \
    --web.listen-address="127.0.0.1:$holder_port" --web.enable-remote-write-receiver
wait_for 30 answers "$reader_url/-/ready" || die "prometheus did not start: $(tail -3 "$scratch/reader.log")"
wait_for 30 answers "$holder_url/-/ready" || die "prometheus did not start: $(tail -3 "$scratch/holder.log")"

python3 "$acceptance/remote_read.py" --tern "$tern_url" --reader "$reader_url" --holder "$holder_url" \
    --results "$results" || die "no comparison"
finish
