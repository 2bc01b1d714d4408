// SPDX-License-Identifier: Apache-2.0
// A set of hashes in ten bits each that never denies a member.

import Base

/// An xor filter with fingerprints of eight bits (Graf and Lemire, "Xor Filters", 2020): three slots
/// of a key xor to its fingerprint, so a look-up reads three bytes. Of keys that are not in the set
/// about one in 256 seems to be.
///
///     u64 seed | 3 × (slots of a third) × u8
package enum XorFilter {
    /// Bytes of a filter for `n` keys.
    private static func third(_ n: Int) -> Int { (32 + n + (n * 23 + 99) / 100) / 3 + 1 }

    private struct Places {
        var slots: (Int, Int, Int)
        var fingerprint: UInt8

        @inline(__always)
        init(_ key: UInt64, seed: UInt64, third: Int) {
            let hash = mixed(key &+ seed)
            func place(_ bits: UInt64) -> Int {
                // The upper half of a 32-bit product: evenly spread below `third`.
                Int(truncatingIfNeeded: ((bits & 0xffff_ffff) &* UInt64(third)) &>> 32)
            }
            slots = (
                place(hash), third + place(hash &<< 21 | hash &>> 43),
                2 * third + place(hash &<< 42 | hash &>> 22)
            )
            fingerprint = UInt8(truncatingIfNeeded: hash ^ hash &>> 32)
        }
    }

    /// - Parameter keys: distinct, well mixed.
    /// - Returns: nil in the case, never met, that no seed serves.
    package static func encode(_ keys: [UInt64]) -> [UInt8]? {
        let third = third(keys.count)
        for attempt in 0..<64 {
            let seed = mixed(UInt64(attempt))
            if let order = peel(keys, seed: seed, third: third) {
                return assign(order, seed: seed, third: third)
            }
        }
        return nil
    }

    /// A slot of the table while keys are taken out of it.
    private struct Slot {
        var count: UInt32 = 0
        /// The xor of all its keys: the last one's when it is alone.
        var sum: UInt64 = 0
    }

    /// Keys and the slot that each has to itself once those before it are gone.
    private static func peel(
        _ keys: [UInt64], seed: UInt64, third: Int
    ) -> [(key: UInt64, slot: Int)]? {
        var table = [Slot](repeating: Slot(), count: 3 * third)
        var alone: [Int32] = []
        var order: [(key: UInt64, slot: Int)] = []
        order.reserveCapacity(keys.count)
        table.withUnsafeMutableBufferPointer { table in
            for key in keys {
                let slots = Places(key, seed: seed, third: third).slots
                add(key, &table[slots.0])
                add(key, &table[slots.1])
                add(key, &table[slots.2])
            }
            alone.reserveCapacity(table.count)
            for slot in table.indices where table[slot].count == 1 { alone.append(Int32(slot)) }
            while let slot = alone.popLast() {
                if table[Int(slot)].count != 1 { continue }
                let key = table[Int(slot)].sum
                order.append((key, Int(slot)))
                let slots = Places(key, seed: seed, third: third).slots
                remove(key, slots.0, table, &alone)
                remove(key, slots.1, table, &alone)
                remove(key, slots.2, table, &alone)
            }
        }
        return order.count == keys.count ? order : nil
    }

    @inline(__always)
    private static func add(_ key: UInt64, _ slot: inout Slot) {
        slot.count &+= 1
        slot.sum ^= key
    }

    @inline(__always)
    private static func remove(
        _ key: UInt64, _ slot: Int, _ table: UnsafeMutableBufferPointer<Slot>,
        _ alone: inout [Int32]
    ) {
        table[slot].count &-= 1
        table[slot].sum ^= key
        if table[slot].count == 1 { alone.append(Int32(slot)) }
    }

    private static func assign(
        _ order: [(key: UInt64, slot: Int)], seed: UInt64, third: Int
    ) -> [UInt8] {
        var table = [UInt8](repeating: 0, count: 3 * third)
        for (key, slot) in order.reversed() {
            let places = Places(key, seed: seed, third: third)
            let others =
                table[places.slots.0] ^ table[places.slots.1] ^ table[places.slots.2] ^ table[slot]
            table[slot] = places.fingerprint ^ others
        }
        var out = ByteWriter(reserving: table.count + 8)
        out.u64(seed)
        out.raw(table)
        return out.bytes
    }

    /// Whether a key may be in the set.
    ///
    /// - Throws: when the bytes are no filter.
    package static func mayContain(
        _ key: UInt64, _ filter: UnsafeRawBufferPointer
    ) throws(MalformedBytes) -> Bool {
        var reader = ByteReader(filter)
        let seed = try reader.u64()
        let third = reader.remaining / 3
        guard third > 0, reader.remaining == 3 * third else {
            throw reader.malformed("three thirds of a filter")
        }
        let table = try reader.bytes(3 * third)
        let places = Places(key, seed: seed, third: third)
        return table[places.slots.0] ^ table[places.slots.1] ^ table[places.slots.2]
            == places.fingerprint
    }
}

/// Spreads a number over all bits (the finaliser of MurmurHash3).
@inline(__always)
package func mixed(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ z &>> 33) &* 0xff51_afd7_ed55_8ccd
    z = (z ^ z &>> 33) &* 0xc4ce_b9fe_1a85_ec53
    return z ^ z &>> 33
}
