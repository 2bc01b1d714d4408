// SPDX-License-Identifier: Apache-2.0
// Byte strings to dense numbers.

import Base

/// Gives each distinct byte string a number, counting from 0: series by their labels, symbols by
/// their text. Open addressing over a 64-bit hash, bytes in one arena, no object per entry.
struct InternTable: Sendable {
    private var arena: [UInt8] = []
    /// Where entry i ends in the arena.
    private var ends: [Int] = []
    private(set) var hashes: [UInt64] = []
    /// Entry number + 1, 0 = free. Length is a power of two.
    private var slots: [UInt32] = [UInt32](repeating: 0, count: 16)

    init() {}

    var count: Int { ends.count }

    /// Bytes of memory held, about.
    var byteCount: Int { arena.count + ends.count * 16 + slots.count * 4 }

    private func range(_ index: Int) -> Range<Int> {
        (index == 0 ? 0 : ends[index - 1])..<ends[index]
    }

    /// Calls `body` with the bytes of entry `index`.
    @inline(__always)
    func withBytes<R>(_ index: Int, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        let range = range(index)
        return try arena.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    func bytes(_ index: Int) -> [UInt8] { Array(arena[range(index)]) }

    /// Number of a string whose `hash64` is known, or nil.
    func find(_ bytes: UnsafeRawBufferPointer, hash: UInt64) -> Int? {
        let mask = slots.count &- 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 {
            let index = Int(slots[slot]) &- 1
            if hashes[index] == hash, withBytes(index, { sameBytes($0, bytes) }) { return index }
            slot = (slot &+ 1) & mask
        }
        return nil
    }

    func find(_ bytes: UnsafeRawBufferPointer) -> Int? { find(bytes, hash: hash64(bytes)) }

    /// Adds a string that `find` does not know.
    mutating func add(_ bytes: UnsafeRawBufferPointer, hash: UInt64) -> Int {
        let index = ends.count
        arena.append(contentsOf: bytes)
        ends.append(arena.count)
        hashes.append(hash)
        if ends.count &* 4 > slots.count &* 3 {
            slots = [UInt32](repeating: 0, count: slots.count * 2)
            for i in hashes.indices { place(i) }
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

    private mutating func place(_ index: Int) {
        let mask = slots.count &- 1
        var slot = Int(truncatingIfNeeded: hashes[index]) & mask
        while slots[slot] != 0 { slot = (slot &+ 1) & mask }
        slots[slot] = UInt32(truncatingIfNeeded: index &+ 1)
    }
}

/// Whether two buffers hold the same bytes, eight at a time.
@inline(__always)
func sameBytes(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
    guard a.count == b.count else { return false }
    guard let x = a.baseAddress, let y = b.baseAddress else { return true }
    let n = a.count
    var i = 0
    while i &+ 8 <= n {
        if x.loadUnaligned(fromByteOffset: i, as: UInt64.self)
            != y.loadUnaligned(fromByteOffset: i, as: UInt64.self)
        {
            return false
        }
        i &+= 8
    }
    while i < n {
        if x.load(fromByteOffset: i, as: UInt8.self) != y.load(fromByteOffset: i, as: UInt8.self) {
            return false
        }
        i &+= 1
    }
    return true
}
