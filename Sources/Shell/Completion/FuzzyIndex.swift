// SPDX-License-Identifier: Apache-2.0
// Names that fit what is typed.

import Base
import Synchronization

/// Many names, ready to be searched at every key press.
///
/// Where enough names begin with the text, they are a stretch of the names in their order, found by
/// halving. Else all are looked at: the lower-case bytes of all names lie one after the other with a zero between, so that finding
/// those that contain a text is one vectorised search. Names that begin with the text come first,
/// then those in which a part after `_`, `.`, `:` or `/` does, then those that contain it, then,
/// when these are too few, those that have its letters in this order.
package struct FuzzyIndex: Sendable {
    package let names: [String]
    private let bytes: [UInt8]
    /// Where each name begins; one more for the end. The byte before each is the zero.
    private let offsets: [Int]
    /// Which letters each name has, to pass over those that lack one.
    private let letters: [UInt64]
    /// Positions in ascending order of the lower-case bytes; nil when the names stand so already, as
    /// servers send them.
    private let order: [Int]?
    private let last = LastSearch()
    /// Names that are kept; of a server that has more the first ones are.
    package static let most = 500_000

    /// How well a name fits: less is better.
    private static let isPrefix: UInt8 = 0
    private static let isPart: UInt8 = 1
    private static let contains: UInt8 = 2
    private static let inOrder: UInt8 = 3
    private static let none: UInt8 = 4

    package init(_ names: [String]) {
        self.names = Array(names.prefix(Self.most))
        var bytes: [UInt8] = []
        var offsets = [0]
        var letters: [UInt64] = []
        offsets.reserveCapacity(self.names.count + 1)
        letters.reserveCapacity(self.names.count)
        for name in self.names {
            var mask: UInt64 = 0
            for byte in name.utf8 {
                let byte = lower(byte)
                bytes.append(byte)
                mask |= letterBit(byte)
            }
            bytes.append(0)
            offsets.append(bytes.count)
            letters.append(mask)
        }
        self.bytes = bytes
        self.offsets = offsets
        self.letters = letters
        order = Self.order(bytes, offsets)
    }

    /// The order of the names, nil for that in which they are given.
    private static func order(_ bytes: [UInt8], _ offsets: [Int]) -> [Int]? {
        bytes.withUnsafeBytes { all in
            func precedes(_ a: Int, _ b: Int) -> Bool {
                // With the zero at the end: what is shorter comes first.
                all[offsets[a]..<offsets[a + 1]]
                    .lexicographicallyPrecedes(all[offsets[b]..<offsets[b + 1]])
            }
            let indices = 0..<(offsets.count - 1)
            let isOrdered = indices.dropFirst().allSatisfy { !precedes($0, $0 - 1) }
            return isOrdered ? nil : indices.sorted(by: precedes)
        }
    }

    /// The names that fit best.
    ///
    /// - Returns: positions in `names`; equal ones by length and then as they were given.
    /// - Complexity: a look at the length of each name that begins with the text; where these are fewer
    ///   than `limit`, one search through the bytes of all names, and a look at each name. A text that
    ///   goes on from the one before is only looked for where that one was found.
    package func search(_ text: String, limit: Int) -> [Int] {
        let wanted = text.utf8.map(lower)
        guard !wanted.isEmpty else { return Array(names.indices.prefix(limit)) }
        guard !wanted.contains(0), !names.isEmpty else { return [] }
        let begins = stretch(beginningWith: wanted)
        if begins.count >= limit {
            return shortest(order.map { Array($0[begins]) } ?? Array(begins), limit)
        }
        let among = last.found(goingOnTo: wanted)
        var ranks = [UInt8](repeating: Self.none, count: names.count)
        var count = rankContaining(wanted, among, &ranks)
        let isComplete = count < limit
        if isComplete { count += rankInOrder(wanted, among, &ranks) }
        var byRank = [[Int]](repeating: [], count: 4)
        func note(_ index: Int) {
            if ranks[index] < Self.none { byRank[Int(ranks[index])].append(index) }
        }
        if let among { among.forEach(note) } else { ranks.indices.forEach(note) }
        if isComplete { last.set(wanted, byRank.joined().sorted()) }
        guard count > 0 else { return [] }
        var out: [Int] = []
        for rank in byRank where out.count < limit {
            out.append(contentsOf: shortest(rank, limit - out.count))
        }
        return out
    }

    /// Shortest first: what is typed is the greatest part of them.
    private func shortest(_ indices: [Int], _ count: Int) -> [Int] {
        let longest = lengthLimit(indices, count)
        let sorted = indices.filter { length($0) <= longest }.sorted { a, b in
            length(a) == length(b) ? a < b : length(a) < length(b)
        }
        return Array(sorted.prefix(count))
    }

    /// Where the names that begin with a text stand in the order.
    private func stretch(beginningWith wanted: [UInt8]) -> Range<Int> {
        /// The first place in the order whose name is not below the text, or not below all that begin
        /// with it.
        func bound(_ isBelow: (Slice<UnsafeRawBufferPointer>) -> Bool) -> Int {
            bytes.withUnsafeBytes { all in
                var low = 0
                var high = names.count
                while low < high {
                    let middle = low + (high - low) / 2
                    let index = order?[middle] ?? middle
                    if isBelow(all[offsets[index]..<offsets[index + 1]]) {
                        low = middle + 1
                    } else {
                        high = middle
                    }
                }
                return low
            }
        }
        let first = bound { $0.lexicographicallyPrecedes(wanted) }
        let end = bound { name in
            name.lexicographicallyPrecedes(wanted) || name.starts(with: wanted)
        }
        return first..<end
    }

    /// Ranks the names that contain the text and returns how many there are.
    ///
    /// - Parameter among: the names to look at, ascending; nil for all.
    private func rankContaining(
        _ wanted: [UInt8], _ among: [Int]?, _ ranks: inout [UInt8]
    ) -> Int {
        var count = 0
        bytes.withUnsafeBytes { all in
            wanted.withUnsafeBytes { wanted in
                func next(from position: Int, to end: Int) -> Int? {
                    guard position < end else { return nil }
                    return find(wanted, in: UnsafeRawBufferPointer(rebasing: all[position..<end]))
                        .map { position + $0 }
                }
                /// Takes a place where the text stands; returns where a better one may follow.
                func take(_ place: Int, _ index: Int) -> Int {
                    let rank =
                        place == offsets[index]
                        ? Self.isPrefix
                        : startsPart(after: all[place - 1]) ? Self.isPart : Self.contains
                    if ranks[index] == Self.none { count += 1 }
                    ranks[index] = min(ranks[index], rank)
                    return rank == Self.contains ? place + 1 : offsets[index + 1]
                }
                if let among {
                    for index in among {
                        var position = offsets[index]
                        while let place = next(from: position, to: offsets[index + 1]) {
                            position = take(place, index)
                        }
                    }
                    return
                }
                var position = 0
                var index = 0
                while let place = next(from: position, to: all.count) {
                    while offsets[index + 1] <= place { index += 1 }
                    position = take(place, index)
                }
            }
        }
        return count
    }

    /// Ranks the names left that have the letters in order and returns how many there are.
    private func rankInOrder(
        _ wanted: [UInt8], _ among: [Int]?, _ ranks: inout [UInt8]
    ) -> Int {
        let mask = wanted.reduce(0) { $0 | letterBit($1) }
        var count = 0
        bytes.withUnsafeBytes { all in
            wanted.withUnsafeBytes { wanted in
                func look(_ index: Int) {
                    guard ranks[index] == Self.none, letters[index] & mask == mask else { return }
                    var matched = 0
                    var place = offsets[index]
                    let end = offsets[index + 1] - 1
                    while place < end, matched < wanted.count {
                        if all[place] == wanted[matched] { matched += 1 }
                        place += 1
                    }
                    guard matched == wanted.count else { return }
                    ranks[index] = Self.inOrder
                    count += 1
                }
                if let among { among.forEach(look) } else { names.indices.forEach(look) }
            }
        }
        return count
    }

    private func length(_ index: Int) -> Int { offsets[index + 1] - offsets[index] }

    /// The length up to which there are enough names, so that only these need be sorted.
    private func lengthLimit(_ indices: [Int], _ wanted: Int) -> Int {
        var counts = [Int](repeating: 0, count: 257)
        for index in indices { counts[min(256, length(index))] += 1 }
        var sum = 0
        for (length, count) in counts.enumerated() {
            sum += count
            if sum >= wanted { return length == 256 ? .max : length }
        }
        return .max
    }
}

private func lower(_ byte: UInt8) -> UInt8 {
    byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
}

private func startsPart(after byte: UInt8) -> Bool {
    byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: ":")
        || byte == UInt8(ascii: "/")
}

/// A bit for each letter and digit; other bytes share one.
private func letterBit(_ byte: UInt8) -> UInt64 {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"): 1 << UInt64(byte - UInt8(ascii: "a"))
    case UInt8(ascii: "0")...UInt8(ascii: "9"): 1 << UInt64(26 + byte - UInt8(ascii: "0"))
    default: 1 << 36
    }
}

/// Where a text was found: every name that fits a text that goes on from it is among those.
private final class LastSearch: Sendable {
    private let state = Mutex<(text: [UInt8], found: [Int])>(([], []))

    /// Ascending; nil when the text does not go on from the one before.
    func found(goingOnTo text: [UInt8]) -> [Int]? {
        state.withLock { last in
            !last.text.isEmpty && text.starts(with: last.text) ? last.found : nil
        }
    }

    func set(_ text: [UInt8], _ found: [Int]) { state.withLock { $0 = (text, found) } }
}
