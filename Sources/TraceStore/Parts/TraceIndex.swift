// SPDX-License-Identifier: Apache-2.0
// From trace id to rows inside a part.

import Base
import Storage
import Telemetry

/// Sorted trace ids with their rows, in pages that are read one at a time.
///
///     section: u8 version | varint traceCount | varint n, n pages
///     page entry: u64 high, u64 low of its first id | frame
///     page frame: varint n | n × (u64 high, u64 low) | n × (varint rows, varint first row,
///                 then varint deltas − 1)
///
/// Ids are random and rows nearly so: the page is stored raw, an id costs 16 bytes and a row two
/// or three.
struct TraceIndex: Sendable {
    struct Page: Sendable {
        var first: TraceID
        var frame: FrameRef
    }
    private(set) var traceCount = 0
    private(set) var pages: [Page] = []

    /// Builds the pages from (trace id, row) pairs.
    init(_ entries: inout [(id: TraceID, row: UInt32)], _ sink: inout FrameSink) {
        entries.sort { $0.id == $1.id ? $0.row < $1.row : $0.id < $1.id }
        var start = 0
        var ids: [TraceID] = []
        var rows = ByteWriter()
        func flush(_ pages: inout [Page], _ sink: inout FrameSink) {
            guard let first = ids.first else { return }
            var page = ByteWriter()
            page.varint(ids.count)
            for id in ids {
                page.u64(id.high)
                page.u64(id.low)
            }
            page.raw(rows.bytes)
            pages.append(
                Page(first: first, frame: sink.append(page.bytes, compressed: false, level: 1)))
            ids.removeAll(keepingCapacity: true)
            rows.bytes.removeAll(keepingCapacity: true)
        }
        while start < entries.count {
            let id = entries[start].id
            var end = start
            while end < entries.count, entries[end].id == id { end += 1 }
            ids.append(id)
            rows.varint(end - start)
            rows.varint(UInt64(entries[start].row))
            for i in (start + 1)..<Swift.max(end, start + 1) {
                rows.varint(UInt64(entries[i].row - entries[i - 1].row) - 1)
            }
            traceCount += 1
            start = end
            if ids.count >= Limits.indexPageTraces { flush(&pages, &sink) }
        }
        flush(&pages, &sink)
    }

    func encode() -> [UInt8] {
        var writer = ByteWriter()
        writer.u8(TraceFormat.version)
        writer.varint(traceCount)
        writer.varint(pages.count)
        for page in pages {
            writer.u64(page.first.high)
            writer.u64(page.first.low)
            page.frame.encode(into: &writer)
        }
        return writer.bytes
    }

    init(decoding reader: inout ByteReader) throws(MalformedBytes) {
        guard try reader.u8() == TraceFormat.version else {
            throw reader.malformed("trace index version \(TraceFormat.version)")
        }
        traceCount = try reader.length(limit: Int(UInt32.max), "number of traces")
        let n = try reader.length(limit: reader.remaining, "number of pages")
        for _ in 0..<n {
            let first = TraceID(high: try reader.u64(), low: try reader.u64())
            if let last = pages.last, !(last.first < first) {
                throw reader.malformed("ascending trace ids")
            }
            pages.append(Page(first: first, frame: try FrameRef(decoding: &reader)))
        }
        guard reader.isAtEnd else { throw reader.malformed("the end of the trace index") }
    }

    /// The page that would hold an id.
    func page(for id: TraceID) -> Page? {
        var low = 0, high = pages.count
        while low < high {
            let middle = (low + high) / 2
            if pages[middle].first <= id { low = middle + 1 } else { high = middle }
        }
        return low > 0 ? pages[low - 1] : nil
    }

    /// Rows of one trace in a page, ascending; empty when the id is not there.
    static func rows(
        of id: TraceID, inPage bytes: [UInt8]
    ) throws(MalformedBytes) -> [Int] {
        var found: [Int] = []
        try forEach(inPage: bytes) { other, rows in
            if other == id { found = rows }
            return other < id
        }
        return found
    }

    /// Calls `body` with each id of a page and its rows until it returns false.
    static func forEach(
        inPage bytes: [UInt8], _ body: (TraceID, [Int]) -> Bool
    ) throws(MalformedBytes) {
        let result = bytes.withUnsafeBytes { raw -> Result<Void, MalformedBytes> in
            do throws(MalformedBytes) {
                var ids = ByteReader(raw)
                let n = try ids.length(limit: raw.count / 16, "number of traces")
                var rows = ids
                try rows.skip(n * 16)
                for _ in 0..<n {
                    let id = TraceID(high: try ids.u64(), low: try ids.u64())
                    let count = try rows.length(limit: rows.remaining, "rows of a trace")
                    var list: [Int] = []
                    list.reserveCapacity(count)
                    var row = 0
                    for i in 0..<count {
                        let step = Int(try rows.u32Varint())
                        row = i == 0 ? step : row + 1 + step
                        list.append(row)
                    }
                    if !body(id, list) { return .success(()) }
                }
                return .success(())
            } catch { return .failure(error) }
        }
        try result.get()
    }
}
