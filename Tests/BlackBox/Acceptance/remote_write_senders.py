# SPDX-License-Identifier: Apache-2.0
# What vmagent and Prometheus wrote while the server was killed once.

import argparse

from acceptance import Table, get_json, wait_until


def one(tern, query):
    result = get_json(f"{tern}/api/v1/query", {"query": query})["data"]["result"]
    return float(result[0]["value"][1]) if result else None


def main():
    parser = argparse.ArgumentParser()
    for name in ("tern", "prometheus", "results"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    table = Table(given.results)
    for job in ("vmagent", "prometheus"):
        # A sample a second, the three while the server was away among them.
        query = f'max(count_over_time(up{{job="{job}"}}[1m]))'
        count = wait_until(lambda: (n := one(given.tern, query)) and n >= 15 and n, 20) or one(given.tern, query)
        table.check(f"{job}: samples of every scrape", (count or 0) >= 15, f"{count} of up")
        gap = one(given.tern, f'max(max_over_time((timestamp(up{{job="{job}"}}) - timestamp(up{{job="{job}"}} offset 2s))[15s:1s]))')
        table.check(f"{job}: no gap over the kill", gap is not None and gap <= 3.5, f"{gap} s between samples two seconds apart")
    own = get_json(f"{given.prometheus}/api/v1/query", {"query": 'count({job="prometheus"})'})["data"]["result"][0]["value"][1]
    kept = wait_until(lambda: one(given.tern, 'count({job="prometheus"})') == float(own), 15)
    table.check("prometheus: the same series", kept, f"{own} series")


main()
