// SPDX-License-Identifier: Apache-2.0
// Whatever stands in a query, the parser answers.

import Testing

@testable import TraceQL

@Suite struct FuzzTests {
    private struct Seeded: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return z ^ (z >> 31)
        }
    }

    /// True when the text parses.
    private func survives(_ text: String) -> Bool {
        _ = TraceQLAutocomplete.conditions(in: text)
        do {
            _ = try TraceQLParser.parse(text)
            return true
        } catch {
            return false
        }
    }

    private static let pieces = [
        "{", "}", "(", ")", "|", "&&", "||", "=", "!=", "=~", "!~", ">", "<", ">>", "!>", "&>", "~",
        "+", "-", "*", "/", "%", "^", "!", ".a", "span.b", "\"x\"", "`y`", "1", "1.5", "1h", "nil",
        "true", "error", "client", "duration", "name", "count()", "avg(", "by(", "coalesce()",
        "select(", "rate()", "topk(", "with(", ",", "99999999999999999999", "parent.c", "trace:id",
    ]

    private static let queries = [
        #"{ .a = 1 && ( span.b > 1h || !.c ) }"#, #"{ } >> { status = error } | count() > 2"#,
        #"{ name =~ "x" } | by( .a ) | avg( duration ) >= 1s"#,
        "( {} | rate() ) * 2 + 1 | topk( 5 )",
    ]

    @Test func anyMixOfWordsIsParsedOrRefused() {
        var random = Seeded(state: 7)
        var parsed = 0
        for round in 0..<4000 {
            var words = FuzzTests.queries[round % FuzzTests.queries.count].split(separator: " ")
                .map(String.init)
            for _ in 0..<Int.random(in: 0...3, using: &random) where !words.isEmpty {
                let place = Int.random(in: 0..<words.count, using: &random)
                let piece = FuzzTests.pieces.randomElement(using: &random) ?? ""
                switch Int.random(in: 0...2, using: &random) {
                case 0: words[place] = piece
                case 1: words.insert(piece, at: place)
                default: words.remove(at: place)
                }
            }
            if survives(words.joined(separator: " ")) { parsed += 1 }
        }
        #expect(parsed > 500)
        #expect(parsed < 3500)
        for _ in 0..<2000 {
            let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            _ = survives(String(decoding: bytes, as: UTF8.self))
        }
    }

    @Test func deepNestingIsRefusedAndNotASlowdown() {
        for piece in ["(", "{ (", "{ !", "{ -", "({} | ", "count() + (", "(1 + "] {
            #expect(!survives(String(repeating: piece, count: 20_000)))
        }
        let depth = 90
        let nested =
            String(repeating: "(", count: depth) + "{} | rate()"
            + String(repeating: ")", count: depth)
        _ = survives(nested + " + 1")
        _ = survives("{ " + String(repeating: ".a && ", count: 10_000) + ".b }")
    }
}
