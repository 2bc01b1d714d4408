// SPDX-License-Identifier: Apache-2.0
// Making and changing label sets.

import Base

/// Collects labels in any order and makes the canonical encoding. Reusable: `reset` keeps memory.
package struct LabelsBuilder: Sendable {
    private struct Entry {
        var name: Range<Int>
        var value: Range<Int>
    }
    private var arena: [UInt8] = []
    private var entries: [Entry] = []

    package init() {}

    /// Starts from an existing set.
    package init(_ labels: Labels) {
        labels.forEachBytes { append($0, $1) }
    }

    package mutating func reset() {
        arena.removeAll(keepingCapacity: true)
        entries.removeAll(keepingCapacity: true)
    }

    private mutating func keep(_ bytes: UnsafeRawBufferPointer) -> Range<Int> {
        let start = arena.count
        arena.append(contentsOf: bytes)
        return start..<arena.count
    }

    private func compare(_ range: Range<Int>, _ other: UnsafeRawBufferPointer) -> Int {
        arena.withUnsafeBytes { compareBytes(UnsafeRawBufferPointer(rebasing: $0[range]), other) }
    }

    /// Adds a label without looking for an earlier one of the same name.
    package mutating func append(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
    ) {
        entries.append(Entry(name: keep(name), value: keep(value)))
    }

    /// Sets a label, replacing one of the same name; an empty value removes it.
    package mutating func set(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        if let index = entries.firstIndex(where: { compare($0.name, name) == 0 }) {
            entries[index].value = keep(value)
        } else {
            append(name, value)
        }
    }

    package mutating func set(_ name: String, _ value: String) {
        var name = name, value = value
        name.withUTF8 { n in
            value.withUTF8 { v in set(UnsafeRawBufferPointer(n), UnsafeRawBufferPointer(v)) }
        }
    }

    package mutating func remove(_ name: String) {
        var name = name
        name.withUTF8 { wanted in
            let wanted = UnsafeRawBufferPointer(wanted)
            let kept = entries.filter { compare($0.name, wanted) != 0 }
            entries = kept
        }
    }

    package subscript(name: String) -> String? {
        var name = name
        return name.withUTF8 { wanted in
            let wanted = UnsafeRawBufferPointer(wanted)
            return entries.last { compare($0.name, wanted) == 0 }.map {
                String(decoding: arena[$0.value], as: UTF8.self)
            }
        }
    }

    /// A name that was appended twice: for messages. O(n).
    package var firstRepeatedName: String? {
        var seen: Set<[UInt8]> = []
        for entry in entries {
            let name = Array(arena[entry.name])
            if !seen.insert(name).inserted { return String(decoding: name, as: UTF8.self) }
        }
        return nil
    }

    /// Appends the canonical encoding to `out`; of equal names the first appended is kept and
    /// `false` is returned.
    @discardableResult
    package mutating func encode(into out: inout [UInt8]) -> Bool {
        // Taken out of `self` while the arena is borrowed. Entries are few and usually sorted already,
        // so that insertion sort, which is stable, moves nothing; hostile numbers get another sort.
        var entries: [Entry] = []
        swap(&entries, &self.entries)
        defer { swap(&entries, &self.entries) }
        arena.withUnsafeBytes { all in
            func order(_ a: Entry, _ b: Entry) -> Bool {
                compareBytes(
                    UnsafeRawBufferPointer(rebasing: all[a.name]),
                    UnsafeRawBufferPointer(rebasing: all[b.name])) < 0
            }
            guard entries.count <= 24 else {
                // A name lies in the arena in order of arrival, which keeps the sort stable.
                entries.sort { a, b in
                    let order = compareBytes(
                        UnsafeRawBufferPointer(rebasing: all[a.name]),
                        UnsafeRawBufferPointer(rebasing: all[b.name]))
                    return order == 0 ? a.name.lowerBound < b.name.lowerBound : order < 0
                }
                return
            }
            for i in entries.indices.dropFirst() {
                var j = i
                while j > 0, order(entries[j], entries[j - 1]) {
                    entries.swapAt(j, j - 1)
                    j -= 1
                }
            }
        }
        var unique = true
        var writer = ByteWriter()
        swap(&writer.bytes, &out)
        arena.withUnsafeBytes { all in
            var previous: UnsafeRawBufferPointer?
            for entry in entries {
                let name = UnsafeRawBufferPointer(rebasing: all[entry.name])
                if let previous, equalBytes(previous, name) {
                    unique = false
                    continue
                }
                previous = name
                if entry.value.isEmpty || entry.name.isEmpty { continue }
                writer.lengthPrefixed(name)
                writer.lengthPrefixed(UnsafeRawBufferPointer(rebasing: all[entry.value]))
            }
        }
        swap(&writer.bytes, &out)
        return unique
    }

    package mutating func labels() -> Labels {
        var bytes: [UInt8] = []
        encode(into: &bytes)
        return Labels(canonical: bytes)
    }
}
