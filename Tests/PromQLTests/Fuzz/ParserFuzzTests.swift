// SPDX-License-Identifier: Apache-2.0
// Random bytes, damaged expressions and grown ones through the parser and the printers.

import Base
import TestKit
import Testing

@testable import PromQL

@Suite struct ParserFuzzTests {
    /// Nothing crashes, and what parses prints as something that parses to the same print.
    @Test func printsAreStable() throws {
        let corpus = try expressions()
        var failures: [String] = []
        var parsed = 0, tried = 0
        _ = FuzzTime.forEach(count: 400) { seed in
            var random = SplitMix64(seed: seed)
            var generator = QueryGenerator(seed: random.next())
            for text in [
                bytes(&random), damaged(corpus, &random), damaged(corpus, &random),
                spliced(corpus, &random), generator.query(),
            ] {
                tried += 1
                do throws(ParseError) {
                    let expression = try parseExpression(text)
                    parsed += 1
                    if let failure = instability(expression) {
                        failures.append("seed \(seed): \(quotedText(text)): \(failure)")
                    }
                } catch {
                    // A refusal has a place and a text, whatever was refused.
                    if error.description.isEmpty { failures.append("no text for \(text)") }
                }
                _ = Result { try parseSeriesNotation(text) }
            }
            return failures.count < 20
        }
        print("parser fuzz: \(tried) texts, \(parsed) of them parse")
        #expect(failures.isEmpty, "\(failures.joined(separator: "\n"))")
    }

    /// Prometheus prints an infinity with its sign, also after a sign, which then counts as one more.
    private func canonical(_ text: String) -> String {
        var text = text
        while let signs = text.firstRange(of: "++Inf") {
            text.replaceSubrange(signs, with: "+Inf")
        }
        return text
    }

    private func instability(_ expression: Expression) -> String? {
        let printed = expression.description
        // A range of less than a millisecond prints as 0s, as in Prometheus, which no range may be.
        if printed.contains("[0s") { return nil }
        for (name, text) in [("print", printed), ("pretty print", expression.prettyPrinted())] {
            do {
                let again = try parseExpression(text).description
                if canonical(again) != canonical(printed) {
                    return "\(name) \(text) prints as \(again)"
                }
            } catch {
                return "\(name) \(text) does not parse: \(error)"
            }
        }
        return nil
    }

    private func expressions() throws -> [String] {
        let names = [
            "promql-parse/parse.jsonl", "promql-parse/print.jsonl", "promql-parse/pretty.jsonl",
        ]
        let rows = try names.flatMap { try corpusRows($0) }.compactMap { $0["input"]?.string }
        let short = rows.filter { $0.utf8.count < 500 }
        return short.isEmpty ? ["sum by (a) (rate(b{c=~\"d|e\"}[5m] offset 1m)) > bool 2"] : short
    }

    private func bytes(_ random: inout SplitMix64) -> String {
        let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
            UInt8.random(in: 0...255, using: &random)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// An expression with a few bytes changed, removed, doubled or put in.
    private func damaged(_ corpus: [String], _ random: inout SplitMix64) -> String {
        var bytes = Array((corpus.randomElement(using: &random) ?? "").utf8)
        let common = Array("(){}[]:,+-*/%^=!~<>\"'`\\@_.0159eExms #\n".utf8)
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let place = Int.random(in: 0...bytes.count, using: &random)
            switch Int.random(in: 0..<3, using: &random) {
            case 0 where place < bytes.count: bytes.remove(at: place)
            case 1 where place < bytes.count:
                bytes[place] = common.randomElement(using: &random) ?? 0
            default: bytes.insert(common.randomElement(using: &random) ?? 0, at: place)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The start of one expression and the end of another, or one inside another.
    private func spliced(_ corpus: [String], _ random: inout SplitMix64) -> String {
        let a = Array((corpus.randomElement(using: &random) ?? "").utf8)
        let b = Array((corpus.randomElement(using: &random) ?? "").utf8)
        let cut = Int.random(in: 0...a.count, using: &random)
        let part = b[Int.random(in: 0...b.count, using: &random)...]
        let end = Bool.random(using: &random) ? a[cut...] : []
        return String(decoding: a[..<cut] + part + end, as: UTF8.self)
    }
}
