// SPDX-License-Identifier: Apache-2.0
// Parser and printer against the public tables.

import Telemetry
import TestKit
import PromQLScripts
import Testing

@testable import PromQL

/// Collects what fails in a table.
struct CaseTable {
    private(set) var failures: [String] = []
    private(set) var count = 0

    mutating func check(_ name: String, _ failure: String?) {
        count += 1
        if let failure { failures.append("\(name.prefix(300)): \(failure)") }
    }

    func report(_ title: String, allowed: Int = 0) {
        if count > 0 { print("\(title): \(count - failures.count) of \(count)") }
        for failure in failures.prefix(12) { print("  \(failure)") }
        #expect(failures.count <= allowed, "\(title): \(failures.count) of \(count) fail")
    }
}

@Suite struct ParserCorpusTests {
    private func parse(
        _ text: String, _ options: ParserOptions = ParserOptions()
    ) -> Result<Expression, ParseError> {
        do throws(ParseError) {
            return .success(try parseExpression(text, options: options))
        } catch {
            return .failure(error)
        }
    }

    @Test func acceptsRefusesAndBuildsTheSameTrees() throws {
        var options = ParserOptions()
        options.fillModifiers = false
        var table = CaseTable()
        for row in try corpusRows("promql-parse/parse.jsonl") {
            // Bytes that are no UTF-8 cannot be in a String.
            guard let input = row["input"]?.string else { continue }
            switch parse(input, options) {
            case .success(let expression):
                guard row["ok"] == .bool(true), let tree = row["ast"] else {
                    table.check(input, "must be refused: \(row["errorText"]?.string ?? "")")
                    continue
                }
                table.check(input, treeDifference(expression.jsonTree, tree, at: ""))
            case .failure(let error):
                if row["ok"] == .bool(true) {
                    table.check(input, "\(error)")
                } else {
                    let wanted = row["errorText"]?.string ?? ""
                    // docs/decisions/0006-promql-expressions-have-a-greatest-height.md
                    if input.utf8.count > 50_000, "\(error)".contains("nested deeper") {
                        table.check(input, nil)
                        continue
                    }
                    table.check(
                        input, "\(error)" == wanted ? nil : "\(error), expected \(wanted)")
                }
            }
        }
        table.report("parse")
    }

    @Test func printsTheCanonicalForm() throws {
        var table = CaseTable()
        for row in try corpusRows("promql-parse/print.jsonl") {
            guard let input = row["input"]?.string, let output = row["output"]?.string else {
                continue
            }
            switch parse(input) {
            case .success(let expression):
                let text = expression.description
                table.check(input, text == output ? nil : "\(text), expected \(output)")
            case .failure(let error): table.check(input, "\(error)")
            }
        }
        table.report("print")
    }

    @Test func breaksLongExpressionsIntoLines() throws {
        var table = CaseTable()
        for row in try corpusRows("promql-parse/pretty.jsonl") {
            guard let input = row["input"]?.string, let output = row["output"]?.string,
                let width = row["maxCharactersPerLine"]?.double
            else { continue }
            switch parse(input) {
            case .success(let expression):
                let text = expression.prettyPrinted(maxLineLength: Int(width))
                table.check(input, text == output ? nil : "\(text), expected \(output)")
            case .failure(let error): table.check(input, "\(error)")
            }
        }
        table.report("pretty")
    }

    @Test func findsTheSelectors() throws {
        var table = CaseTable()
        for row in try corpusRows("promql-parse/selectors.jsonl") {
            guard let input = row["input"]?.string, case .array(let wanted)? = row["selectors"]
            else { continue }
            let found = try parseExpression(input).selectors.map { matchers in
                CorpusJSON.string("{\(matchers.map(\.description).joined(separator: ", "))}")
            }
            table.check(input, found == wanted ? nil : "\(found)")
        }
        table.report("selectors")
    }

