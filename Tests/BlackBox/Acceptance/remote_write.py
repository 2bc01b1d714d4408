# SPDX-License-Identifier: Apache-2.0
# Remote write 1.0 without any library: protobuf by hand, and snappy blocks that hold literals only.

import struct

from acceptance import post


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def series(labels, samples):
    """A TimeSeries of `(milliseconds, value)` pairs."""
    message = b"".join(
        field(1, field(1, name.encode()) + field(2, value.encode())) for name, value in sorted(labels.items())
    )
    for millis, value in samples:
        message += field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(millis))
    return field(1, message)


def snappy(data):
    out = bytearray(varint(len(data)))
    for start in range(0, len(data), 1 << 16):
        chunk = data[start : start + (1 << 16)]
        out += bytes([61 << 2]) + struct.pack("<H", len(chunk) - 1) + chunk
    return bytes(out)


def write(url, all_series):
    """Sends `(labels, samples)` pairs as one request; raises when it is not taken."""
    body = snappy(b"".join(series(labels, samples) for labels, samples in all_series))
    headers = {
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": "snappy",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }
    status, text = post(url + "/api/v1/write", body, headers)
    if status // 100 != 2:
        raise RuntimeError(f"{url}: {status} {text[:300]}")
