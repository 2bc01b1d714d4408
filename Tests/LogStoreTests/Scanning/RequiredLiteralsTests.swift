// SPDX-License-Identifier: Apache-2.0
// Text that regular expressions cannot match without.

import Base
import TestKit
import Testing

@testable import LogStore

struct RequiredLiteralsTests {
    private func texts(_ pattern: String) -> [String] {
        RequiredLiterals.of(pattern).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func textOutsideOfGroupsIsRequired() {
        #expect(texts("timeout.*upstream") == ["timeout", "upstream"])
        #expect(texts("^GET /api/v\\d+/cart$") == ["GET /api/v", "/cart"])
        #expect(texts("status=5\\d\\d (bad|late) gateway") == ["status=5", " gateway"])
        #expect(texts("a\\.b\\.c[x-z]+def") == ["a.b.c", "def"])
        #expect(texts("colou?r of étés?") == ["colo", "r of "])
        #expect(texts("abc+def{2}ghi{x}") == ["abc", "ghi{x}"])
        #expect(texts("[]abc]xyz[[:alpha:])]uvw") == ["xyz", "uvw"])
        #expect(texts("(?:abc(?P<n>d)|[)]e)fgh") == ["fgh"])
    }

    @Test func nothingIsRequiredWhereItCannotBeSaid() {
        let patterns = [
            "timeout|refused", "(?i)timeout", "x(?i)timeout", "(?i:a)timeout", "\\Qtimeout\\E",
            "\\x41timeout", "\\pLtimeout", "tim*", "", "(", "abc)", "[abc", "timeout\\",
        ]
        for pattern in patterns { #expect(texts(pattern).isEmpty, "\(pattern)") }
    }

    /// Whatever a pattern matches has what is said to be required.
    @Test func matchesHaveWhatIsRequired() throws {
        var random = Chance(seed: 4_711, 1)
        let pieces = [
            "abc", "ab", "xyz", "a", "b", "c", ".", "*", "+", "?", "{2}", "{1,2}", "{0,}", "{", "}",
            "[ab]", "[^c]", "[]x]", "[[:alpha:]]", "(", ")", "|", "(?:", "\\d", "\\.", "\\w", "^",
            "$", "1", "é", "\\\\", "-", "(?i)", "\\Q", "\\E", "\\[", "\\(", ",", ":",
        ]
        let texts = [
            "abc", "ab", "xyz", "a", "b", "c", "1", "é", ".", "x", "ABC", "{2}", "\\", "(",
        ]
        var matched = 0, required = 0
        for _ in 0..<20_000 {
            let pattern = (0..<(1 + random.below(7))).map { _ in
                pieces[random.below(pieces.count)]
            }.joined()
            guard let expression = try? RegularExpression(pattern) else { continue }
            let literals = RequiredLiterals.of(pattern)
            if literals.isEmpty { continue }
            required += 1
            for _ in 0..<12 {
                var line = Array(
                    (0..<random.below(8)).map { _ in texts[random.below(texts.count)] }.joined()
                        .utf8)
                if random.happens(1, in: 3) { line += literals[random.below(literals.count)] }
                guard line.withUnsafeBytes({ expression.matchesAnywhere($0) }) else { continue }
                matched += 1
                for literal in literals {
                    let isThere = line.withUnsafeBytes { line in
                        literal.withUnsafeBytes { find($0, in: line) != nil }
                    }
                    #expect(isThere, "\(pattern) matches \(line) without \(literal)")
                }
            }
        }
        #expect(required > 500)
        #expect(matched > 500)
    }
}
