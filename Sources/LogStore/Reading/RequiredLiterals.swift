// SPDX-License-Identifier: Apache-2.0
// What every match of a regular expression has in it.

/// Finds literal text that a regular expression (RE2 syntax) cannot match without, so that words and
/// columns are searched for it and the expression runs over few lines.
///
/// Only text outside of groups, classes and alternatives is found; of expressions with flags, or with
/// escapes that are not understood here, none.
enum RequiredLiterals {
    /// Shorter text is in too many lines.
    static let least = 3
    private static let most = 8

    /// - Returns: pieces of at least `least` bytes, in order; all of them are in every match.
    /// - Complexity: O(bytes of the pattern).
    static func of(_ pattern: String) -> [[UInt8]] {
        var scan = PatternScan(Array(pattern.utf8))
        guard scan.run() else { return [] }
        return Array(scan.found.filter { $0.count >= least }.prefix(most))
    }
}

/// One pass over a pattern.
private struct PatternScan {
    private let pattern: [UInt8]
    private var at = 0
    private var open: [UInt8] = []
    /// Bytes of the last character of `open`, to which a quantifier would belong.
    private var lastCount = 0
    private(set) var found: [[UInt8]] = []

    init(_ pattern: [UInt8]) { self.pattern = pattern }

    /// - Returns: false when nothing can be said of the pattern.
    mutating func run() -> Bool {
        while at < pattern.count {
            let byte = pattern[at]
            switch byte {
            case UInt8(ascii: "|"), UInt8(ascii: ")"): return false
            case UInt8(ascii: "("):
                close()
                guard skipGroup() else { return false }
            case UInt8(ascii: "["):
                close()
                guard skipClass() else { return false }
            case UInt8(ascii: "."), UInt8(ascii: "^"), UInt8(ascii: "$"):
                close()
                at += 1
            case UInt8(ascii: "*"), UInt8(ascii: "?"):
                dropLast()
                at += 1
            case UInt8(ascii: "+"):
                close()
                at += 1
            case UInt8(ascii: "{"):
                if let end = repetitionEnd() {
                    dropLast()
                    at = end
                } else {
                    take(1)
                }
            case UInt8(ascii: "\\"):
                guard takeEscape() else { return false }
            case 0x80...:
                // U+FFFD matches bytes that are not UTF-8.
                close()
                at += characterCount()
            default: take(1)
            }
        }
        close()
        return true
    }

    private mutating func take(_ n: Int) {
        open += pattern[at..<(at + n)]
        lastCount = n
        at += n
    }

    private mutating func close() {
        if !open.isEmpty { found.append(open) }
        open = []
        lastCount = 0
    }

    /// The last character may be missing.
    private mutating func dropLast() {
        open.removeLast(lastCount)
        close()
    }

    /// Bytes of the UTF-8 character here.
    private func characterCount() -> Int {
        var end = at + 1
        while end < pattern.count, pattern[end] & 0xc0 == 0x80 { end += 1 }
        return end - at
    }

    private mutating func takeEscape() -> Bool {
        guard at + 1 < pattern.count else { return false }
        let byte = pattern[at + 1]
        switch byte {
        case UInt8(ascii: "d"), UInt8(ascii: "D"), UInt8(ascii: "s"), UInt8(ascii: "S"),
            UInt8(ascii: "w"), UInt8(ascii: "W"), UInt8(ascii: "b"), UInt8(ascii: "B"):
            close()
            at += 2
            return true
        case 0x21...0x2f, 0x3a...0x40, 0x5b...0x60, 0x7b...0x7e:
            at += 1
            take(1)
            return true
        default: return false
        }
    }

    /// Where a repetition like `{2}` or `{1,}` that begins here ends; nil when it is text.
    private func repetitionEnd() -> Int? {
        var end = at + 1
        func isDigit() -> Bool { end < pattern.count && pattern[end] &- UInt8(ascii: "0") < 10 }
        guard isDigit() else { return nil }
        while isDigit() { end += 1 }
        if end < pattern.count, pattern[end] == UInt8(ascii: ",") {
            end += 1
            while isDigit() { end += 1 }
        }
        return end < pattern.count && pattern[end] == UInt8(ascii: "}") ? end + 1 : nil
    }

    /// Passes over a group with all in it.
    private mutating func skipGroup() -> Bool {
        var depth = 0
        while at < pattern.count {
            switch pattern[at] {
            case UInt8(ascii: "("):
                depth += 1
                if at + 1 < pattern.count, pattern[at + 1] == UInt8(ascii: "?") {
                    // Flags may reach beyond the group.
                    guard at + 2 < pattern.count,
                        [UInt8(ascii: ":"), UInt8(ascii: "P"), UInt8(ascii: "<")].contains(
                            pattern[at + 2])
                    else { return false }
                    at += 2
                }
                at += 1
            case UInt8(ascii: ")"):
                depth -= 1
                at += 1
                if depth == 0 { return true }
            case UInt8(ascii: "["): guard skipClass() else { return false }
            case UInt8(ascii: "\\"):
                guard at + 1 < pattern.count, pattern[at + 1] != UInt8(ascii: "Q") else {
                    return false
                }
                at += 2
            default: at += 1
            }
        }
        return false
    }

    /// Passes over a class of characters.
    private mutating func skipClass() -> Bool {
        at += 1
        if at < pattern.count, pattern[at] == UInt8(ascii: "^") { at += 1 }
        // First, a bracket is a character.
        if at < pattern.count, pattern[at] == UInt8(ascii: "]") { at += 1 }
        while at < pattern.count {
            switch pattern[at] {
            case UInt8(ascii: "]"):
                at += 1
                return true
            case UInt8(ascii: "["):
                guard at + 1 < pattern.count, pattern[at + 1] == UInt8(ascii: ":") else {
                    at += 1
                    continue
                }
                // `[:alpha:]`, if it is that; else nothing is said.
                var end = at + 2
                while end < pattern.count, (pattern[end] | 0x20) &- UInt8(ascii: "a") < 26 {
                    end += 1
                }
                guard end + 1 < pattern.count, pattern[end] == UInt8(ascii: ":"),
                    pattern[end + 1] == UInt8(ascii: "]")
                else { return false }
                at = end + 2
            case UInt8(ascii: "\\"):
                guard at + 1 < pattern.count, pattern[at + 1] != UInt8(ascii: "Q") else {
                    return false
                }
                at += 2
            default: at += 1
            }
        }
        return false
    }
}
