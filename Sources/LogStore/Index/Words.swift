// SPDX-License-Identifier: Apache-2.0
// Words of lines and of needles.

import Base

/// A word is a longest run of ASCII letters.
enum Words {
    /// Shorter words stand in nearly every block.
    static let least = 3
    /// Longer runs are no words but data, and told apart only by their letters.
    static let most = 64

    @inline(__always)
    static func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) &- UInt8(ascii: "a") < 26 }

    /// Calls `body` with each run of letters.
    ///
    /// - Complexity: O(bytes), without allocation.
    @inline(__always)
    static func forEach(in text: UnsafeRawBufferPointer, _ body: (Range<Int>) -> Void) {
        var index = 0
        let count = text.count
        while index < count {
            if !isLetter(text[index]) {
                index &+= 1
                continue
            }
            let start = index
            repeat { index &+= 1 } while index < count && isLetter(text[index])
            body(start..<index)
        }
    }
}

/// Letters that occur in a text that is not taken apart into words, and the longest run of them.
struct LetterSurvey: Sendable, Hashable {
    /// Bits 0–25 are `A`–`Z`, 26–51 `a`–`z`.
    var letters: UInt64 = 0
    var longestRun = 0

    static func bit(_ letter: UInt8) -> UInt64 {
        letter & 0x20 == 0
            ? 1 &<< UInt64(letter &- UInt8(ascii: "A"))
            : 1 &<< (UInt64(letter &- UInt8(ascii: "a")) &+ 26)
    }

    static let lowerHex: UInt64 = "abcdef".utf8.reduce(0) { $0 | bit($1) }

    mutating func add(_ text: UnsafeRawBufferPointer) {
        Words.forEach(in: text) { range in
            longestRun = max(longestRun, range.count)
            for index in range { letters |= LetterSurvey.bit(text[index]) }
        }
    }

    mutating func add(lowerHexDigits count: Int) {
        letters |= LetterSurvey.lowerHex
        longestRun = max(longestRun, count)
    }

    mutating func merge(_ other: LetterSurvey) {
        letters |= other.letters
        longestRun = max(longestRun, other.longestRun)
    }

    /// Whether the text may hold a run of letters.
    func mayHold(_ run: UnsafeRawBufferPointer) -> Bool {
        run.count <= longestRun && run.allSatisfy { letters & LetterSurvey.bit($0) != 0 }
    }
}

/// A run of letters of a needle, and which of its ends are ends of the line's run as well.
struct NeedleWord {
    var text: [UInt8]
    var beginsWord: Bool
    var endsWord: Bool

    /// Runs that are worth a look-up.
    static func words(of needle: [UInt8]) -> [NeedleWord] {
        needle.withUnsafeBytes { needle in
            var words: [NeedleWord] = []
            Words.forEach(in: needle) { range in
                if range.count < Words.least { return }
                words.append(
                    NeedleWord(
                        text: Array(needle[range]), beginsWord: range.lowerBound > 0,
                        endsWord: range.upperBound < needle.count))
            }
            return words
        }
    }

    func matches(_ word: UnsafeRawBufferPointer) -> Bool {
        let condition: ValueCondition =
            switch (beginsWord, endsWord) {
            case (true, true): .equals
            case (true, false): .prefix
            case (false, true): .suffix
            case (false, false): .contains
            }
        return text.withUnsafeBytes { condition.holds($0, word) }
    }
}
