// SPDX-License-Identifier: Apache-2.0
// The stages behind a log query that Loki does not have.

import Base

extension Parser {
    private static let analysisWords: Set<String> = [
        "stats", "top", "facets", "uniq", "sort", "context", "limit",
    ]

    /// Whether `|` and the word behind it begin an analysis. A comparison behind the word makes it
    /// the name of a label.
    func beginsAnalysis() -> Bool {
        guard token.isSymbol("|") else { return false }
        let word = lookAhead(1)
        guard word.kind == .identifier || word.kind == .function,
            Parser.analysisWords.contains(word.text.lowercased())
        else { return false }
        let next = lookAhead(2)
        guard next.kind == .symbol else { return true }
        return !["=", "==", "!=", "=~", "!~", ">", ">=", "<", "<="].contains(next.text)
    }

    /// The analysis behind the selector, where there is one.
    mutating func analysis(of selector: LogSelector) throws(LogQLSyntaxError) -> LogQLExpression {
        guard beginsAnalysis() else { return .log(selector) }
        var analysis = LogAnalysis(selector: selector, operation: .lines)
        var seen: Set<String> = []
        while beginsAnalysis() {
            next()
            let place = token
            let word = next().text.lowercased()
            let isFirst = seen.isEmpty
            guard seen.insert(word).inserted, isFirst || word == "sort" || word == "limit" else {
                throw refusal(place, "only sort and limit, each once, may follow an analysis")
            }
            switch word {
            case "stats": analysis.operation = try stats()
            case "top":
                analysis.limit = try count("top", 1...Int.max) ?? LogAnalysis.defaultRows
                analysis.operation = .top(by: try byLabels())
                analysis.sort = [.init(name: "count", isDescending: true)]
                seen.formUnion(["sort", "limit"])
            case "facets":
                let values = try count("facets", 1...LogAnalysis.maxFacetValues)
                analysis.operation = .facets(values: values ?? LogAnalysis.defaultRows)
                seen.formUnion(["sort", "limit"])
            case "uniq": analysis.operation = .uniq(by: try byLabels())
            case "context":
                analysis.operation = try context()
                seen.formUnion(["sort", "limit"])
            case "sort":
                if seen.contains("limit") { throw refusal(place, "sort comes before limit") }
                analysis.sort = try sortKeys()
            default: analysis.limit = try count("limit", 1...Int.max)
            }
        }
        try checkSort(analysis)
        return .analysis(analysis)
    }

    private func refusal(_ place: Token, _ message: String) -> LogQLSyntaxError {
        LogQLSyntaxError(line: place.line, column: place.column, message)
    }

    /// A whole number, where one stands here.
    private mutating func count(
        _ word: String, _ range: ClosedRange<Int>
    ) throws(LogQLSyntaxError) -> Int? {
        guard token.kind == .number else {
            if word == "limit" { throw unexpected("NUMBER") }
            return nil
        }
        let place = token
        guard let value = Int(next().text), range.contains(value) else {
            let bound = range.upperBound == .max ? "" : " to \(range.upperBound)"
            throw refusal(
                place,
                "\(word) takes a whole number from \(range.lowerBound)\(bound), not \(place.text)")
        }
        return value
    }

    private mutating func byLabels() throws(LogQLSyntaxError) -> [String] {
        guard takeKeyword("by") else { throw unexpected("by") }
        let place = token
        let names = try labelList()
        if names.isEmpty { throw refusal(place, "by needs a label") }
        return names
    }

    // MARK: stats

    private mutating func stats() throws(LogQLSyntaxError) -> LogAnalysis.Operation {
        var functions: [StatsFunction] = []
        repeat {
            let place = token
            let function = try statsFunction()
            if functions.contains(where: { $0.name == function.name }) {
                throw refusal(
                    place, "two columns are named \(function.name): name one of them with `as`")
            }
            functions.append(function)
        } while takeSymbol(",")
        let names = token.isKeyword("by") ? try byLabels() : []
        var everyNanos: Int64?
        if token.kind == .identifier, token.text.lowercased() == "every" {
            next()
            guard token.kind == .duration, token.quantity > 0 else { throw unexpected("DURATION") }
            everyNanos = next().quantity
        }
        return .stats(functions, by: names, everyNanos: everyNanos)
    }

