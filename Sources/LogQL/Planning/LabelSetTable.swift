// SPDX-License-Identifier: Apache-2.0
// Numbers for label sets, in order of appearance.

import Base
import Telemetry

/// Maps encoded label sets to 0, 1, 2 … without making a `Labels` per look-up.
struct LabelSetTable {
    private var keys: [Range<Int>] = []
    private var hashes: [UInt64] = []
    private var arena: [UInt8] = []
    /// Open addressing; entries are index + 1, 0 is free. The size is a power of two.
    private var slots = [UInt32](repeating: 0, count: 64)

    var count: Int { keys.count }

    /// The number of a key that has one.
    func find(_ key: [UInt8]) -> Int? {
        let candidate = slots[slot(of: key, hash64(key))]
        return candidate == 0 ? nil : Int(candidate) - 1
    }

    /// Where the key is, or the free slot where it belongs.
    private func slot(of key: [UInt8], _ hash: UInt64) -> Int {
        var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[slot] != 0 {
            let candidate = Int(slots[slot]) - 1
            if hashes[candidate] == hash, arena[keys[candidate]].elementsEqual(key) { break }
            slot = (slot + 1) & (slots.count - 1)
        }
        return slot
    }

    mutating func index(of key: [UInt8]) -> Int {
        let hash = hash64(key)
        let slot = slot(of: key, hash)
        if slots[slot] != 0 { return Int(slots[slot]) - 1 }
        slots[slot] = UInt32(keys.count + 1)
        keys.append(arena.count..<arena.count + key.count)
        hashes.append(hash)
        arena.append(contentsOf: key)
        if keys.count * 2 > slots.count { grow() }
        return keys.count - 1
    }

    private mutating func grow() {
        slots = [UInt32](repeating: 0, count: slots.count * 2)
        for (index, hash) in hashes.enumerated() {
            var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = UInt32(index + 1)
        }
    }

    func labels(_ index: Int) -> Labels {
        Labels(canonical: Array(arena[keys[index]]), hash: hashes[index])
    }
}

/// Remembers per stream of a batch what was found out for it, for as long as the batch lasts.
struct StreamCache {
    private var batch = 0
    private var indices: [Int] = []

    /// What was remembered for the stream.
    mutating func index(stream: Int, batch number: Int) -> Int? {
        if number != batch {
            batch = number
            indices.removeAll(keepingCapacity: true)
        }
        return stream < indices.count && indices[stream] >= 0 ? indices[stream] : nil
    }

    mutating func remember(_ index: Int, stream: Int, batch number: Int) {
        guard number == batch else { return }
        while indices.count <= stream { indices.append(-1) }
        indices[stream] = index
    }
}
