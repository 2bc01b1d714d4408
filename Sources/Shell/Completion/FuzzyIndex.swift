// SPDX-License-Identifier: Apache-2.0
// Names that fit what is typed.

/// Many names, ready to be searched at every key press: 100,000 names take a few milliseconds.
///
/// The lower-case bytes of all names lie one after the other, so that a search is one pass over
/// them. Names that begin with the text come first, then those in which a part after `_`, `.`, `:`
/// or `/` does, then those that contain it, then those that have its letters in this order.
package struct FuzzyIndex: Sendable {
    package let names: [String]
    private let bytes: [UInt8]
    /// Where each name begins, and the end of the last.
    private let offsets: [Int]
    /// Names that are kept; a server that has more is asked with what is typed.
    package static let most = 500_000

    package init(_ names: [String]) {
        self.names = Array(names.prefix(Self.most))
        var bytes: [UInt8] = []
        var offsets = [0]
        offsets.reserveCapacity(self.names.count + 1)
        for name in self.names {
            for byte in name.utf8 { bytes.append(lower(byte)) }
            offsets.append(bytes.count)
        }
        self.bytes = bytes
        self.offsets = offsets
    }

    /// The names that fit best.
    ///
    /// - Returns: positions in `names`; equal ones by length and then as they were given.
    /// - Complexity: one pass over the bytes of all names.
    package func search(_ text: String, limit: Int) -> [Int] {
        let wanted = text.utf8.map(lower)
        guard !wanted.isEmpty else { return Array(names.indices.prefix(limit)) }
        // A list a rank: once the better ranks fill the limit the worse need not be sorted.
        var ranks = [[Int]](repeating: [], count: 4)
        bytes.withUnsafeBufferPointer { all in
            wanted.withUnsafeBufferPointer { wanted in
                offsets.withUnsafeBufferPointer { offsets in
                    for index in 0..<(offsets.count - 1) {
                        let name = UnsafeBufferPointer(
                            rebasing: all[offsets[index]..<offsets[index + 1]])
                        let rank = rankOf(wanted, in: name)
                        if rank < 4 { ranks[rank].append(index) }
                    }
                }
            }
        }
        var out: [Int] = []
        for rank in ranks where out.count < limit {
            // Shortest first: what is typed is the greatest part of them.
            let room = limit - out.count
            let longest = lengthLimit(rank, room)
            let keyed = rank.filter { length($0) <= longest }.sorted { a, b in
                length(a) == length(b) ? a < b : length(a) < length(b)
            }
            out.append(contentsOf: keyed.prefix(room))
        }
        return out
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

/// 0 begins with, 1 a part begins with, 2 contains, 3 has the letters in order, 4 nothing.
private func rankOf(
    _ wanted: UnsafeBufferPointer<UInt8>, in name: UnsafeBufferPointer<UInt8>
) -> Int {
    let count = wanted.count
    guard count <= name.count else { return 4 }
    let first = wanted[0]
    var best = 4
    var matched = 0
    var i = 0
    while i < name.count {
        let byte = name[i]
        if matched < count, byte == wanted[matched] { matched &+= 1 }
        if byte == first, best > 1, i &+ count <= name.count {
            var j = 1
            while j < count, name[i &+ j] == wanted[j] { j &+= 1 }
            if j == count {
                if i == 0 { return 0 }
                let before = name[i &- 1]
                let isPart =
                    before == UInt8(ascii: "_") || before == UInt8(ascii: ".")
                    || before == UInt8(ascii: ":") || before == UInt8(ascii: "/")
                best = min(best, isPart ? 1 : 2)
            }
        }
        i &+= 1
    }
    return best < 4 ? best : matched == count ? 3 : 4
}