    private mutating func statsFunction() throws(LogQLSyntaxError) -> StatsFunction {
        guard token.kind == .identifier || token.kind == .function,
            let operation = StatsFunction.Operation(rawValue: token.text.lowercased())
        else {
            let names = StatsFunction.Operation.allCases.map(\.rawValue).sorted()
            throw refusal(token, "stats knows " + names.joined(separator: ", "))
        }
        let place = token
        next()
        try expectSymbol("(")
        var parameter = 0.0
        if operation == .quantile {
            parameter = try number()
            guard parameter >= 0, parameter <= 1 else {
                throw refusal(place, "quantile takes a number from 0 to 1")
            }
            try expectSymbol(",")
        }
        let value = token.isSymbol(")") ? nil : try statsValue()
        switch operation {
        case .bytes where value != nil: throw refusal(place, "bytes() takes no label")
        case .count, .bytes: break
        default:
            if value == nil { throw refusal(place, "\(operation.rawValue) needs a label") }
        }
        try expectSymbol(")")
        var name = StatsFunction.defaultName(operation, parameter, value)
        if token.kind == .identifier, token.text.lowercased() == "as" {
            next()
            name = try expectIdentifier()
        }
        return StatsFunction(operation: operation, parameter: parameter, value: value, name: name)
    }

    private mutating func statsValue() throws(LogQLSyntaxError) -> StatsValue {
        if token.kind == .function, let conversion = UnwrapSyntax.Conversion(rawValue: token.text) {
            next()
            try expectSymbol("(")
            let label = try expectIdentifier()
            try expectSymbol(")")
            return StatsValue(label: label, conversion: conversion)
        }
        return StatsValue(label: try expectIdentifier(), conversion: nil)
    }

    // MARK: context and sort

    private mutating func context() throws(LogQLSyntaxError) -> LogAnalysis.Operation {
        var sides = (before: 0, after: 0)
        let place = token
        while token.kind == .identifier {
            let side = next().text.lowercased()
            let range = 0...LogAnalysis.maxContext
            switch side {
            case "before": sides.before = try count("before", range) ?? 0
            case "after": sides.after = try count("after", range) ?? 0
            default: throw refusal(place, "context takes `before n` and `after n`")
            }
        }
        if sides == (0, 0) { throw refusal(place, "context takes `before n` and `after n`") }
        return .context(before: sides.before, after: sides.after)
    }

    private mutating func sortKeys() throws(LogQLSyntaxError) -> [LogAnalysis.SortKey] {
        guard takeKeyword("by") else { throw unexpected("by") }
        try expectSymbol("(")
        var keys: [LogAnalysis.SortKey] = []
        repeat {
            var key = LogAnalysis.SortKey(name: try expectIdentifier(), isDescending: false)
            if token.kind == .identifier {
                switch token.text.lowercased() {
                case "asc": next()
                case "desc":
                    next()
                    key.isDescending = true
                default: throw unexpected(",", ")")
                }
            }
            keys.append(key)
        } while takeSymbol(",")
        try expectSymbol(")")
        return keys
    }

    /// Rows can be sorted by what they have.
    private func checkSort(_ analysis: LogAnalysis) throws(LogQLSyntaxError) {
        var columns: [String]
        switch analysis.operation {
        case .stats(let functions, let names, let everyNanos):
            columns = names + (everyNanos == nil ? functions.map(\.name) : [])
        case .uniq(let names): columns = names + ["count"]
        case .top, .facets, .lines, .context: return
        }
        columns.sort()
        for key in analysis.sort where !columns.contains(key.name) {
            throw LogQLSyntaxError(
                "cannot sort by \(key.name): there is " + columns.joined(separator: ", "))
        }
    }
}
