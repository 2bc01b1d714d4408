// SPDX-License-Identifier: Apache-2.0
// Byte strings numbered in order of arrival.

import Base
import Telemetry

/// Numbers byte strings: the first gets 0, the next new one 1, and so on. Keys lie in one arena, so
/// a look-up hashes and compares bytes and allocates nothing.
struct ByteTable: Sendable {
    private(set) var arena: [UInt8] = []
    private(set) var keys: [LabelsRef] = []
    /// Open addressing by hash; `vacant` marks a free place. A power of two long.
    private var slots: [UInt32]
    private static let vacant = UInt32.max

    init(expecting count: Int = 0) {
        var capacity = 16
        while capacity < 2 * count { capacity *= 2 }
        slots = [UInt32](repeating: Self.vacant, count: capacity)
        keys.reserveCapacity(count)
    }

    var count: Int { keys.count }

    /// Number of a key, or nil.
    func find(_ key: UnsafeRawBufferPointer, hash: UInt64) -> Int? {
        let mask = slots.count &- 1
        var place = Int(truncatingIfNeeded: hash) & mask
        while true {
            let number = slots[place]
            if number == Self.vacant { return nil }
            let known = keys[Int(number)]
            if known.hash == hash, arena.withSlice(known.slice, { equalBytes($0, key) }) {
                return Int(number)
            }
            place = (place &+ 1) & mask
        }
    }

    /// Adds a key that `find` did not find and returns its number.
    mutating func add(_ key: UnsafeRawBufferPointer, hash: UInt64) -> Int {
        if 2 * (keys.count + 1) > slots.count { grow() }
        let number = keys.count
        keys.append(LabelsRef(slice: arena.keep(key), hash: hash))
        place(number, hash)
        return number
    }

    func withKey<R>(_ number: Int, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try arena.withSlice(keys[number].slice, body)
    }

    private mutating func place(_ number: Int, _ hash: UInt64) {
        let mask = slots.count &- 1
        var place = Int(truncatingIfNeeded: hash) & mask
        while slots[place] != Self.vacant { place = (place &+ 1) & mask }
        slots[place] = UInt32(truncatingIfNeeded: number)
    }

    private mutating func grow() {
        slots = [UInt32](repeating: Self.vacant, count: 2 * slots.count)
        for (number, key) in keys.enumerated() { place(number, key.hash) }
    }
}
