// SPDX-License-Identifier: Apache-2.0
// Decoded time columns, shared by the series of one reading.

import Synchronization

/// The series of one scrape grid share their time columns: a reading decodes each once, not once
/// per series. Holds at most `slotCount` columns of ordinary size; a newer one takes the slot of
/// an older one.
final class TimeColumnCache: Sendable {
    private struct Slot {
        var source: Int
        var number: Int
        var millis: [Int64]
    }
    private static let slotCount = 64
    private let slots = Mutex([Slot?](repeating: nil, count: slotCount))

    private static func index(_ source: Int, _ number: Int) -> Int {
        (source &* 31 &+ number) & (slotCount - 1)
    }

    /// Column `number` of the part that the reading calls `source`, if it is here.
    func find(_ source: Int, _ number: Int) -> [Int64]? {
        slots.withLock { slots in
            guard let slot = slots[TimeColumnCache.index(source, number)], slot.source == source,
                slot.number == number
            else { return nil }
            return slot.millis
        }
    }

    func keep(_ millis: ArraySlice<Int64>, _ source: Int, _ number: Int) {
        guard millis.count <= MetricPartFormat.chunkSamples else { return }
        let slot = Slot(source: source, number: number, millis: Array(millis))
        slots.withLock { $0[TimeColumnCache.index(source, number)] = slot }
    }
}
