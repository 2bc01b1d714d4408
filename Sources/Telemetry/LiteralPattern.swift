// SPDX-License-Identifier: Apache-2.0
// Patterns that are literals with anything between them.

import Base

/// A fully anchored pattern of literal text, `.*`, `.+` and alternatives of those, such as
/// `.*error.*`, `api-.+` or `(a|b)\.example\.com`: what most matchers are. Compared bytewise.
///
/// In UTF-8 text a literal can only be found between characters, so that bytes decide as
/// characters would; `.` matches a newline too, as Prometheus compiles its matchers.
struct LiteralPattern: Sendable {
    /// Most alternatives without a gap, after groups are multiplied out.
    static let maxLiterals = 256
    /// Most alternatives where one has a gap: they are tried one after the other.
    static let maxBranches = 16

    /// Literals in order, with a gap between each two.
    struct Branch: Sendable {
        /// All literals, back to back.
        fileprivate var bytes: [UInt8] = []
        /// Where each literal but the last ends in `bytes`.
        fileprivate var ends: [Int] = []
        /// Fewest bytes of the gap after each literal but the last: 0 or 1.
        fileprivate var least: [Int] = []
    }

    /// All texts that match, ascending bytewise; nil where a branch has a gap.
    let literals: [[UInt8]]?
    private let branches: [Branch]

    /// - Parameter pattern: a regular expression that compiles. Nil when it is of another kind.
    init?(_ pattern: String) {
        var parser = LiteralPatternParser(pattern)
        guard let branches = parser.parse() else { return nil }
        if branches.allSatisfy(\.ends.isEmpty) {
            literals = branches.map(\.bytes).sorted { $0.lexicographicallyPrecedes($1) }
        } else {
            guard branches.count <= LiteralPattern.maxBranches else { return nil }
            literals = nil
        }
        self.branches = branches
    }

    /// What every matching text starts with.
    var prefix: String {
        guard var shared = branches.first.map(\.head) else { return "" }
        for branch in branches.dropFirst() {
            let count = zip(shared, branch.head).prefix { $0 == $1 }.count
            shared = shared.prefix(count)
        }
        // Half a character is none.
        let whole = branches[0].head
        while shared.count < whole.count, whole[shared.count] & 0xc0 == 0x80 {
            shared = shared.dropLast()
        }
        return String(decoding: shared, as: UTF8.self)
    }

    func matches(_ text: UnsafeRawBufferPointer) -> Bool {
        if let literals {
            var low = 0
            var high = literals.count
            while low < high {
                let middle = (low &+ high) / 2
                let order = literals[middle].withUnsafeBytes { compareBytes($0, text) }
                if order == 0 { return true }
                if order < 0 { low = middle &+ 1 } else { high = middle }
            }
            return false
        }
        for branch in branches where branch.matches(text) { return true }
        return false
    }
}

extension LiteralPattern.Branch {
    /// The literal that begins the text.
    fileprivate var head: ArraySlice<UInt8> { bytes[..<(ends.first ?? bytes.count)] }

    /// The first and the last literal are where they must be; each between is taken at its first
    /// place, which leaves the most to those after it.
    fileprivate func matches(_ text: UnsafeRawBufferPointer) -> Bool {
        bytes.withUnsafeBytes { bytes in
            guard let firstEnd = ends.first, let lastStart = ends.last else {
                return equalBytes(bytes, text)
            }
            let lastCount = bytes.count &- lastStart
            guard text.count >= bytes.count,
                equalBytes(rebased(bytes, 0, firstEnd), rebased(text, 0, firstEnd)),
                equalBytes(
                    rebased(bytes, lastStart, bytes.count),
                    rebased(text, text.count &- lastCount, text.count))
            else { return false }
            var position = firstEnd
            let end = text.count &- lastCount
            for next in ends.indices.dropFirst() {
                let from = position &+ least[next &- 1]
                let literal = rebased(bytes, ends[next &- 1], ends[next])
                guard from <= end, let found = find(literal, in: rebased(text, from, end)) else {
                    return false
                }
                position = from &+ found &+ literal.count
            }
            return position &+ least[least.count &- 1] <= end
        }
    }
}

@inline(__always)
private func rebased(
    _ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int
) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[start..<end])
}

/// Reads a pattern whose syntax RE2 has checked; gives up at whatever it does not know.
private struct LiteralPatternParser {
    private let text: [UInt8]
    private var offset = 0

