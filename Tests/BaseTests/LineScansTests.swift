// SPDX-License-Identifier: Apache-2.0
// Scans over log lines beside naive ones.

import Testing

@testable import Base

private struct Numbers: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ state >> 31
    }
    mutating func below(_ n: Int) -> Int { Int(next() >> 8) % n }
}

/// Lines of the pieces that the scans look for, and of bytes near them.
private func randomLine(_ numbers: inout Numbers) -> [UInt8] {
    let pieces = [
        "race", "RACE", "rAce", "trac", "deb", "FAT", "eRR", "crit", "inf", "war", "level=info",
        "\"msg\": \"all is well\"", "\"a\":\"b\\\"c\"", "id=4bf9", "0123", "35ms", "worker3",
        "30T10",
        "k=\"", "=", "\"", ":\"", " ", "\n", "Trac", "\u{e9}", "zzzzzzzz",
    ]
    var line: [UInt8] = []
    for _ in 0..<numbers.below(24) {
        if numbers.below(4) == 0 {
            line.append(UInt8(numbers.below(255) + 1))
        } else {
            line += Array(pieces[numbers.below(pieces.count)].utf8)
        }
    }
    return line
}

@Test func wordsAreFoundInEitherCase() {
    var numbers = Numbers(state: 7)
    for _ in 0..<3000 {
        let line = randomLine(&numbers)
        let start = numbers.below(line.count + 2)
        func naive(_ words: [[UInt8]]) -> Int {
            (start..<max(start, line.count)).first { i in
                words.contains { line[i...].starts(with: $0) }
            } ?? line.count
        }
        let found = line.withUnsafeBytes { findWord("race", in: $0, from: start) }
        #expect(found == naive([Array("race".utf8), Array("RACE".utf8)]))
        let level = line.withUnsafeBytes { findLevelName(in: $0, from: start) }
        let folded = line.map { (65...90).contains($0) ? $0 | 0x20 : $0 }
        let triples = ["tra", "deb", "fat", "cri", "err", "war", "inf"].map { Array($0.utf8) }
        let expected =
            (start..<max(start, line.count)).first { i in
                triples.contains { folded[i...].starts(with: $0) }
            } ?? line.count
        #expect(level == expected)
    }
}

@Test func linesAreTheirTextWithTheirValues() {
    var numbers = Numbers(state: 11)
    for _ in 0..<3000 {
        let before = randomLine(&numbers), line = randomLine(&numbers)
        let after = numbers.below(2) == 0 ? [] : randomLine(&numbers)
        let all = before + line + after
        let splitter = LineSplitter(longest: line.count, most: 40)
        let range = before.count..<(before.count + line.count)
        let rebuilt = all.withUnsafeBytes { all in
            splitter.split(range, of: all) { text, values -> [UInt8] in
                let words = values.bindMemory(to: UInt32.self)
                var out: [UInt8] = []
                var next = 0
                for byte in text {
                    if byte != 0 {
                        out.append(byte)
                        #expect(byte &- 48 > 9, "a digit outside values")
                        continue
                    }
                    let start = Int(words[2 * next]), count = Int(words[2 * next + 1])
                    #expect(count > 0)
                    out += all[start..<(start + count)]
                    next += 1
                }
                #expect(next * 2 == words.count)
                return out
            }
        }
        #expect(rebuilt == nil || rebuilt == line)
    }
}

@Test func fieldsWithoutDigitsAreValues() {
    let line = Array(#"level=info msg="all is well" {"a": "b c", "t": "10ms"} x3 plain="#.utf8)
    let splitter = LineSplitter(longest: line.count, most: 40)
    let values = line.withUnsafeBytes { line in
        splitter.split(0..<line.count, of: line) { _, values -> [String] in
            let words = values.bindMemory(to: UInt32.self)
            return stride(from: 0, to: words.count, by: 2).map {
                String(
                    decoding: line[Int(words[$0])..<Int(words[$0] + words[$0 + 1])], as: UTF8.self)
            }
        }
    }
    #expect(values == ["info", "all is well", "b c", "10", "3"])
    let few = LineSplitter(longest: line.count, most: 4)
    #expect(line.withUnsafeBytes { few.split(0..<line.count, of: $0) { _, _ in 0 } } == nil)
}

@Test func longRunsOfHexadecimalDigitsAreFound() {
    var numbers = Numbers(state: 17)
    let pieces = ["0123456789ab", "0123456789a", "ABCDEF", "9", "f", "g", " ", "\u{e9}", "-"]
    for _ in 0..<3000 {
        var line: [UInt8] = []
        for _ in 0..<numbers.below(20) {
            line += Array(pieces[numbers.below(pieces.count)].utf8)
            if numbers.below(4) == 0 { line.append(UInt8(numbers.below(256))) }
        }
        let start = numbers.below(line.count + 2)
        let isHex = line.map {
            (48...57).contains($0) || (65...70).contains($0) || (97...102).contains($0)
        }
        let expected =
            (start..<max(start, line.count)).first { i in
                i + hexRunLeast <= line.count && isHex[i..<(i + hexRunLeast)].allSatisfy { $0 }
            } ?? line.count
        #expect(line.withUnsafeBytes { findHexRun(in: $0, from: start) } == expected)
    }
}
