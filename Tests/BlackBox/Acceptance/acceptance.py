# SPDX-License-Identifier: Apache-2.0
# What the Python side of the acceptance scripts shares: HTTP requests, waiting, rows of the table of results.

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


def get(url, parameters=(), headers=None, timeout=120):
    """Status and body text of a GET; an HTTP error is an answer, not an exception."""
    if parameters:
        url += "?" + urllib.parse.urlencode(parameters)
    request = urllib.request.Request(url, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


def get_json(url, parameters=(), headers=None):
    """The decoded body of a 200 answer; anything else raises with the text."""
    status, text = get(url, parameters, headers)
    if status != 200:
        raise RuntimeError(f"{url}: {status} {text[:300]}")
    return json.loads(text)


def post(url, body, headers=None):
    """Status and body text of a POST."""
    request = urllib.request.Request(url, data=body, headers=headers or {}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


def wait_until(condition, seconds=30):
    """The first truthy value of `condition`, or its last value when time is up; a failing look-up counts as not yet."""
    end = time.monotonic() + seconds
    while True:
        try:
            value = condition()
        except (RuntimeError, OSError):
            value = None
        if value or time.monotonic() > end:
            return value
        time.sleep(0.25)


class Table:
    """Rows PASS, FAIL or SKIP, written as tab-separated lines that the calling script collects."""

    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8")

    def row(self, verdict, name, detail=""):
        clean = str(detail).replace("\t", " ").replace("\n", " ")[:400]
        self.file.write(f"{verdict}\t{name}\t{clean}\n")
        self.file.flush()

    def check(self, name, passed, detail=""):
        self.row("PASS" if passed else "FAIL", name, detail)
        return bool(passed)


def fail(text):
    print(text, file=sys.stderr)
    sys.exit(2)
