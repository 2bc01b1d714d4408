// SPDX-License-Identifier: Apache-2.0
// Byte strings to dense numbers.

import Base

/// Gives each distinct byte string a number, counting from 0: series by their labels, symbols by
/// their text. Open addressing over a 64-bit hash, bytes in one arena, no object per entry.
struct InternTable: Sendable {
    private struct Entry: Sendable {
        var hash: UInt64
        var offset: Int
        var count: Int
    }
    private var arena: [UInt8] = []
    private var entries: [Entry] = []
    /// Upper half: the hash's upper half, so that a collision seldom costs a look at the entry.
    /// Lower half: entry number + 1; 0 = free. Length is a power of two.
    private var slots: [UInt64] = [UInt64](repeating: 0, count: 16)

    init() {}

    var count: Int { entries.count }

    /// Bytes of memory held, about.
    var byteCount: Int { arena.count + entries.count * 24 + slots.count * 8 }

    /// Calls `body` with the bytes of entry `index`.
    @inline(__always)
    func withBytes<R>(_ index: Int, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        let entry = entries[index]
        return try arena.withUnsafeBytes {
            try body(
                UnsafeRawBufferPointer(rebasing: $0[entry.offset..<(entry.offset &+ entry.count)]))
        }
    }

    func bytes(_ index: Int) -> [UInt8] { withBytes(index) { [UInt8]($0) } }

    func hash(_ index: Int) -> UInt64 { entries[index].hash }

    private static let tagMask: UInt64 = 0xffff_ffff_0000_0000

    /// Number of a string whose `hash64` is known, or nil.
    @inline(__always)
    borrowing func find(_ bytes: UnsafeRawBufferPointer, hash: UInt64) -> Int? {
        let mask = slots.count &- 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while true {
            let value = slots[slot]
            if value == 0 { return nil }
            if (value ^ hash) & InternTable.tagMask == 0 {
                let index = Int(truncatingIfNeeded: value & 0xffff_ffff) &- 1
                if entries[index].hash == hash, withBytes(index, { equalBytes($0, bytes) }) {
                    return index
                }
            }
            slot = (slot &+ 1) & mask
        }
    }

    /// The same, looking at entry `guess` first.
    @inline(__always)
    borrowing func find(
        _ bytes: UnsafeRawBufferPointer, hash: UInt64, guess: Int
    ) -> Int? {
        if guess < entries.count, entries[guess].hash == hash,
            withBytes(guess, { equalBytes($0, bytes) })
        {
            return guess
        }
        return find(bytes, hash: hash)
    }

    borrowing func find(_ bytes: UnsafeRawBufferPointer) -> Int? {
        find(bytes, hash: hash64(bytes))
    }

    /// Adds a string that `find` does not know.
    mutating func add(_ bytes: UnsafeRawBufferPointer, hash: UInt64) -> Int {
        let index = entries.count
        entries.append(Entry(hash: hash, offset: arena.count, count: bytes.count))
        arena.append(contentsOf: bytes)
        if entries.count &* 4 > slots.count &* 3 {
            slots = [UInt64](repeating: 0, count: slots.count * 2)
            for i in entries.indices { place(i) }
        } else {
            place(index)
        }
        return index
    }

    /// Number of a string, adding it when it is new.
    mutating func intern(_ bytes: UnsafeRawBufferPointer) -> Int {
        let hash = hash64(bytes)
        return find(bytes, hash: hash) ?? add(bytes, hash: hash)
    }

    /// Numbers of all entries, ascending bytewise by their strings.
    func sortedEntries() -> [Int] {
        // The first eight bytes decide most comparisons; zeros after the end order as the end does
        // or leave it to the strings.
        var keyed = entries.indices.map { index in
            (key: withBytes(index) { leadingBytes($0) }, index: index)
        }
        keyed.sort { a, b in
            if a.key != b.key { return a.key < b.key }
            return withBytes(a.index) { x in withBytes(b.index) { compareBytes(x, $0) < 0 } }
        }
        return keyed.map(\.index)
    }

    private mutating func place(_ index: Int) {
        let hash = entries[index].hash
        let mask = slots.count &- 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 { slot = (slot &+ 1) & mask }
        slots[slot] = hash & InternTable.tagMask | UInt64(truncatingIfNeeded: index &+ 1)
    }
}

/// The first eight bytes as a number that orders as they do, padded with zeros.
@inline(__always)
func leadingBytes(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    if bytes.count >= 8 { return UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)) }
    var result: UInt64 = 0
    for byte in bytes { result = result &<< 8 | UInt64(byte) }
    return bytes.isEmpty ? 0 : result &<< UInt64(64 &- 8 &* bytes.count)
}
