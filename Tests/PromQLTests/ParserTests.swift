// SPDX-License-Identifier: Apache-2.0
// Parser and printer on cases of our own.

import Testing

@testable import PromQL

@Suite struct ParserTests {
    @Test func canonicalFormsRoundTrip() throws {
        let cases: [(String, String)] = [
            ("a+b*c^d^e", "a + b * c ^ d ^ e"),
            ("- a ^ 2", "-a ^ 2"),
            ("sum(a)by(x,y)", "sum by (x, y) (a)"),
            (#"{"disk.used", host=~"a|b"}"#, #"{__name__="disk.used",host=~"a|b"}"#),
            ("rate(a[90s] offset -1m @ 7)", "rate(a[1m30s] @ 7.000 offset -1m)"),
            ("x > bool on(a) group_left(b) y", "x > bool on (a) group_left (b) y"),
            ("max_over_time(f(1)[1h:])", ""),
            ("offset offset 5m", "offset offset 5m"),
            ("a # comment\n- b", "a - b"),
            (#"label_join(a, 'to', `\`, "from")"#, #"label_join(a, "to", "\\", "from")"#),
            ("5m * 2", "5m * 2"),
            ("a[step() * 2:5s]", "a[step() * 2:5s]"),
        ]
        for (text, canonical) in cases where !canonical.isEmpty {
            let expression = try parseExpression(text)
            #expect(expression.description == canonical)
            #expect(try parseExpression(canonical).description == canonical)
        }
    }

    @Test func faultsHaveTextAndPlace() {
        let cases: [(String, String)] = [
            ("sum(a", "1:6: parse error: unclosed left parenthesis"),
            ("a{b=}", "1:5: parse error: unexpected \"}\" in label matching, expected string"),
            ("a +\n  * b", "2:3: parse error: unexpected <op:*>"),
            ("clamp(a)", "1:1: parse error: expected 3 argument(s) in call to \"clamp\", got 1"),
            ("a[0s]", "1:3: parse error: duration must be greater than 0"),
            (
                "{a=~\".*\"}",
                "1:1: parse error: vector selector must contain at least one non-empty matcher"
            ),
        ]
        for (text, message) in cases {
            do throws(ParseError) {
                let expression = try parseExpression(text)
                Issue.record("\(text) parses as \(expression)")
            } catch {
                #expect(error.description == message, "\(text)")
            }
        }
    }

    @Test func depthIsLimited() {
        for text in [
            String(repeating: "(", count: 100_000), String(repeating: "-", count: 100_000) + "1",
            "1" + String(repeating: "+1", count: 100_000),
            "a" + String(repeating: "[1m:]", count: 100_000),
        ] {
            #expect(throws: ParseError.self) { try parseExpression(text) }
        }
    }

    @Test func anyBytesEndInAnAnswerOrAnError() {
        // A deterministic walk over fragments, so that odd neighbours meet.
        let fragments = [
            "a", "{", "}", "[", "]", "(", ")", "5m", ":", "\"", "'", "`", "\\", "offset", "@", "by",
            "sum", "+", "^", "=~", "!", "1e", "0x", "step", ",", "#", "\n", "é", "\u{0}", "{{", "_",
        ]
        var state: UInt64 = 42
        for _ in 0..<2000 {
            var text = ""
            for _ in 0..<8 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                text += fragments[Int(state >> 33) % fragments.count]
            }
            for result in [Result { try parseExpression(text).description }] {
                if case .success(let printed) = result {
                    #expect(throws: Never.self) { try parseExpression(printed) }
                }
            }
            _ = Result { try parseSeriesNotation(text) }
        }
    }
}
