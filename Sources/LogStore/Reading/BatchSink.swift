// SPDX-License-Identifier: Apache-2.0
// Collects merged rows into batches for a reader.

import Base
import Telemetry

/// Copies rows into batches and hands a batch over when it is full.
struct BatchSink: RowSink {
    private static let batchBytes = 1 << 20

    private let streams: [Labels]
    private let isDescending: Bool
    private var batchRows: Int
    private let body: (LogBatch) throws -> Bool
    private var batch = LogBatch()
    /// Index in the batch of each stream, or nil.
    private var indices: [UInt32?]
    private var used: [Int] = []
    /// Constant metadata of the rows that were copied last.
    private weak var constantOwner: DecodedRows?
    private var constantSlice = ByteSlice.empty

    /// - Parameter limit: rows the reader wants about; 0 = all.
    init(
        _ streams: [Labels], isDescending: Bool, limit: Int,
        _ body: @escaping (LogBatch) throws -> Bool
    ) {
        self.streams = streams
        self.isDescending = isDescending
        self.body = body
        batchRows = limit > 0 ? min(limit, 4096) : 4096
        indices = [UInt32?](repeating: nil, count: streams.count)
    }

    mutating func take(
        _ rows: DecodedRows, _ positions: Range<Int>, stream: Int
    ) throws -> Bool {
        for number in 0..<positions.count {
            let position =
                isDescending ? positions.upperBound - 1 - number : positions.lowerBound + number
            add(rows, Int(rows.selection[position]), stream)
            if batch.rowCount >= batchRows || batch.arena.count >= BatchSink.batchBytes {
                if try !flush() { return false }
            }
        }
        return true
    }

    private mutating func add(_ rows: DecodedRows, _ row: Int, _ stream: Int) {
        let index: UInt32
        if let known = indices[stream] {
            index = known
        } else {
            index = batch.addStream(streams[stream])
            indices[stream] = index
            used.append(stream)
        }
        let line = batch.arena.keep(rows.line(row))
        var metadata = ByteSlice.empty
        switch rows.metadata {
        case .none: break
        case .constant(let bytes):
            if constantOwner !== rows {
                constantSlice = bytes.withUnsafeBytes { batch.arena.keep($0) }
                constantOwner = rows
            }
            metadata = constantSlice
        case .slices, .columns:
            let start = batch.arena.count
            rows.appendMetadata(row, into: &batch.arena)
            metadata = ByteSlice(offset: start, count: batch.arena.count - start)
        }
        let ids = rows.rowIDs(row)
        batch.addRow(
            stream: index, nanos: rows.nanos[row], line: line, metadata: metadata,
            traceID: ids.trace, spanID: ids.spanID)
    }

    /// Hands over what has been collected.
    mutating func flush() throws -> Bool {
        if batch.rowCount == 0 { return true }
        let full = batch
        batch = LogBatch()
        for stream in used { indices[stream] = nil }
        used.removeAll(keepingCapacity: true)
        constantOwner = nil
        return try body(full)
    }
}
