// SPDX-License-Identifier: Apache-2.0
// The log of a disk in memory as text, for failing seeds.

import Base
import Storage
import TestKit

extension FaultyDisk {
    /// One line per segment: each record header as `offset:sequence(acknowledged)`, `!` where its
    /// payload is damaged.
    var logListing: String {
        paths.filter { $0.hasSuffix(".wal") }.map { path in
            let bytes = contents(path) ?? []
            let records = bytes.withUnsafeBytes { raw in
                stride(
                    from: LogFormat.headerCount, to: max(raw.count, LogFormat.headerCount), by: 8
                )
                .compactMap { offset -> String? in
                    guard let header = LogRecordHeader.parse(raw, at: offset) else { return nil }
                    let first = offset + LogFormat.recordHeaderCount
                    let whole =
                        first + header.storedCount <= raw.count
                        && crc32c(
                            UnsafeRawBufferPointer(
                                rebasing: raw[first..<(first + header.storedCount)]))
                            == header.payloadCRC
                    return "\(offset):\(header.sequence)(\(header.acknowledged))"
                        + (whole ? "" : "!") + (header.type == LogFormat.endType ? "end" : "")
                }
            }
            return "\n  \(path) of \(bytes.count): \(records.joined(separator: " "))"
        }.joined()
    }
}
