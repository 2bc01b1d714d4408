// SPDX-License-Identifier: Apache-2.0
// Append-only memory for rows of one stream.

import Base
import Telemetry

/// Fixed columns of a row in a head.
struct HeadRow: BitwiseCopyable {
    var nanos: Int64
    /// Number of the log record that brought it: orders rows of equal time.
    var sequence: UInt64
    var line: ByteSlice
    var metadata: ByteSlice
}

/// Trace and span id of a row; zero = none.
struct RowIDs: BitwiseCopyable, Equatable {
    var traceHigh: UInt64
    var traceLow: UInt64
    var span: UInt64

    static let none = RowIDs(traceHigh: 0, traceLow: 0, span: 0)
    init(traceHigh: UInt64, traceLow: UInt64, span: UInt64) {
        self.traceHigh = traceHigh
        self.traceLow = traceLow
        self.span = span
    }
    init(_ trace: TraceID, _ span: SpanID) {
        self.init(traceHigh: trace.high, traceLow: trace.low, span: span.rawValue)
    }
    var trace: TraceID { TraceID(high: traceHigh, low: traceLow) }
    var spanID: SpanID { SpanID(span) }

    /// Whether bytes are the trace id in 32 lower-case digits.
    func isTraceText(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.count == 32 && RowIDs.isHex(bytes, at: 0, traceHigh)
            && RowIDs.isHex(bytes, at: 16, traceLow)
    }

    /// Whether bytes are the span id in 16 lower-case digits.
    func isSpanText(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.count == 16 && RowIDs.isHex(bytes, at: 0, span)
    }

    private static func isHex(
        _ digits: UnsafeRawBufferPointer, at offset: Int, _ number: UInt64
    ) -> Bool {
        for i in 0..<16 {
            let nibble = UInt8(truncatingIfNeeded: number &>> UInt64(60 &- 4 &* i)) & 15
            let digit =
                nibble < 10 ? nibble &+ UInt8(ascii: "0") : nibble &- 10 &+ UInt8(ascii: "a")
            if digits[offset &+ i] != digit { return false }
        }
        return true
    }
}

/// A run of rows of one stream in memory that never moves, so that readers need no copy: whoever
/// got a count under the shard's lock may read the rows below it without the lock, for ever.
// Written only under the lock of its shard, and only beyond every count that was handed out.
final class HeadChunk: @unchecked Sendable {
    /// A duplicate table addresses rows with 12 bits.
    static let maxRows = 4096
    static let maxArena = 256 << 10

    private let rows: UnsafeMutablePointer<HeadRow>
    private let arena: UnsafeMutableRawPointer
    private let rowCapacity: Int
    private let arenaCapacity: Int
    private var ids: UnsafeMutablePointer<RowIDs>?
    private(set) var rowCount = 0
    private var arenaCount = 0
    private(set) var minNanos = Int64.max
    private(set) var maxNanos = Int64.min
    private var isSorted = true

    init(rowCapacity: Int, arenaCapacity: Int) {
        self.rowCapacity = rowCapacity
        self.arenaCapacity = arenaCapacity
        rows = .allocate(capacity: rowCapacity)
        arena = .allocate(byteCount: arenaCapacity, alignment: 16)
    }

    deinit {
        rows.deallocate()
        arena.deallocate()
        ids?.deallocate()
    }

    /// A chunk that follows one of this size: twice as large, up to the limits.
    static func following(_ previous: HeadChunk?, toHold byteCount: Int) -> HeadChunk {
        guard let previous else {
            return HeadChunk(rowCapacity: 8, arenaCapacity: max(1024, byteCount))
        }
        return HeadChunk(
            rowCapacity: min(maxRows, previous.rowCapacity * 2),
            arenaCapacity: max(min(maxArena, previous.arenaCapacity * 2), byteCount))
    }

    var allocatedBytes: Int {
        rowCapacity * MemoryLayout<HeadRow>.stride + arenaCapacity
            + (ids == nil ? 0 : rowCapacity * MemoryLayout<RowIDs>.stride)
    }

    func hasRoom(for byteCount: Int) -> Bool {
        rowCount < rowCapacity && byteCount <= arenaCapacity - arenaCount
    }

    /// Adds a row that `hasRoom` for.
    func append(
        nanos: Int64, sequence: UInt64, line: UnsafeRawBufferPointer,
        metadata: UnsafeRawBufferPointer, ids rowIDs: RowIDs
    ) {
        let lineSlice = keep(line)
        var metadataSlice = ByteSlice.empty
        if !metadata.isEmpty {
            // Neighbours mostly carry the same metadata: keep it once.
            if rowCount > 0, sameBytes(bytes(rows[rowCount - 1].metadata), metadata) {
                metadataSlice = rows[rowCount - 1].metadata
            } else {
                metadataSlice = keep(metadata)
            }
        }
        if rowIDs != .none, ids == nil {
            let fresh = UnsafeMutablePointer<RowIDs>.allocate(capacity: rowCapacity)
            fresh.initialize(repeating: .none, count: rowCapacity)
            ids = fresh
        }
        ids?[rowCount] = rowIDs
        if rowCount > 0 {
            let last = rows[rowCount - 1]
            if nanos < last.nanos || (nanos == last.nanos && sequence < last.sequence) {
                isSorted = false
            }
        }
        rows.advanced(by: rowCount).initialize(
            to: HeadRow(
                nanos: nanos, sequence: sequence, line: lineSlice, metadata: metadataSlice))
        minNanos = min(minNanos, nanos)
        maxNanos = max(maxNanos, nanos)
        rowCount += 1
    }

    private func keep(_ source: UnsafeRawBufferPointer) -> ByteSlice {
        let start = arenaCount
        if let base = source.baseAddress {
            arena.advanced(by: start).copyMemory(from: base, byteCount: source.count)
        }
        arenaCount += source.count
        return ByteSlice(offset: start, count: source.count)
    }

    func row(_ index: Int) -> HeadRow { rows[index] }

    func bytes(_ slice: ByteSlice) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: arena.advanced(by: Int(slice.offset)), count: Int(slice.count))
    }

    /// What a reader may see from now on. Called under the lock.
    func view() -> ChunkView {
        ChunkView(
            chunk: self, rows: UnsafeBufferPointer(start: rows, count: rowCount),
            arena: UnsafeRawBufferPointer(start: arena, count: arenaCount),
            ids: UnsafePointer(ids), minNanos: minNanos, maxNanos: maxNanos, isSorted: isSorted)
    }
}

/// The rows of a chunk at one moment.
// Points into memory that `chunk` owns and that no longer changes.
struct ChunkView: @unchecked Sendable {
    let chunk: HeadChunk
    let rows: UnsafeBufferPointer<HeadRow>
    let arena: UnsafeRawBufferPointer
    let ids: UnsafePointer<RowIDs>?
    let minNanos: Int64
    let maxNanos: Int64
    /// Whether rows ascend by time and, where that is equal, by log record.
    let isSorted: Bool
}
