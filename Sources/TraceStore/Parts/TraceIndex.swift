// SPDX-License-Identifier: Apache-2.0
// From trace id to blocks inside a part, and from rows to trace ids.

import Base
import Storage
import Telemetry

/// Trace ids by number, their order, and the blocks of each trace, in frames that are read one at a
/// time.
///
///     section: u8 version | varint traceCount |
///              ids:    varint n, n frames, each `Limits.idFrameTraces` × (u64 high, u64 low)
///              orders: varint n, n × (u64 high, u64 low of its first id, frame), each
///                      `Limits.indexPageTraces` × u32 trace number, by ascending id
///              blocks: varint n, n frames, each for `Limits.indexPageTraces` traces by number:
///                      varint k, varint first block, k − 1 × varint (difference − 1)
///
/// The last frame of each kind holds what is left. Ids and orders are stored raw; blocks of traces
/// of one time are alike and compress.
struct TraceIndex: Sendable {
    struct OrderPage: Sendable {
        var first: TraceID
        var frame: FrameRef
    }
    private(set) var traceCount = 0
    private(set) var idFrames: [FrameRef] = []
    private(set) var orderPages: [OrderPage] = []
    private(set) var blockPages: [FrameRef] = []

    /// - Parameters:
    ///   - rows: of the whole part.
    ///   - blockStarts: first row of each block.
    init(_ rows: PartRows, blockStarts: [Int], level: Int32, _ sink: inout FrameSink) {
        let ids = rows.traceIDs
        traceCount = ids.count
        for start in stride(from: 0, to: ids.count, by: Limits.idFrameTraces) {
            var frame = ByteWriter(reserving: Limits.idFrameTraces * 16)
            for id in ids[start..<min(ids.count, start + Limits.idFrameTraces)] {
                frame.u64(id.high)
                frame.u64(id.low)
            }
            idFrames.append(sink.append(frame.bytes, compressed: false, level: level))
        }
        let order = ids.indices.sorted { ids[$0] < ids[$1] }
        for start in stride(from: 0, to: order.count, by: Limits.indexPageTraces) {
            var frame = ByteWriter(reserving: Limits.indexPageTraces * 4)
            let page = order[start..<min(order.count, start + Limits.indexPageTraces)]
            for number in page { frame.u32(UInt32(number)) }
            orderPages.append(
                OrderPage(
                    first: ids[order[start]],
                    frame: sink.append(frame.bytes, compressed: false, level: level)))
        }
        writeBlocks(rows, blockStarts, level, &sink)
    }

    private mutating func writeBlocks(
        _ rows: PartRows, _ blockStarts: [Int], _ level: Int32, _ sink: inout FrameSink
    ) {
        let groups = TraceGroups(rows.traces, count: traceCount)
        var blockOfRow = [UInt32](repeating: 0, count: rows.count)
        for (block, start) in blockStarts.enumerated() {
            let end = block + 1 < blockStarts.count ? blockStarts[block + 1] : rows.count
            for row in start..<end { blockOfRow[row] = UInt32(block) }
        }
        var blocks: [UInt32] = []
        for start in stride(from: 0, to: traceCount, by: Limits.indexPageTraces) {
            var page = ByteWriter()
            for trace in start..<min(traceCount, start + Limits.indexPageTraces) {
                blocks.removeAll(keepingCapacity: true)
                // Rows ascend, so blocks do.
                for row in groups.rows(of: trace) where blocks.last != blockOfRow[Int(row)] {
                    blocks.append(blockOfRow[Int(row)])
                }
                page.varint(blocks.count)
                for (index, block) in blocks.enumerated() {
                    page.varint(UInt64(index == 0 ? block : block - blocks[index - 1] - 1))
                }
            }
            blockPages.append(sink.append(page.bytes, compressed: true, level: level))
        }
    }