    init(_ pattern: String) { text = [UInt8](pattern.utf8) }

    /// The alternatives; nil for other patterns.
    mutating func parse() -> [LiteralPattern.Branch]? {
        guard let branches = alternation(depth: 0), offset == text.count else { return nil }
        return branches
    }

    private var next: UInt8? { offset < text.count ? text[offset] : nil }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        offset += 1
        return true
    }

    private mutating func alternation(depth: Int) -> [LiteralPattern.Branch]? {
        guard depth < 16 else { return nil }
        var all: [LiteralPattern.Branch] = []
        repeat {
            guard let some = concatenation(depth: depth) else { return nil }
            all += some
            if all.count > LiteralPattern.maxLiterals { return nil }
        } while take(UInt8(ascii: "|"))
        return all
    }

    private mutating func concatenation(depth: Int) -> [LiteralPattern.Branch]? {
        var all = [LiteralPattern.Branch()]
        // The whole text must match anyhow.
        if depth == 0, take(UInt8(ascii: "^")), isRepeated { return nil }
        while let byte = next, byte != UInt8(ascii: "|"), byte != UInt8(ascii: ")") {
            if depth == 0, byte == UInt8(ascii: "$"), isLastOfBranch {
                offset += 1
                return all
            }
            guard let item = item(depth: depth),
                all.count * item.count <= LiteralPattern.maxLiterals
            else { return nil }
            if item.count == 1, item[0].ends.isEmpty, item[0].bytes.count == 1, all.count == 1 {
                all[0].bytes.append(item[0].bytes[0])
                continue
            }
            var product: [LiteralPattern.Branch] = []
            for left in all {
                for right in item {
                    guard let joined = left.followed(by: right) else { return nil }
                    product.append(joined)
                }
            }
            all = product
        }
        return all
    }

    private mutating func item(depth: Int) -> [LiteralPattern.Branch]? {
        guard var byte = next else { return nil }
        offset += 1
        switch byte {
        case UInt8(ascii: "("):
            if take(UInt8(ascii: "?")), !take(UInt8(ascii: ":")) { return nil }
            guard let inner = alternation(depth: depth + 1), take(UInt8(ascii: ")")),
                !isRepeated
            else { return nil }
            return inner
        case UInt8(ascii: "."):
            let least: Int
            if take(UInt8(ascii: "*")) {
                least = 0
            } else if take(UInt8(ascii: "+")) {
                least = 1
            } else {
                return nil
            }
            // Of a whole match laziness changes nothing.
            _ = take(UInt8(ascii: "?"))
            return isRepeated ? nil : [LiteralPattern.Branch(bytes: [], ends: [0], least: [least])]
        case UInt8(ascii: "\\"):
            guard let escaped = next, isPunctuation(escaped) else { return nil }
            offset += 1
            byte = escaped
        default:
            if "+*?[]{}^$".utf8.contains(byte) { return nil }
        }
        // A repetition repeats the character, of which this may be the last byte.
        return isRepeated ? nil : [LiteralPattern.Branch(bytes: [byte])]
    }

    private var isLastOfBranch: Bool {
        offset + 1 == text.count || text[offset + 1] == UInt8(ascii: "|")
    }

    private var isRepeated: Bool { next.map { "*+?{".utf8.contains($0) } ?? false }

    private func isPunctuation(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x21...0x2f, 0x3a...0x40, 0x5b...0x5e, 0x60, 0x7b...0x7e: true
        default: false
        }
    }
}

extension LiteralPattern.Branch {
    /// Nil when a gap would need two characters, which bytes do not tell.
    fileprivate func followed(by other: LiteralPattern.Branch) -> LiteralPattern.Branch? {
        var result = self
        for index in other.ends.indices {
            let start = index == 0 ? 0 : other.ends[index - 1]
            result.bytes += other.bytes[start..<other.ends[index]]
            if let last = result.ends.last, last == result.bytes.count {
                // Gap after gap.
                let sum = result.least[result.least.count - 1] + other.least[index]
                if sum > 1 { return nil }
                result.least[result.least.count - 1] = sum
            } else {
                result.ends.append(result.bytes.count)
                result.least.append(other.least[index])
            }
        }
        result.bytes += other.bytes[(other.ends.last ?? 0)...]
        return result
    }
}