    @Test func readsSeriesNotation() throws {
        var table = CaseTable()
        for row in try corpusRows("promql-parse/series.jsonl") {
            guard let input = row["input"]?.string else { continue }
            do throws(ParseError) {
                let series = try parseSeriesNotation(input)
                table.check(input, row["ok"] == .bool(true) ? difference(series, row) : "bad")
            } catch {
                let text = row["errorText"]?.string
                // A token number of Prometheus' generated parser is no behaviour.
                let isKnown =
                    text == nil || text == error.description
                    || text?.contains("<Item ") == true
                table.check(
                    input,
                    row["ok"] == .bool(true)
                        ? "\(error)" : isKnown ? nil : "\(error), expected \(text ?? "")")
            }
        }
        table.report("series notation")
    }

    private func difference(
        _ series: (labels: Labels, items: [SeriesItem]), _ row: CorpusJSON
    ) -> String? {
        if case .object(let labels)? = row["labels"] {
            var wanted = LabelsBuilder()
            for (name, value) in labels { wanted.set(name, value.string ?? "") }
            if series.labels != wanted.labels() { return "labels \(series.labels)" }
        }
        if case .array(let values)? = row["values"] {
            let got = series.items.map { item -> CorpusJSON in
                switch item {
                case .missing: .null
                case .float(let value): .number(value)
                case .histogram(let histogram, _): .string(histogram.text)
                }
            }
            if got != values { return "\(got)" }
        }
        if case .array(let histograms)? = row["histograms"] {
            if histograms.count != series.items.count { return "\(series.items)" }
            for (item, wanted) in zip(series.items, histograms) {
                guard case .histogram(let histogram, _) = item,
                    histogram.sum == wanted["Sum"]?.double ?? 0,
                    histogram.count == wanted["Count"]?.double ?? 0,
                    histogram.zeroCount == wanted["ZeroCount"]?.double ?? 0,
                    Double(histogram.schema) == wanted["Schema"]?.double ?? 0,
                    CorpusJSON.array(histogram.positiveBuckets.map(CorpusJSON.number))
                        == wanted["PositiveBuckets"] ?? .array([])
                else { return "\(item), expected \(wanted)" }
            }
        }
        return nil
    }

    @Test func parsesTheComplianceQueries() throws {
        var table = CaseTable()
        for row in try corpusRows("compliance/promql-queries.jsonl") {
            guard let query = row["query"]?.string, row["shouldFail"] != .bool(true) else {
                continue
            }
            if case .failure(let error) = parse(query) {
                table.check(query, "\(error)")
            } else {
                table.check(query, nil)
            }
        }
        table.report("compliance queries")
    }