    func encode() -> [UInt8] {
        var writer = ByteWriter()
        writer.u8(TraceFormat.version)
        writer.varint(traceCount)
        writer.varint(idFrames.count)
        for frame in idFrames { frame.encode(into: &writer) }
        writer.varint(orderPages.count)
        for page in orderPages {
            writer.u64(page.first.high)
            writer.u64(page.first.low)
            page.frame.encode(into: &writer)
        }
        writer.varint(blockPages.count)
        for frame in blockPages { frame.encode(into: &writer) }
        return writer.bytes
    }

    init(decoding reader: inout ByteReader) throws(MalformedBytes) {
        guard try reader.u8() == TraceFormat.version else {
            throw reader.malformed("trace index version \(TraceFormat.version)")
        }
        traceCount = try reader.length(limit: Int(UInt32.max), "number of traces")
        idFrames = try TraceIndex.frames(&reader, traceCount, Limits.idFrameTraces)
        let pages = (traceCount + Limits.indexPageTraces - 1) / Limits.indexPageTraces
        guard try reader.length(limit: reader.remaining, "number of pages") == pages else {
            throw reader.malformed("\(pages) pages of the order")
        }
        for _ in 0..<pages {
            let first = TraceID(high: try reader.u64(), low: try reader.u64())
            if let last = orderPages.last, !(last.first < first) {
                throw reader.malformed("ascending trace ids")
            }
            orderPages.append(OrderPage(first: first, frame: try FrameRef(decoding: &reader)))
        }
        blockPages = try TraceIndex.frames(&reader, traceCount, Limits.indexPageTraces)
        guard reader.isAtEnd else { throw reader.malformed("the end of the trace index") }
    }

    private static func frames(
        _ reader: inout ByteReader, _ traces: Int, _ perFrame: Int
    ) throws(MalformedBytes) -> [FrameRef] {
        let wanted = (traces + perFrame - 1) / perFrame
        guard try reader.length(limit: reader.remaining, "number of frames") == wanted else {
            throw reader.malformed("\(wanted) frames for \(traces) traces")
        }
        var frames: [FrameRef] = []
        for _ in 0..<wanted { frames.append(try FrameRef(decoding: &reader)) }
        return frames
    }

    /// The page of the order that would hold an id.
    func orderPage(for id: TraceID) -> Int? {
        var low = 0, high = orderPages.count
        while low < high {
            let middle = (low + high) / 2
            if orderPages[middle].first <= id { low = middle + 1 } else { high = middle }
        }
        return low > 0 ? low - 1 : nil
    }

    /// Traces in a frame that holds `perFrame` of them, unless it is the last.
    func traces(inFrame index: Int, of perFrame: Int) -> Int {
        min(perFrame, traceCount - index * perFrame)
    }

    /// Calls `body` with the blocks of the traces of a page of blocks, in order of their numbers,
    /// until it returns false.
    ///
    /// - Parameter limit: blocks of the part.
    static func forEachTrace(
        inBlockPage bytes: [UInt8], traces: Int, blocks limit: Int, _ body: ([Int]) -> Bool
    ) throws(MalformedBytes) {
        let result = bytes.withUnsafeBytes { raw -> Result<Void, MalformedBytes> in
            do throws(MalformedBytes) {
                var reader = ByteReader(raw)
                for _ in 0..<traces {
                    let count = try reader.length(limit: reader.remaining, "blocks of a trace")
                    var list: [Int] = []
                    list.reserveCapacity(count)
                    var next = 0
                    for _ in 0..<count {
                        let block = next + Int(try reader.u32Varint())
                        guard block < limit else { throw reader.malformed("block below \(limit)") }
                        list.append(block)
                        next = block + 1
                    }
                    if !body(list) { return .success(()) }
                }
                guard reader.isAtEnd else { throw reader.malformed("the end of a page") }
                return .success(())
            } catch { return .failure(error) }
        }
        try result.get()
    }
}

/// The key of a trace id in the filter of a part.
func filterKey(_ id: TraceID) -> UInt64 { mixed(id.high ^ mixed(id.low)) }
