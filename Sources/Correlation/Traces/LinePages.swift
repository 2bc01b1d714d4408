// SPDX-License-Identifier: Apache-2.0
// References to log lines in a part.

import Base
import Storage
import Telemetry

/// Rows of `LineReferences` as bytes; see `CorrelationFormat`, sections 10 and 11. The first key of
/// every page is in the directory, so that a look-up reads one page.
struct LinePages: Sendable {
    /// Rows of a page.
    static let pageRows = 256

    private struct Page: Sendable {
        var first: UInt32
        var offset: Int
        var rows: Int
    }
    private let streams: [UInt64]
    private let base: Int64
    private let pages: [Page]
    private let byteCount: Int
    /// Of all pages.
    let rowCount: Int

    static func encode(
        streams: [UInt64], rows: [LineReferences.Row]
    ) -> (directory: [UInt8], pages: [UInt8]) {
        var directory = ByteWriter(), pages = ByteWriter(reserving: rows.count * 8)
        let base = rows.lazy.map(\.window).min() ?? 0
        directory.varint(streams.count)
        for hash in streams { directory.u64(hash) }
        directory.zigzag(base)
        directory.varint(rows.count)
        for start in stride(from: 0, to: rows.count, by: pageRows) {
            let begin = pages.count
            var key = rows[start].key
            var window = base
            directory.u32(key)
            let end = min(rows.count, start + pageRows)
            var isFirst = true
            for place in start..<end {
                let row = rows[place]
                if isFirst {
                    if row.key != key { window = base }
                    pages.varint(UInt64(row.key - key))
                    pages.varint(UInt64(bitPattern: row.window &- window))
                    key = row.key
                    window = row.window
                }
                let isLast =
                    place + 1 == end || rows[place + 1].key != key
                    || rows[place + 1].window != window
                pages.varint(UInt64(row.stream) &<< 1 | (isLast ? 1 : 0))
                isFirst = isLast
            }
            directory.varint(pages.count - begin)
        }
        return (directory.bytes, pages.bytes)
    }

    /// - Parameter limit: bytes of the section with the pages.
    init(directory reader: inout ByteReader, bytes limit: Int) throws(MalformedBytes) {
        let streamCount = try reader.length(limit: reader.remaining / 8, "number of streams")
        var streams: [UInt64] = []
        streams.reserveCapacity(streamCount)
        for _ in 0..<streamCount { streams.append(try reader.u64()) }
        base = try reader.zigzag()
        rowCount = try reader.length(limit: limit, "number of references")
        var pages: [Page] = []
        var offset = 0
        for start in stride(from: 0, to: rowCount, by: LinePages.pageRows) {
            let first = try reader.u32()
            if let last = pages.last, first < last.first {
                throw reader.malformed("ascending keys")
            }
            pages.append(
                Page(
                    first: first, offset: offset, rows: min(LinePages.pageRows, rowCount - start)))
            offset += try reader.length(limit: limit - offset, "bytes of a page")
        }
        guard offset == limit else { throw reader.malformed("\(limit) bytes of pages") }
        self.streams = streams
        self.pages = pages
        byteCount = limit
    }

    /// References with the key of a trace, in the bytes of the section. O(log pages + a page).
    func references(
        _ id: TraceID, in bytes: UnsafeRawBufferPointer
    ) throws(MalformedBytes) -> [LogReference] {
        let key = LineReferences.key(id)
        var low = 0, high = pages.count
        while low < high {
            let middle = (low + high) / 2
            if pages[middle].first < key { low = middle + 1 } else { high = middle }
        }
        var found: [LogReference] = []
        // The page before may end with the key.
        for page in max(0, low - 1)..<max(0, pages.count) {
            if pages[page].first > key { break }
            try read(page, bytes) { row in
                if row.key == key {
                    found.append(
                        LogReference(streamHash: streams[Int(row.stream)], window: row.window))
                }
                return row.key <= key
            }
        }
        return found
    }

    /// Everything, for merging.
    func all(in bytes: UnsafeRawBufferPointer) throws(MalformedBytes) -> LineReferences {
        var result = LineReferences()
        for (place, hash) in streams.enumerated()
        where result.number(ofStream: hash) != UInt32(truncatingIfNeeded: place) {
            throw MalformedBytes(offset: 0, expected: "streams once each")
        }
        var rows: [LineReferences.Row] = []
        rows.reserveCapacity(rowCount)
        for page in pages.indices {
            try read(page, bytes) { row in
                rows.append(row)
                return true
            }
        }
        for place in rows.indices.dropFirst() where rows[place] <= rows[place - 1] {
            throw MalformedBytes(offset: 0, expected: "ascending references")
        }
        result.add(run: rows)
        return result
    }

    /// Hands over the rows of a page until `body` returns false.
    private func read(
        _ number: Int, _ bytes: UnsafeRawBufferPointer, _ body: (LineReferences.Row) -> Bool
    ) throws(MalformedBytes) {
        let page = pages[number]
        let end = number + 1 < pages.count ? pages[number + 1].offset : byteCount
        guard end <= bytes.count else {
            throw MalformedBytes(offset: 0, expected: "\(byteCount) bytes of pages")
        }
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[page.offset..<end]))
        var key = page.first
        var window = base
        var isFirst = true
        for _ in 0..<page.rows {
            if isFirst {
                let (next, overflow) = key.addingReportingOverflow(try reader.number())
                if next != key { window = base }
                key = next
                window = window &+ Int64(bitPattern: try reader.varint())
                guard !overflow, LogReference.windows.contains(window) else {
                    throw reader.malformed("a key and a window")
                }
            }
            let coded = try reader.varint()
            guard coded &>> 1 < UInt64(streams.count) else {
                throw reader.malformed("a stream below \(streams.count)")
            }
            let row = LineReferences.Row(
                key: key, stream: UInt32(truncatingIfNeeded: coded &>> 1), window: window)
            if !body(row) { return }
            isFirst = coded & 1 == 1
        }
        guard reader.isAtEnd else { throw reader.malformed("the end of a page") }
    }
}

extension ByteReader {
    /// A varint of 32 bits.
    fileprivate mutating func number() throws(MalformedBytes) -> UInt32 {
        UInt32(truncatingIfNeeded: try length(limit: Int(UInt32.max), "number"))
    }
}
