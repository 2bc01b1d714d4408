// SPDX-License-Identifier: Apache-2.0
// Finds a row of a stream by its hash.

/// An open-addressing table from row hash to where the row lies: eight bytes a slot, of which 32
/// bits are hash, so that nearly every comparison of bytes finds a true duplicate.
struct DuplicateTable: Sendable {
    private static let empty = UInt64.max
    private static let maxChunks = (1 << 20) - 1
    private var slots = [UInt64](repeating: empty, count: 64)
    private var count = 0

    /// - Returns: bytes of memory that the table grew by.
    mutating func insert(_ hash: UInt64, chunk: Int, row: Int) -> Int {
        // A million chunks are 256 GiB of lines: beyond that duplicates are left to reading.
        guard chunk < DuplicateTable.maxChunks else { return 0 }
        var grown = count == 0 ? slots.count * 8 : 0
        if count * 2 >= slots.count {
            grown += slots.count * 8
            grow()
        }
        place((hash & ~0xffff_ffff) | UInt64(chunk) << 12 | UInt64(row))
        count += 1
        return grown
    }

    /// The high half of the hash is kept, so it also chooses the slot.
    private func slot(_ entry: UInt64) -> Int { Int(entry >> 32) & (slots.count - 1) }

    private mutating func place(_ entry: UInt64) {
        var index = slot(entry)
        while slots[index] != DuplicateTable.empty { index = (index + 1) & (slots.count - 1) }
        slots[index] = entry
    }

    private mutating func grow() {
        let old = slots
        slots = [UInt64](repeating: DuplicateTable.empty, count: old.count * 2)
        for entry in old where entry != DuplicateTable.empty { place(entry) }
    }

    /// Whether `isSame` holds for a row with this hash.
    func contains(_ hash: UInt64, _ isSame: (_ chunk: Int, _ row: Int) -> Bool) -> Bool {
        var index = slot(hash)
        while slots[index] != DuplicateTable.empty {
            let entry = slots[index]
            if entry >> 32 == hash >> 32,
                isSame(Int(entry >> 12 & 0xfffff), Int(entry & 0xfff))
            {
                return true
            }
            index = (index + 1) & (slots.count - 1)
        }
        return false
    }
}
