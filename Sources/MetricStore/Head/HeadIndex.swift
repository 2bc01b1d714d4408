// SPDX-License-Identifier: Apache-2.0
// The label index of one head shard.

import Base
import Storage
import Telemetry

/// Postings of one shard, grown as series arrive. Series numbers grow, so appending keeps each
/// list sorted.
///
/// A label, name and value together as canonical bytes have them, is looked up once: that is most
/// of what a new series costs.
struct HeadIndex: Sendable {
    /// Labels by their canonical bytes; the number is that of the list.
    private var labels = InternTable()
    private var names = InternTable()
    /// Per name, the lists of its values in order of arrival.
    private var lists: [[UInt32]] = []
    /// By list: its position among those of its name.
    private var positions: [UInt32] = []
    private var postings: [Postings] = []

    /// Bytes of memory held, about.
    var byteCount: Int { labels.byteCount + names.byteCount + postings.count * 64 }

    /// Enters a new series under all its labels. Returns the bytes by which memory grew.
    mutating func add(_ series: UInt32, labels bytes: UnsafeRawBufferPointer) -> Int {
        let before = byteCount
        var entries = 0
        forEachLabel(in: bytes) { name, _, place in
            let label = UnsafeRawBufferPointer(rebasing: bytes[place])
            let hash = hash64(label)
            if let list = labels.find(label, hash: hash) {
                postings[list].append(series)
            } else {
                let list = UInt32(truncatingIfNeeded: labels.add(label, hash: hash))
                let number = names.intern(name)
                if number == lists.count { lists.append([]) }
                positions.append(UInt32(truncatingIfNeeded: lists[number].count))
                lists[number].append(list)
                postings.append(Postings(ascending: [series]))
            }
            entries += 1
        }
        return byteCount - before + entries * 4
    }

    var nameCount: Int { lists.count }

    func withName<R>(_ name: Int, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try names.withBytes(name, body)
    }

    func findName(_ name: UnsafeRawBufferPointer) -> Int? { names.find(name) }
    func valueCount(_ name: Int) -> Int { lists[name].count }

    func findValue(_ name: Int, _ value: UnsafeRawBufferPointer) -> Int? {
        var writer = ByteWriter(reserving: value.count + 64)
        withName(name) { writer.lengthPrefixed($0) }
        writer.lengthPrefixed(value)
        return writer.bytes.withUnsafeBytes { labels.find($0) }.map { Int(positions[$0]) }
    }

    func withValue<R>(
        _ name: Int, _ value: Int, _ body: (UnsafeRawBufferPointer) throws -> R
    ) rethrows -> R {
        try labels.withBytes(Int(lists[name][value])) { label in
            var found = UnsafeRawBufferPointer(start: nil, count: 0)
            forEachLabel(in: label) { found = $1 }
            return try body(found)
        }
    }

    func postings(_ name: Int, _ value: Int) -> Postings { postings[Int(lists[name][value])] }
}
