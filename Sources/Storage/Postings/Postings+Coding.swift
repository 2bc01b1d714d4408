// SPDX-License-Identifier: Apache-2.0
// Postings as bytes.

import Base

/// Encoding, whichever is smaller:
///
///     u8 0 | varint count | varint first, count − 1 × varint (difference − 1)
///     u8 1 | varint count | varint wordCount | wordCount × u64        bit i of word w = row 64w + i
extension Postings {
    package func encode(into writer: inout ByteWriter) {
        var deltas = ByteWriter(reserving: count)
        var previous: UInt32 = 0
        for (index, id) in ids.enumerated() {
            deltas.varint(UInt64(index == 0 ? id : id - previous - 1))
            previous = id
        }
        let wordCount = ids.last.map { Int($0 >> 6) + 1 } ?? 0
        if wordCount * 8 < deltas.count {
            var bits = [UInt64](repeating: 0, count: wordCount)
            for id in ids { bits[Int(id >> 6)] |= 1 &<< UInt64(id & 63) }
            writer.u8(1)
            writer.varint(count)
            writer.varint(wordCount)
            writer.column(bits)
        } else {
            writer.u8(0)
            writer.varint(count)
            writer.raw(deltas.bytes)
        }
    }

    /// Decodes a list whose rows must all be below `limit`.
    package init(decoding reader: inout ByteReader, limit: Int) throws(MalformedBytes) {
        let kind = try reader.u8()
        let count = try reader.length(limit: limit, "number of postings")
        switch kind {
        case 0:
            guard count <= reader.remaining else { throw reader.malformed("\(count) postings") }
            var result: [UInt32] = []
            result.reserveCapacity(count)
            var next: UInt64 = 0
            for _ in 0..<count {
                let (id, overflow) = next.addingReportingOverflow(try reader.varint())
                guard !overflow, id < UInt64(limit), id <= UInt64(UInt32.max) else {
                    throw reader.malformed("posting below \(limit)")
                }
                result.append(UInt32(id))
                next = id + 1
            }
            self.init(ascending: result)
        case 1:
            let wordCount = try reader.length(limit: (limit + 63) / 64, "size of bitmap")
            let bits = try reader.column(wordCount, of: UInt64.self)
            self.init(bits: bits, count: count)
            guard self.count == count, ids.last.map({ Int($0) < limit }) ?? true else {
                throw reader.malformed("bitmap of \(count) postings below \(limit)")
            }
        default: throw reader.malformed("postings kind")
        }
    }
}
