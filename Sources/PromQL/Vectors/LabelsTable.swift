// SPDX-License-Identifier: Apache-2.0
// Label sets numbered in the order in which they are met.

import Base
import Telemetry

/// Finds equal label sets by the hash that they carry: open addressing, no hashing of its own and
/// nothing allocated for a set that is known.
package struct LabelsTable {
    package private(set) var keys: [Labels] = []
    /// Index into `keys`, −1 = free; a power of two, at most half full.
    private var slots: [Int32]
    private var scratch: [UInt8] = []

    package init(minimumCapacity: Int = 0) {
        var size = 16
        while size < minimumCapacity * 2 { size *= 2 }
        slots = [Int32](repeating: -1, count: size)
        keys.reserveCapacity(minimumCapacity)
    }

    package var count: Int { keys.count }

    /// Bytes a table of so many sets takes, besides the sets.
    package static func byteCount(_ count: Int) -> Int { count * (24 + 4 * 4) }

    /// Number of a set, which is `count` before the call when it is new.
    package mutating func number(of labels: Labels) -> Int {
        let slot = labels.bytes.withUnsafeBytes { find($0, labels.hash) }
        if slots[slot] >= 0 { return Int(slots[slot]) }
        return insert(labels, at: slot)
    }

    /// Number of what `names` leaves of a set.
    package mutating func number(of labels: Labels, _ names: LabelNameSet) -> Int {
        scratch.removeAll(keepingCapacity: true)
        labels.bytes.withUnsafeBytes { names.apply($0, appendingTo: &scratch) }
        let (slot, hash) = scratch.withUnsafeBytes { bytes in
            let hash = hash64(bytes)
            return (find(bytes, hash), hash)
        }
        if slots[slot] >= 0 { return Int(slots[slot]) }
        let key =
            scratch.count == labels.bytes.count ? labels : Labels(canonical: scratch, hash: hash)
        // The key has taken the memory.
        scratch = []
        return insert(key, at: slot)
    }

    /// The slot that holds the set, or the free one where it belongs.
    private func find(_ bytes: UnsafeRawBufferPointer, _ hash: UInt64) -> Int {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] >= 0 {
            let key = keys[Int(slots[slot])]
            if key.hash == hash, key.bytes.withUnsafeBytes({ equalBytes($0, bytes) }) {
                return slot
            }
            slot = (slot + 1) & mask
        }
        return slot
    }

    private mutating func insert(_ labels: Labels, at slot: Int) -> Int {
        let number = keys.count
        keys.append(labels)
        slots[slot] = Int32(truncatingIfNeeded: number)
        if keys.count * 2 > slots.count { grow() }
        return number
    }

    private mutating func grow() {
        slots = [Int32](repeating: -1, count: slots.count * 2)
        let mask = slots.count - 1
        for (number, key) in keys.enumerated() {
            var slot = Int(truncatingIfNeeded: key.hash) & mask
            while slots[slot] >= 0 { slot = (slot + 1) & mask }
            slots[slot] = Int32(truncatingIfNeeded: number)
        }
    }
}
