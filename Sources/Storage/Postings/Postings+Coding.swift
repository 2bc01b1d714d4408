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
        var ids: [UInt32] = []
        _ = try Postings.forEach(
            decoding: &reader, limit: limit,
            counted: { count in
                ids.reserveCapacity(count)
            }
        ) { row in
            ids.append(row)
            return true
        }
        self.init(ascending: ids)
    }

    /// Calls `body` with the rows of an encoded list, ascending, until it returns false.
    ///
    /// - Parameters:
    ///   - limit: all rows must be below it.
    ///   - counted: told the number of rows first; it is not beyond what the bytes can hold.
    /// - Returns: whether the list was read to its end.
    @inline(__always)
    package static func forEach(
        decoding reader: inout ByteReader, limit: Int, counted: (Int) -> Void = { _ in },
        _ body: (UInt32) -> Bool
    ) throws(MalformedBytes) -> Bool {
        let kind = try reader.u8()
        let count = try reader.length(limit: limit, "number of postings")
        switch kind {
        case 0:
            guard count <= reader.remaining else { throw reader.malformed("\(count) postings") }
            counted(count)
            var next: UInt64 = 0
            for _ in 0..<count {
                let (id, overflow) = next.addingReportingOverflow(try reader.varint())
                guard !overflow, id < UInt64(limit), id <= UInt64(UInt32.max) else {
                    throw reader.malformed("posting below \(limit)")
                }
                if !body(UInt32(truncatingIfNeeded: id)) { return false }
                next = id &+ 1
            }
        case 1:
            let wordCount = try reader.length(limit: (limit + 63) / 64, "size of bitmap")
            guard wordCount &* 8 <= reader.remaining else {
                throw reader.malformed("bitmap of \(wordCount) words")
            }
            counted(count)
            var found = 0
            for index in 0..<wordCount {
                var rest = try reader.u64()
                found &+= rest.nonzeroBitCount
                while rest != 0 {
                    let id = index &* 64 &+ rest.trailingZeroBitCount
                    guard id < limit else { throw reader.malformed("posting below \(limit)") }
                    if !body(UInt32(truncatingIfNeeded: id)) { return false }
                    rest &= rest &- 1
                }
            }
            guard found == count else { throw reader.malformed("bitmap of \(count) postings") }
        default: throw reader.malformed("postings kind")
        }
        return true
    }
}
