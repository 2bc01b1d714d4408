// SPDX-License-Identifier: Apache-2.0
// What a head shard selected.

import Storage
import Telemetry

/// Series of a head shard, copied under its lock.
struct HeadSelection: Sendable {
    /// What is known of a series.
    enum Held: Sendable {
        /// Its newest sample in the range: a float without a start timestamp, and nothing else is
        /// going to be read.
        case newest(millis: Int64, bits: UInt64)
        /// All its samples: number of the piece.
        case piece(Int)
    }
    private(set) var labels: [Labels] = []
    private(set) var held: [Held] = []
    private(set) var pieces: [HeadPiece] = []

    init() {}

    /// Those of some series that have samples around the range.
    ///
    /// - Throws: `QueryInterruption` when the query is to end.
    init(
        _ state: borrowing ShardState, _ ids: [UInt32], _ request: SeriesRequest,
        _ context: ReadContext
    ) throws {
        let range = request.range
        labels.reserveCapacity(ids.count)
        held.reserveCapacity(ids.count)
        if request.samples == .all { pieces.reserveCapacity(ids.count) }
        try state.series.withUnsafeBufferPointer { series in
            for (number, id) in ids.enumerated() {
                if number & 1023 == 1023 { try context.check() }
                let ref = Int(id)
                if request.samples == .newest, series[ref].extras == .max, series[ref].hasFloats,
                    series[ref].lastMillis <= range.last.rawValue
                {
                    let millis = series[ref].lastMillis
                    if millis < range.first.rawValue { continue }
                    held.append(.newest(millis: millis, bits: series[ref].open.lastBits))
                } else {
                    let piece = HeadPiece(state, ref)
                    guard piece.overlaps(range) else { continue }
                    held.append(.piece(pieces.count))
                    pieces.append(piece)
                }
                labels.append(
                    Labels(canonical: state.labels.bytes(ref), hash: state.labels.hash(ref)))
            }
        }
    }

    /// Bytes that are held for a series besides its labels.
    func byteCount(_ index: Int) -> Int {
        switch held[index] {
        case .newest: MemoryLayout<Held>.stride
        case .piece(let number): pieces[number].byteCount + MemoryLayout<HeadPiece>.stride
        }
    }

    /// Time of a series' newest sample, or of the newest that can be read.
    func maxMillis(_ index: Int) -> Int64 {
        switch held[index] {
        case .newest(let millis, _): millis
        case .piece(let number): pieces[number].maxMillis
        }
    }

    /// See `HeadPiece.newestFloat`.
    func newestFloat(_ index: Int, _ range: MillisRange) -> (millis: Int64, value: Double)? {
        switch held[index] {
        case .newest(let millis, let bits): (millis, Double(bitPattern: bits))
        case .piece(let number): pieces[number].newestFloat(range)
        }
    }

    /// Appends what is held of a series in the range. Returns the bytes that were decoded.
    func read(_ index: Int, _ range: MillisRange, into runs: inout SampleRuns) -> Int {
        switch held[index] {
        case .newest(let millis, let bits):
            let start = runs.begin()
            runs.columns.millis.append(millis)
            runs.columns.values.append(Double(bitPattern: bits))
            runs.end(from: start, in: range)
            return 16
        case .piece(let number): return pieces[number].read(range, into: &runs)
        }
    }
}
