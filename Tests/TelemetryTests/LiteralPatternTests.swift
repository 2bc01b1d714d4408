// SPDX-License-Identifier: Apache-2.0
// Patterns that need no regular expression, against RE2.

import Base
import Testing

@testable import Telemetry

@Test(arguments: [
    ("a|b", ["a", "b"]), ("(a|b)-c", ["a-c", "b-c"]), ("a|", ["", "a"]), ("", [""]),
    (#"a\.b"#, ["a.b"]), ("^x$|^y", ["x", "y"]), ("(?:a(b|c)){0}", nil), ("a*", nil),
    ("ä|ö", ["ä", "ö"]), ("(?i)a", nil), ("a.*", nil), (#"\d"#, nil), ("a.b", nil),
    ("(x|y)(1|2)", ["x1", "x2", "y1", "y2"]),
])
func finitePatternsAreListed(pattern: String, values: [String]?) throws {
    #expect(try LabelMatcher("x", .matches, pattern).finiteValues == values)
}

@Test(arguments: [
    ("a.*", "a"), ("abc(d|e).*", "abc"), ("ab.*|ac.*", "a"), (".*a", ""), ("x[0-9]+", "x"),
    ("ä.*|å.*", ""), ("abc?", "ab"), ("a|b.*", ""), (#"a\.b.+"#, "a.b"),
])
func whatMatchesStartsWithThePrefix(pattern: String, prefix: String) throws {
    #expect(try LabelMatcher("x", .matches, pattern).literalPrefix == prefix)
}

@Test(arguments: [
    ".*", ".+", ".*9.*", "a.*", ".*a", "a.+b", ".+a.+", "(a|b).*", ".*(a|b).*", "a.*b.*a",
    "(a|.*b)+", ".*ab.*ba.*", "^a.*$", ".+.+", ".*.+", ".*?a.*?", "ä.*", ".+ä.+", "a.*|.*b|9",
])
func literalPatternsAgreeWithTheRegularExpression(pattern: String) throws {
    let matcher = try LabelMatcher("x", .matches, pattern)
    let negated = try LabelMatcher("x", .notMatches, pattern)
    let expression = try RegularExpression(pattern, [.dotMatchesNewline])
    for text in texts {
        #expect(matcher.matches(text) == expression.matchesWhole(text), "\(pattern) on \(text)")
        #expect(negated.matches(text) != expression.matchesWhole(text), "\(pattern) on \(text)")
    }
}

@Test func randomPatternsAgreeWithTheRegularExpression() throws {
    var random = SplitMix64(seed: 5)
    let tokens = [
        "a", "b", "ä", ".*", ".+", "|", "(", ")", "(?:", "9", #"\."#, ".", "^", "$", "?", "*",
    ]
    var compared = 0
    for _ in 0..<6000 {
        let pattern = (0..<(1 + random.next() % 7)).map { _ in
            tokens[Int(random.next() % UInt64(tokens.count))]
        }.joined()
        guard LiteralPattern(pattern) != nil else { continue }
        let expression: RegularExpression
        do throws(RegexError) {
            expression = try RegularExpression(pattern, [.dotMatchesNewline])
        } catch {
            // What is no regular expression is no matcher, however literal.
            #expect(throws: RegexError.self) { try LabelMatcher("x", .matches, pattern) }
            continue
        }
        compared += 1
        let matcher = try LabelMatcher("x", .matches, pattern)
        for text in texts where matcher.matches(text) != expression.matchesWhole(text) {
            Issue.record("\(pattern) on \(text)")
        }
        for text in texts where matcher.matches(text) {
            #expect(text.hasPrefix(matcher.literalPrefix), "\(pattern) on \(text)")
        }
    }
    #expect(compared > 600)
}

private let texts: [String] = {
    var all = [""]
    var last = [""]
    for _ in 0..<3 {
        last = last.flatMap { head in ["a", "b", "ä", "9", "\n", "."].map { head + $0 } }
        all += last
    }
    return all
}()
