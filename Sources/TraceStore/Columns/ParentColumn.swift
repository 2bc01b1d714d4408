// SPDX-License-Identifier: Apache-2.0
// Parents of a block's spans.

import Base
import Telemetry

/// Where the parent of each row is. Ids are random and do not compress, so a parent in the same
/// part is named by its row: spans of one operation mostly have parents of a few others, in about
/// the same order.
///
///     varint d, d × varint page               pages of rows (`Limits.parentPageRows`) with parents
///     per row varint: 0 none, 1 an id, k + 2 = a row of page k of the list
///     per such row zigzag: place in the page less that of the one before with the same page
///     u64 per id
///
/// A row that is named has the parent's id as its span id.
struct ParentColumn {
    enum Parent: Equatable {
        case none
        case id(SpanID)
        case row(Int)
    }
    private(set) var parents: [Parent] = []

    static func encode(
        _ parents: some Sequence<Parent>, into writer: inout ByteWriter
    ) {
        var numbers: [Int: Int] = [:]
        var pages: [Int] = []
        var last: [Int] = []
        var codes = ByteWriter(), places = ByteWriter(), ids = ByteWriter()
        for parent in parents {
            switch parent {
            case .none: codes.varint(0)
            case .id(let id):
                codes.varint(1)
                ids.u64(id.rawValue)
            case .row(let row):
                let page = row / Limits.parentPageRows
                let number: Int
                if let known = numbers[page] {
                    number = known
                } else {
                    number = pages.count
                    numbers[page] = number
                    pages.append(page)
                    last.append(0)
                }
                let place = row % Limits.parentPageRows
                codes.varint(number + 2)
                places.zigzag(Int64(place - last[number]))
                last[number] = place
            }
        }
        writer.varint(pages.count)
        for page in pages { writer.varint(page) }
        writer.raw(codes.bytes)
        writer.raw(places.bytes)
        writer.raw(ids.bytes)
    }

    /// - Parameters:
    ///   - count: rows of the block.
    ///   - limit: rows of the part.
    init(
        decoding reader: inout ByteReader, count: Int, rows limit: Int
    ) throws(MalformedBytes) {
        let d = try reader.length(limit: reader.remaining, "number of pages")
        var pages: [Int] = []
        for _ in 0..<d {
            pages.append(try reader.length(limit: limit / Limits.parentPageRows, "page of rows"))
        }
        let codes = try VarintColumn.decode(&reader, count: count)
        guard codes.allSatisfy({ $0 <= UInt64(d) + 1 }) else {
            throw reader.malformed("codes of parents below \(d + 2)")
        }
        var last = [Int64](repeating: 0, count: d)
        parents = [Parent](repeating: .none, count: count)
        for (row, code) in codes.enumerated() where code > 1 {
            let number = Int(code) - 2
            let place = last[number] &+ (try reader.zigzag())
            guard place >= 0, place < Int64(Limits.parentPageRows) else {
                throw reader.malformed("place in a page of rows")
            }
            last[number] = place
            let parent = pages[number] * Limits.parentPageRows + Int(place)
            guard parent < limit else { throw reader.malformed("row below \(limit)") }
            parents[row] = .row(parent)
        }
        for (row, code) in codes.enumerated() where code == 1 {
            parents[row] = .id(SpanID(try reader.u64()))
        }
    }
}
