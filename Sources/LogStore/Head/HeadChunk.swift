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
        let bytes = number.byteSwapped
        let high = EightDigits.hex(UInt32(truncatingIfNeeded: bytes))
        let low = EightDigits.hex(UInt32(truncatingIfNeeded: bytes &>> 32))
        return digits.loadUnaligned(fromByteOffset: offset, as: UInt64.self).littleEndian == high
            && digits.loadUnaligned(fromByteOffset: offset &+ 8, as: UInt64.self).littleEndian
                == low
    }
}

/// A run of rows of one stream in memory that never moves, so that readers need no copy: whoever
/// got a count under the shard's lock may read the rows below it without the lock, for ever.
// Written only under the lock of its shard, and only beyond every count that was handed out.
final class HeadChunk: @unchecked Sendable {
    /// A duplicate table addresses rows with 12 bits.
    static let maxRows = 4096
    /// Memory is taken whole, so a chunk is no larger than pays.
    static let maxArena = 128 << 10

    private let memory: HeadMemory
    private let rowPiece: HeadPiece
    private let arenaPiece: HeadPiece
    private var idPiece: HeadPiece?
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

    init(rowCapacity: Int, arenaCapacity: Int, _ memory: HeadMemory) {
        self.rowCapacity = rowCapacity
        self.arenaCapacity = arenaCapacity
        self.memory = memory
        rowPiece = memory.allocate(rowCapacity * MemoryLayout<HeadRow>.stride)
        arenaPiece = memory.allocate(arenaCapacity)
        rows = rowPiece.base.bindMemory(to: HeadRow.self, capacity: rowCapacity)
        arena = arenaPiece.base
    }

    deinit {
        rowPiece.deallocate()
        arenaPiece.deallocate()
        idPiece?.deallocate()
    }

    /// A chunk that follows one of this size: twice as large, up to the limits, and with room for
    /// as many rows as lines of the length so far would fill it with.
    static func following(
        _ previous: HeadChunk?, toHold byteCount: Int, _ memory: HeadMemory
    ) -> HeadChunk {
        guard let previous else {
            return HeadChunk(rowCapacity: 8, arenaCapacity: max(1024, byteCount), memory)
        }
        let arena = max(min(maxArena, previous.arenaCapacity * 2), byteCount)
        let rowBytes = max(1, previous.arenaCount / max(1, previous.rowCount))
        return HeadChunk(
            rowCapacity: min(maxRows, previous.rowCapacity * 2, max(8, arena / rowBytes * 9 / 8)),
            arenaCapacity: arena, memory)
    }

    var allocatedBytes: Int {
        rowCapacity * MemoryLayout<HeadRow>.stride + arenaCapacity
            + (ids == nil ? 0 : rowCapacity * MemoryLayout<RowIDs>.stride)
    }

    func hasRoom(for byteCount: Int) -> Bool {
        rowCount < rowCapacity && byteCount <= arenaCapacity - arenaCount
    }

    /// Adds a row that `hasRoom` for.
    ///
    /// - Returns: bytes of memory taken beyond what the chunk had.
    func append(
        nanos: Int64, sequence: UInt64, line: UnsafeRawBufferPointer,
        metadata: UnsafeRawBufferPointer, ids rowIDs: RowIDs
    ) -> Int {
        let index = rowCount
        let lineSlice = keep(line)
        var metadataSlice = ByteSlice.empty
        if index > 0 {
            let last = rows[index - 1]
            // Neighbours mostly carry the same metadata: keep it once.
            if !metadata.isEmpty {
                metadataSlice =
                    sameBytes(bytes(last.metadata), metadata) ? last.metadata : keep(metadata)
            }
            if nanos < last.nanos || (nanos == last.nanos && sequence < last.sequence) {
                isSorted = false
            }
        } else if !metadata.isEmpty {
            metadataSlice = keep(metadata)
        }
        rows.advanced(by: index).initialize(
            to: HeadRow(
                nanos: nanos, sequence: sequence, line: lineSlice, metadata: metadataSlice))
        minNanos = min(minNanos, nanos)
        maxNanos = max(maxNanos, nanos)
        rowCount = index + 1
        if let ids {
            ids.advanced(by: index).initialize(to: rowIDs)
            return 0
        }
        if rowIDs == .none { return 0 }
        let piece = memory.allocate(rowCapacity * MemoryLayout<RowIDs>.stride)
        let fresh = piece.base.bindMemory(to: RowIDs.self, capacity: rowCapacity)
        // Rows to come bring their own.
        fresh.initialize(repeating: .none, count: index)
        fresh.advanced(by: index).initialize(to: rowIDs)
        (idPiece, ids) = (piece, fresh)
        return rowCapacity * MemoryLayout<RowIDs>.stride
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