    /// What is wrong with an instant and a range query of an expression over no data.
    private func failureOfRun(_ text: String, _ expression: Expression) -> String? {
        let engine = PromQLEngine(reader: InMemorySeries())
        do {
            _ = try engine.query(text, at: Millis(3_600_000), context: ReadContext())
            if expression.kind == .vector || expression.kind == .scalar {
                _ = try engine.queryRange(
                    text, start: Millis(3_600_000), end: Millis(3_660_000), stepMillis: 30_000,
                    context: ReadContext())
            }
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test func parsesAndRunsTheExpressionsOfDashboards() throws {
        var table = CaseTable()
        var running = CaseTable()
        var seen: Set<String> = []
        for row in try corpusRows("dashboards/expressions.jsonl") {
            guard row["language"]?.string == "promql", let text = row["expr"]?.string else {
                continue
            }
            let expression = substitutingVariables(text)
            guard seen.insert(expression).inserted else { continue }
            switch parse(expression) {
            case .failure(let error): table.check(expression, "\(error)")
            case .success(let parsed):
                table.check(expression, nil)
                running.check(expression, failureOfRun(expression, parsed))
            }
        }
        // The mistakes of their authors, which Prometheus' own parser refuses too.
        table.report("dashboard expressions", allowed: 7)
        running.report("dashboard expressions that run")
    }

    /// Puts durations and names in place of `$name`, `${name:format}` and `[[name]]`.
    private func substitutingVariables(_ text: String) -> String {
        var result = ""
        var rest = text[...]
        var isInsideBrackets = false
        func replacement() -> String {
            let before = result.trimmed.lowercased()
            let afterOffset = before.hasSuffix("offset") || before.hasSuffix("offset -")
            if before.hasSuffix("(") && before.dropLast().hasSuffixOfLimit { return "5" }
            return isInsideBrackets || afterOffset ? "5m" : "v"
        }
        while let character = rest.first {
            if rest.hasPrefix("[["), let end = rest.range(of: "]]") {
                result += replacement()
                rest = rest[end.upperBound...]
                continue
            }
            rest = rest.dropFirst()
            if character == "$", let next = rest.first,
                next == "{" || next == "_" || next.isLetter
            {
                if next == "{" {
                    rest = rest.drop { $0 != "}" }.dropFirst()
                } else {
                    rest = rest.drop { $0 == "_" || $0.isLetter || $0.isNumber }
                }
                result += replacement()
                continue
            }
            if character == "[" { isInsideBrackets = true }
            if character == "]" { isInsideBrackets = false }
            result.append(character)
        }
        return result
    }
}

/// What of an expected tree is not in a tree, by path. Only the keys of the expected tree count.
private func treeDifference(_ got: CorpusJSON, _ wanted: CorpusJSON, at path: String) -> String? {
    switch (got, wanted) {
    case (.object(let a), .object(let b)):
        for (key, value) in b.sorted(by: { $0.key < $1.key })
        where !["BypassEmptyMatcherCheck", "StartPos", "_hex"].contains(key) {
            if key == "EndPos", b["node"] == .string("DurationExpr") { continue }
            if let found = treeDifference(a[key] ?? .null, value, at: path + "." + key) {
                return found
            }
        }
        return nil
    case (.array(let a), .array(let b)):
        if a.count != b.count { return "\(path): \(a.count) elements, expected \(b.count)" }
        for (index, pair) in zip(a, b).enumerated() {
            if let found = treeDifference(pair.0, pair.1, at: "\(path)[\(index)]") { return found }
        }
        return nil
    // Bytes that are no UTF-8 are compared by nobody.
    case (.string, .object(let b)) where b["_hex"] != nil: return nil
    case (.array([]), .object(let b)) where b["node"] == .string("Expressions"): return nil
    default: return got == wanted ? nil : "\(path): \(got), expected \(wanted)"
    }
}

extension Expression {
    /// The tree in the form of the tables.
    fileprivate var jsonTree: CorpusJSON {
        var members: [String: CorpusJSON] = [:]
        members["pos"] = .array([.number(Double(range.start)), .number(Double(range.end))])
        switch self {
        case .number(let node):
            members["node"] = .string("NumberLiteral")
            members["Val"] =
                node.value.isFinite
                ? .number(node.value)
                : .string(node.value.isNaN ? "NaN" : node.value > 0 ? "+Inf" : "-Inf")
            members["Duration"] = .bool(node.isDuration)
        case .string(let node):
            members["node"] = .string("StringLiteral")
            members["Val"] = .string(node.value)
        case .selector(let node):
            members["node"] = .string("VectorSelector")
            members["Name"] = .string(node.name)
            members["LabelMatchers"] = .array(
                node.matchers.map {
                    .object([
                        "op": .string($0.operation.symbol), "name": .string($0.name),
                        "value": .string($0.value),
                    ])
                })
            members.merge(times(node.offsetMillis, node.offsetExpression, node.anchor)) { $1 }
        case .matrix(let node):
            members["node"] = .string("MatrixSelector")
            members["VectorSelector"] = Expression.selector(node.selector).jsonTree
            members["Range"] = .object(["ms": .number(Double(node.rangeMillis))])
            members["RangeExpr"] = node.rangeExpression.map { Expression.duration($0).jsonTree }
            members["EndPos"] = .number(Double(node.end))
        case .subquery(let node):
            members["node"] = .string("SubqueryExpr")
            members["Expr"] = node.expression.jsonTree
            members["Range"] = .object(["ms": .number(Double(node.rangeMillis))])
            members["RangeExpr"] = node.rangeExpression.map { Expression.duration($0).jsonTree }
            members["Step"] = .object(["ms": .number(Double(node.stepMillis))])
            members["StepExpr"] = node.stepExpression.map { Expression.duration($0).jsonTree }
            members["EndPos"] = .number(Double(node.end))
            members.merge(times(node.offsetMillis, node.offsetExpression, node.anchor)) { $1 }
        case .call(let node):
            members["node"] = .string("Call")
            members["Func"] = .string(node.name)
            members["Args"] = .array(node.arguments.map(\.jsonTree))
        case .aggregation(let node):
            members["node"] = .string("AggregateExpr")
            members["Op"] = .string(node.operation.rawValue)
            members["Expr"] = node.expression.jsonTree
            members["Param"] = node.parameter?.jsonTree
            members["Grouping"] = .array(node.grouping.map(CorpusJSON.string))
            members["Without"] = .bool(node.without)
        case .binary(let node):
            members["node"] = .string("BinaryExpr")
            members["LHS"] = node.left.jsonTree
            members["RHS"] = node.right.jsonTree
            members["Op"] = .string(node.operation.rawValue)
            members["ReturnBool"] = .bool(node.returnBool)
            members["VectorMatching"] = node.matching?.jsonTree
        case .unary(let node):
            members["node"] = .string("UnaryExpr")
            members["Op"] = .string(node.isNegation ? "-" : "+")
            members["Expr"] = node.operand.jsonTree
        case .parenthesized(let node):
            members["node"] = .string("ParenExpr")
            members["Expr"] = node.expression.jsonTree
        case .duration(let node):
            members["node"] = .string("DurationExpr")
            members["Op"] =
                switch node.operation {
                case .arithmetic(let operation): .string(operation.rawValue)
                case .step: .string("step")
                case .range: .string("range")
                case .minOf: .string("min_of")
                case .maxOf: .string("max_of")
                }
            members["LHS"] = node.left?.jsonTree
            members["RHS"] = node.right?.jsonTree
            members["Wrapped"] = .bool(node.wrapped)
        }
        return .object(members)
    }

    private func times(
        _ offset: Int64, _ expression: DurationExpression?, _ anchor: TimeAnchor?
    ) -> [String: CorpusJSON] {
        var members: [String: CorpusJSON] = [:]
        members["OriginalOffset"] =
            offset == 0 ? .number(0) : .object(["ms": .number(Double(offset))])
        members["OriginalOffsetExpr"] = expression.map { Expression.duration($0).jsonTree }
        switch anchor {
        case .millis(let millis)?: members["Timestamp"] = .number(Double(millis))
        case .start?: members["StartOrEnd"] = .string("start")
        case .end?: members["StartOrEnd"] = .string("end")
        case nil: break
        }
        return members
    }
}

extension VectorMatching {
    fileprivate var jsonTree: CorpusJSON {
        let card =
            switch cardinality {
            case .oneToOne: "CardOneToOne"
            case .manyToOne: "CardManyToOne"
            case .oneToMany: "CardOneToMany"
            case .manyToMany: "CardManyToMany"
            }
        return .object([
            "node": .string("VectorMatching"), "Card": .string(card),
            "MatchingLabels": .array(labels.map(CorpusJSON.string)), "On": .bool(isOn),
            "Include": .array(include.map(CorpusJSON.string)),
        ])
    }
}

extension StringProtocol {
    /// Whether the text ends in an aggregation whose first argument is a number.
    fileprivate var hasSuffixOfLimit: Bool {
        var text = trimmed
        // `topk by (a, b) (`: the grouping stands before the arguments.
        if text.hasSuffix(")"), let open = text.lastIndex(of: "(") {
            text = text[..<open].trimmed
            for word in ["by", "without"] where text.hasSuffix(word) {
                text = text.dropLast(word.count).trimmed
            }
        }
        return ["topk", "bottomk", "quantile"].contains { text.hasSuffix($0) }
    }
}

extension Substring {
    fileprivate func range(of text: String) -> Range<Index>? {
        var index = startIndex
        while index < endIndex {
            if self[index...].hasPrefix(text) {
                return index..<self.index(index, offsetBy: text.count)
            }
            index = self.index(after: index)
        }
        return nil
    }
}
