// SPDX-License-Identifier: Apache-2.0
// Decoded time columns, shared by the series of one reading.

import Glibc
import Synchronization

/// The series of one scrape grid share their time columns: a reading decodes each once, not once
/// per series. Holds at most `slotCount` columns of ordinary size per stripe; a newer one takes the
/// slot of an older one.
///
/// Threads that read one set ask for the same columns all the time: each has a stripe, which it
/// seldom shares, so that none waits for another.
final class TimeColumnCache: Sendable {
    private struct Slot {
        var source: Int
        var number: Int
        var millis: [Int64]
    }
    private final class Stripe: Sendable {
        /// Empty until a column is kept.
        let slots = Mutex<[Slot?]>([])
    }
    private static let slotCount = 64
    private static let stripeCount = 4
    private let stripes = (0..<stripeCount).map { _ in Stripe() }

    /// The stripe of the thread that asks: threads lie megabytes apart.
    private var stripe: Stripe {
        let thread = UInt(pthread_self())
        return stripes[Int((thread &>> 12 ^ thread &>> 20) % UInt(TimeColumnCache.stripeCount))]
    }

    private static func index(_ source: Int, _ number: Int) -> Int {
        (source &* 31 &+ number) & (slotCount - 1)
    }

    /// Column `number` of the part that the reading calls `source`, if it is here.
    func find(_ source: Int, _ number: Int) -> [Int64]? {
        stripe.slots.withLock { slots in
            guard !slots.isEmpty, let slot = slots[TimeColumnCache.index(source, number)],
                slot.source == source, slot.number == number
            else { return nil }
            return slot.millis
        }
    }

    func keep(_ millis: [Int64], _ source: Int, _ number: Int) {
        guard millis.count <= MetricPartFormat.chunkSamples else { return }
        let slot = Slot(source: source, number: number, millis: millis)
        stripe.slots.withLock { slots in
            if slots.isEmpty {
                slots = [Slot?](repeating: nil, count: TimeColumnCache.slotCount)
            }
            slots[TimeColumnCache.index(source, number)] = slot
        }
    }
}
