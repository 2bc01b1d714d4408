// SPDX-License-Identifier: Apache-2.0
// What lines have in common.

import Base

/// Groups lines by their look and tells the pattern of each group, as `|>` understands it.
///
/// A line is words and what stands between them. Words with a digit vary; other words of lines that
/// look alike vary when they differ, as in Drain (ICWS 2017), whose tree of prefixes is replaced by a
/// table over what stands between the words. Bounded: `maxGroups` groups; lines that fit none of
/// them once they are full are counted as left over.
struct PatternMiner {
    static let maxGroups = 1000
    /// Longer lines, and lines with more words, belong to no group.
    static let maxLineBytes = 4096
    static let maxWords = 128
    /// Share of words that a line must have in common with a group, words that vary counted half.
    private static let likeness = 0.6

    /// The group that a line belongs to.
    struct Group {
        /// Words; empty = varies.
        fileprivate var words: [[UInt8]]
        /// Before the first word, between words, after the last one.
        fileprivate var between: [[UInt8]]
        private(set) var lines = 0

        fileprivate init(words: [[UInt8]], between: [[UInt8]]) {
            self.words = words
            self.between = between
        }

        fileprivate mutating func take(_ line: [[UInt8]]) {
            for (i, word) in line.enumerated() where words[i] != word { words[i] = [] }
            lines += 1
        }

        fileprivate func likeness(_ line: [[UInt8]]) -> Double {
            if words.isEmpty { return 1 }
            var score = 0.0
            for (a, b) in zip(words, line) {
                if a.isEmpty { score += 0.5 } else if a == b { score += 1 }
            }
            // Words that vary in both are alike, too.
            let varying = zip(words, line).reduce(0.0) {
                $0 + ($1.0.isEmpty && $1.1.isEmpty ? 0.5 : 0)
            }
            return (score + varying) / Double(words.count)
        }

        /// The pattern: text of the lines with `<_>` for what varies. Values that only a mark of
        /// numbers, times or addresses separates are one.
        var pattern: String {
            var out: [UInt8] = between[0]
            var afterCapture = false
            let capture = Array("<_>".utf8)
            for (i, word) in words.enumerated() {
                if i > 0 {
                    let mark = between[i]
                    let joins =
                        afterCapture && word.isEmpty && mark.count == 1
                        && PatternMiner.joining.contains(mark[0])
                    if joins { continue }
                    out += mark
                }
                out += word.isEmpty ? capture : word
                afterCapture = word.isEmpty
            }
            if !words.isEmpty { out += between[words.count] }
            return String(decoding: out, as: UTF8.self)
        }
    }

    private(set) var groups: [Group] = []
    /// Groups of each look, by its hash.
    private var byLook: [UInt64: [Int]] = [:]
    /// Lines that no group took.
    private(set) var leftOver = 0

    private static let joining = Array(".:-/_T+,".utf8)

    /// Number of the line's group; nil when it has none.
    mutating func add(_ line: Bytes) -> Int? {
        guard line.count <= PatternMiner.maxLineBytes, isValidUTF8(line),
            let (words, between) = PatternMiner.split(line)
        else {
            leftOver += 1
            return nil
        }
        var look = UInt64(words.count)
        for mark in between { look = hash64(mark, seed: look) }
        let candidates = byLook[look] ?? []
        var best: (group: Int, likeness: Double)?
        for group in candidates where groups[group].between == between {
            let likeness = groups[group].likeness(words)
            if likeness >= PatternMiner.likeness, likeness > best?.likeness ?? 0 {
                best = (group, likeness)
            }
        }
        if let best {
            groups[best.group].take(words)
            return best.group
        }
        guard groups.count < PatternMiner.maxGroups else {
            leftOver += 1
            return nil
        }
        var group = Group(words: words, between: between)
        group.take(words)
        groups.append(group)
        byLook[look, default: []].append(groups.count - 1)
        return groups.count - 1
    }

    /// Words, empty where they have a digit, and what stands around them. Nil for lines with too
    /// many, and for lines that hold what a pattern would take for a capture.
    private static func split(_ line: Bytes) -> (words: [[UInt8]], between: [[UInt8]])? {
        var words: [[UInt8]] = []
        var between: [[UInt8]] = []
        var i = 0
        while true {
            let start = i
            while i < line.count, !isWord(line[i]) { i += 1 }
            let mark = line.part(start..<i)
            // `<` and `>` around a word would read as a capture.
            if mark.contains(UInt8(ascii: "<")) || mark.contains(UInt8(ascii: ">")) { return nil }
            between.append(Array(mark))
            if i == line.count { break }
            let first = i
            var hasDigit = false
            while i < line.count, isWord(line[i]) {
                if isASCIIDigit(line[i]) { hasDigit = true }
                i += 1
            }
            if words.count == maxWords { return nil }
            words.append(hasDigit ? [] : Array(line.part(first..<i)))
        }
        // A word at the end leaves nothing behind it.
        if between.count == words.count { between.append([]) }
        return (words, between)
    }

    @inline(__always)
    private static func isWord(_ byte: UInt8) -> Bool {
        isASCIILetter(byte) || isASCIIDigit(byte) || byte >= 0x80
    }
}
