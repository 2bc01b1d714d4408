// SPDX-License-Identifier: Apache-2.0
// Identity of a span.

import Base
import Telemetry

/// What makes two spans the same. Kind is part of it because Zipkin's client and server share one
/// span id; start because broken clients reuse ids.
struct SpanKey: Hashable, Sendable {
    var traceID: TraceID
    var spanID: SpanID
    var startNanos: Int64
    var kind: UInt8

    /// 32 bits for hash tables in memory.
    var tag: UInt32 {
        let mixed =
            foldedProduct(traceID.low ^ 0x9e37_79b9_7f4a_7c15, spanID.rawValue ^ traceID.high)
            ^ foldedProduct(
                UInt64(bitPattern: startNanos) ^ 0xbf58_476d_1ce4_e5b9, UInt64(kind) &+ 0x94d0_49bb)
        return UInt32(truncatingIfNeeded: mixed ^ (mixed >> 32))
    }
}

extension SpanBatch {
    func key(_ row: Int) -> SpanKey {
        SpanKey(
            traceID: traceIDs[row], spanID: spanIDs[row], startNanos: startNanos[row],
            kind: kinds[row])
    }
}

extension TraceID {
    /// 32 bits for hash tables and shards. Random ids need little mixing, sequential ones some.
    var tag: UInt32 {
        let mixed = foldedProduct(low ^ 0x9e37_79b9_7f4a_7c15, high ^ 0xbf58_476d_1ce4_e5b9)
        return UInt32(truncatingIfNeeded: mixed ^ (mixed >> 32))
    }
}

@inline(__always)
func foldedProduct(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let product = a.multipliedFullWidth(by: b)
    return product.high ^ product.low
}

/// An open-addressing table from 32-bit tags to row numbers; the caller compares the rows.
struct RowTable: Sendable {
    /// tag << 32 | row + 1, or 0 where empty. Power-of-two count, at most 3/4 full.
    private var slots = [UInt64](repeating: 0, count: 64)
    private var used = 0

    var byteCount: Int { slots.count * 8 }

    /// The slot that holds a row of this tag for which `matches` is true.
    func find(_ tag: UInt32, _ matches: (UInt32) -> Bool) -> Int? {
        let mask = slots.count &- 1
        var index = Int(tag) & mask
        while slots[index] != 0 {
            let slot = slots[index]
            if UInt32(truncatingIfNeeded: slot >> 32) == tag,
                matches(UInt32(truncatingIfNeeded: slot) &- 1)
            {
                return index
            }
            index = (index &+ 1) & mask
        }
        return nil
    }

    func row(at slot: Int) -> UInt32 { UInt32(truncatingIfNeeded: slots[slot]) &- 1 }

    mutating func setRow(_ row: UInt32, at slot: Int) {
        slots[slot] = slots[slot] & 0xffff_ffff_0000_0000 | UInt64(row &+ 1)
    }

    /// Adds a row; the caller has made sure that it is not there.
    mutating func insert(_ tag: UInt32, _ row: UInt32) {
        if (used + 1) * 4 > slots.count * 3 { grow() }
        place(UInt64(tag) << 32 | UInt64(row &+ 1))
        used += 1
    }

    private mutating func place(_ slot: UInt64) {
        let mask = slots.count &- 1
        var index = Int(slot >> 32) & mask
        while slots[index] != 0 { index = (index &+ 1) & mask }
        slots[index] = slot
    }

    private mutating func grow() {
        let old = slots
        slots = [UInt64](repeating: 0, count: old.count * 2)
        for slot in old where slot != 0 { place(slot) }
    }
}
