// SPDX-License-Identifier: Apache-2.0
// What parses, what does not, and why.

import Telemetry
import Testing

@testable import LogQL

@Suite struct ParserTests {
    static let refused: [(query: String, error: String)] = [
        ("", "parse error at line 1, col 1: syntax error: unexpected $end"),
        (
            "{",
            "parse error at line 1, col 2: syntax error: unexpected $end, expecting IDENTIFIER or }"
        ),
        (
            #"{a="b""#,
            "parse error at line 1, col 7: syntax error: unexpected $end, expecting } or ,"
        ),
        (
            #"{a "b"}"#,
            "parse error at line 1, col 4: syntax error: unexpected STRING, expecting = or =~ or !~ or !="
        ),
        (
            #"{a="b"} |= 5"#,
            "parse error at line 1, col 12: syntax error: unexpected NUMBER, expecting STRING or ip"
        ),
        ("{a=\"b\"}\n| json |", "parse error at line 2, col 9: syntax error: unexpected $end"),
        (#"rate({a="b"})"#, "parse error at line 1, col 13: syntax error: unexpected )"),
        (
            #"{a="b"} | drop"#,
            "parse error at line 1, col 15: syntax error: unexpected $end, expecting IDENTIFIER"
        ),
        (
            #"{a="b"} | line_format "{{.x | nope}}""#,
            #"parse error : invalid line template: template: line:1: function "nope" not defined"#
        ),
        (
            #"{a="b"} | label_format a=b,a=c"#,
            "parse error : multiple label name 'a' not allowed in a single format operation"
        ),
        (#"{a="b"} | regexp "x""#, "parse error : at least one named capture must be supplied"),
        (
            #"{a="b"} | pattern "<a><b>""#,
            "parse error : found consecutive capture '<b>': at least one literal is required between captures"
        ),
        (
            #"sum(rate({a="b"}[1m])) by (x) by (y)"#,
            "parse error at line 1, col 31: syntax error: unexpected by"
        ),
        (
            #"topk(0, rate({a="b"}[1m]))"#,
            "parse error : invalid parameter (must be greater than 0) topk(0"
        ),
        (
            #"count_over_time({a=~".*"}[1m])"#,
            "parse error : queries require at least one regexp or equality matcher that does not have an empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will"
        ),
        (
            #"quantile({a="b"}[1m])"#,
            "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER"
        ),
        (#"rate({a="b"}[1m]) @ 5"#, "parse error at line 1, col 19: syntax error: unexpected $unk"),
    ]

    @Test func errorsNamePlaceAndReason() {
        var problems: [String] = []
        for (query, expected) in ParserTests.refused {
            do {
                _ = try LogQLParser.parse(query)
                problems.append("accepted: \(query)")
            } catch {
                if error.description != expected {
                    problems.append("\(query)\n    \(error)\n    \(expected)")
                }
            }
        }
        for problem in problems { print("  " + problem) }
        #expect(problems.isEmpty)
    }

    static let accepted = [
        #"{rate="a", sum="b"} | duration > 5s | bytes = "x" | ip = "y""#,
        "{a=`b`} # comment\n |= `x\\d` | json",
        #"{a="b"} | logfmt --keep-empty a, b="c" | unpack | decolorize | keep a, b=~"x""#,
        #"SUM BY (a) (RATE({a="b"}[1h30m] OFFSET -5m))"#,
        #"sum(rate(({a="b"} | json | unwrap duration(x) | x > 5)[5m]))"#,
        #"({a="b"} |= "x") | json"#,
        #"rate({a="b"}[5m]) > bool ignoring (a, b) group_right (c) rate({a="b"}[5m])"#,
        #"{a="b"} | a = ip("::1/64") or (b != 2 and c >= 1.5MiB), d == -3"#,
        #"-1 + +2"#, "vector(-1.5)",
    ]

    @Test func theWholeGrammarIsAccepted() {
        for query in ParserTests.accepted {
            #expect(throws: Never.self, "\(query)") { try LogQLParser.parse(query) }
        }
    }

    @Test func selectorsAloneMayBeEmpty() throws {
        #expect(try LogQLMatchers.parse("").isEmpty)
        #expect(try LogQLMatchers.parse("{}").isEmpty)
        #expect(
            try LogQLMatchers.parse(#"{a="b", c!~"d"}"#).map(\.description) == [
                #"a="b""#, #"c!~"d""#,
            ])
        #expect(throws: LogQLSyntaxError.self) { try LogQLMatchers.parse(#"{a="b"} | json"#) }
        #expect(throws: LogQLSyntaxError.self) {
            try LogQLMatchers.parse(#"{a=~".*"}"#, allowsEverything: false)
        }
    }

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

    private static let pieces = [
        "{", "}", "(", ")", "|", "|=", "!=", "=", "=~", "[5m]", "[", "]", "by", "without", "offset",
        "and", "or", "unless", "json", "logfmt", "unwrap", "drop", "keep", "line_format", "rate(",
        "sum(", "topk(", "ip(", "\"{{.a}}\"", "\"{{\"", "`<_> x`", "a", "5", "1.5", "5m", "10MB",
        "-",
        "+", "^", "==", "bool", "on", "group_left", ",", "#", "\n", "99999999999999999999y",
        "--strict",
    ]

    @Test func anyMixOfWordsIsParsedOrRefused() {
        var random = Seeded(state: 11)
        var parsed = 0
        for round in 0..<4000 {
            var words = ParserTests.accepted[round % ParserTests.accepted.count]
                .split(separator: " ").map(String.init)
            for _ in 0..<Int.random(in: 0...3, using: &random) where !words.isEmpty {
                let place = Int.random(in: 0..<words.count, using: &random)
                let piece = ParserTests.pieces.randomElement(using: &random) ?? ""
                switch Int.random(in: 0...2, using: &random) {
                case 0: words[place] = piece
                case 1: words.insert(piece, at: place)
                default: words.remove(at: place)
                }
            }
            if (try? LogQLParser.parse(words.joined(separator: " "))) != nil { parsed += 1 }
        }
        #expect((500..<3500).contains(parsed))
        for _ in 0..<4000 {
            let bytes = (0..<Int.random(in: 0...60, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            let text = String(decoding: bytes, as: UTF8.self)
            _ = try? LogQLParser.parse(text)
            _ = try? LogQLMatchers.parse(text)
            _ = try? Template("{{" + text + "}}", name: "x")
            _ = try? JSONPath(text)
            _ = IPPattern(text)
        }
    }

    @Test func deepNestingIsRefused() {
        for piece in ["(", "sum(", "1 + (", "{a=\"b\"} | (", "2 ^ ", "label_replace("] {
            #expect(throws: LogQLSyntaxError.self, "\(piece)") {
                try LogQLParser.parse(String(repeating: piece, count: 5000) + "1")
            }
        }
        #expect(throws: TemplateError.self) {
            try Template("{{" + String(repeating: "(", count: 5000) + "}}", name: "x")
        }
        #expect(throws: TemplateError.self) {
            try Template(String(repeating: "{{if .a}}", count: 5000), name: "x")
        }
    }
}
