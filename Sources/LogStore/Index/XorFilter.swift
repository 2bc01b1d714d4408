// SPDX-License-Identifier: Apache-2.0
// A set of hashes in ten bits each that never denies a member.

import Base

/// An xor filter with fingerprints of eight bits (Graf and Lemire, "Xor Filters", 2020): three slots
/// of a key xor to its fingerprint, so a look-up reads three bytes. Of keys that are not in the set
/// about one in 256 seems to be.
///
///     u64 seed | 3 × (slots of a third) × u8
enum XorFilter {
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
    static func encode(_ keys: [UInt64]) -> [UInt8]? {
        let third = third(keys.count)
        for attempt in 0..<64 {
            let seed = mixed(UInt64(attempt))
            if let order = peel(keys, seed: seed, third: third) {
                return assign(order, seed: seed, third: third)
            }
        }
        return nil
    }

    /// Keys and the slot that each has to itself once those before it are gone.
    private static func peel(
        _ keys: [UInt64], seed: UInt64, third: Int
    ) -> [(key: UInt64, slot: Int)]? {
        var counts = [UInt32](repeating: 0, count: 3 * third)
        // The xor of all keys of a slot is the last one's when it is alone.
        var sums = [UInt64](repeating: 0, count: 3 * third)
        func change(_ key: UInt64, by amount: UInt32, _ body: (Int) -> Void) {
            let slots = Places(key, seed: seed, third: third).slots
            for slot in [slots.0, slots.1, slots.2] {
                counts[slot] = counts[slot] &+ amount
                sums[slot] ^= key
                body(slot)
            }
        }
        for key in keys { change(key, by: 1) { _ in } }
        var alone = counts.indices.filter { counts[$0] == 1 }
        var order: [(key: UInt64, slot: Int)] = []
        order.reserveCapacity(keys.count)
        while let slot = alone.popLast() {
            if counts[slot] != 1 { continue }
            let key = sums[slot]
            order.append((key, slot))
            change(key, by: .max) { if counts[$0] == 1 { alone.append($0) } }
        }
        return order.count == keys.count ? order : nil
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
    static func mayContain(
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
func mixed(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ z &>> 33) &* 0xff51_afd7_ed55_8ccd
    z = (z ^ z &>> 33) &* 0xc4ce_b9fe_1a85_ec53
    return z ^ z &>> 33
}
