// SPDX-License-Identifier: Apache-2.0
// One series in a head.

import Base
import Telemetry

/// Samples of a series since its head began. A value type: copying it is how readers take a
/// snapshot, and the next append copies at most one open chunk.
struct HeadSeries: Sendable {
    /// Samples at which an open chunk is closed.
    static let chunkCount: UInt32 = 240

    private(set) var open = OpenChunk()
    /// Closed chunks in ascending time.
    private(set) var closed: [OpenChunk] = []
    /// Index of the shard's `HeadExtras`, or `.max` when the series has none.
    var extras: UInt32 = .max

    /// Time of the newest sample that came in order; meaningful when `hasFloats`.
    var lastMillis: Int64 { open.lastMillis }
    var hasFloats: Bool { open.count > 0 }

    /// Appends a sample later than `lastMillis`. Returns the bytes by which memory grew.
    @inline(__always)
    mutating func append(millis: Int64, bits: UInt64) -> Int {
        if open.count >= HeadSeries.chunkCount {
            closed.append(open)
            open = OpenChunk()
        }
        let before = open.bits.words.count
        open.append(millis: millis, bits: bits)
        return (open.bits.words.count &- before) &* 8
    }

    /// Asks for the memory that `append` is about to touch.
    @inline(__always)
    mutating func prefetchEnd() { open.prefetchEnd() }

    /// Bits of the in-order sample at a time, or nil. Decodes one chunk at most.
    func bits(at millis: Int64) -> UInt64? {
        guard hasFloats, millis <= lastMillis else { return nil }
        if millis == lastMillis { return open.lastBits }
        if millis >= open.firstMillis { return open.bits(at: millis) }
        // The first closed chunk that ends at or after the time is the only candidate.
        var low = 0
        var high = closed.count
        while low < high {
            let middle = (low + high) / 2
            if closed[middle].lastMillis < millis { low = middle + 1 } else { high = middle }
        }
        guard low < closed.count, closed[low].firstMillis <= millis else { return nil }
        return closed[low].bits(at: millis)
    }
}

extension OpenChunk {
    /// Calls `body` with each sample in order, until it returns false.
    @inline(__always)
    func forEach(_ body: (Int64, UInt64) -> Bool) {
        bits.words.withUnsafeBytes { bytes in
            var reader = OpenChunkReader(bytes)
            for _ in 0..<count {
                do throws(MalformedBytes) {
                    try reader.next()
                } catch {
                    preconditionFailure("a chunk in memory cannot be read: \(error)")
                }
                if !body(reader.millis, reader.value) { return }
            }
        }
    }

    /// Bits of the sample at a time, or nil.
    func bits(at millis: Int64) -> UInt64? {
        var found: UInt64?
        forEach { time, value in
            if time == millis { found = value }
            return time < millis
        }
        return found
    }

    func overlaps(_ range: MillisRange) -> Bool {
        count > 0 && range.overlaps(first: firstMillis, last: lastMillis)
    }
}
