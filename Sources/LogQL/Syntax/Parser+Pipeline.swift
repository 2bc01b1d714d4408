// SPDX-License-Identifier: Apache-2.0
// Selectors and pipeline stages.

import Base
import Telemetry

extension Parser {
    /// `{a="b", c=~"d"}`.
    mutating func selector() throws(LogQLSyntaxError) -> [LabelMatcher] {
        guard takeSymbol("{") else { throw unexpected("{") }
        var matchers: [LabelMatcher] = []
        if takeSymbol("}") { return matchers }
        while true {
            guard token.kind == .identifier else {
                throw matchers.isEmpty ? unexpected("IDENTIFIER", "}") : unexpected("IDENTIFIER")
            }
            let name = next().text
            guard let operation = matcherOperation() else {
                throw unexpected("=", "=~", "!~", "!=")
            }
            next()
            matchers.append(try matcher(name, operation, try expectString()))
            if takeSymbol("}") { return matchers }
            guard takeSymbol(",") else { throw unexpected("}", ",") }
        }
    }

    private func matcherOperation() -> LabelMatcher.Operation? {
        guard token.kind == .symbol else { return nil }
        switch token.text {
        case "=": return .equal
        case "!=": return .notEqual
        case "=~": return .matches
        case "!~": return .notMatches
        default: return nil
        }
    }

    private func matcher(
        _ name: String, _ operation: LabelMatcher.Operation, _ value: String
    ) throws(LogQLSyntaxError) -> LabelMatcher {
        do {
            return try LabelMatcher(name, operation, value)
        } catch {
            throw LogQLSyntaxError(goRegexText(error))
        }
    }

    /// Stages up to the first word that begins none. Stops in front of `| unwrap` and of an analysis.
    mutating func stages() throws(LogQLSyntaxError) -> [StageSyntax] {
        var result: [StageSyntax] = []
        while token.kind == .symbol {
            if let operation = LineFilterSyntax.Operation(rawValue: token.text) {
                // `!=` after a metric expression is a comparison, which is read elsewhere.
                next()
                result.append(.lineFilter(try lineFilter(operation)))
            } else if token.isSymbol("|") {
                if lookAhead(1).isKeyword("unwrap") || beginsAnalysis() { return result }
                next()
                result.append(try stage())
            } else {
                break
            }
        }
        return result
    }

    private mutating func lineFilter(
        _ operation: LineFilterSyntax.Operation
    ) throws(LogQLSyntaxError) -> LineFilterSyntax {
        var filter = LineFilterSyntax(operation: operation, alternatives: [])
        repeat {
            if token.kind == .string {
                filter.alternatives.append(.init(text: next().text, isIP: false))
            } else if token.isFunction("ip") {
                next()
                filter.alternatives.append(.init(text: try parenthesisedString(), isIP: true))
            } else {
                throw unexpected("STRING", "ip")
            }
        } while takeKeyword("or")
        try check(filter)
        return filter
    }

    /// Regular expressions are looked at when the query runs, as Loki does.
    private func check(_ filter: LineFilterSyntax) throws(LogQLSyntaxError) {
        for alternative in filter.alternatives {
            if alternative.isIP {
                guard filter.operation == .contains || filter.operation == .notContains else {
                    throw LogQLSyntaxError("ip: invalid operation")
                }
                try checkIPPattern(alternative.text)
            } else if filter.operation == .pattern || filter.operation == .notPattern {
                do {
                    _ = try LinePattern(filter: alternative.text)
                } catch {
                    throw LogQLSyntaxError(error.description)
                }
            }
        }
    }

    private func checkIPPattern(_ text: String) throws(LogQLSyntaxError) {
        if IPPattern(text) == nil {
            throw LogQLSyntaxError("ip: invalid pattern (\(text))")
        }
    }

    private mutating func parenthesisedString() throws(LogQLSyntaxError) -> String {
        try expectSymbol("(")
        let text = try expectString()
        try expectSymbol(")")
        return text
    }

    private mutating func stage() throws(LogQLSyntaxError) -> StageSyntax {
        guard token.kind == .keyword else {
            return .labelFilter(try labelFilter())
        }
        switch token.text {
        case "json":
            next()
            let fields = try fieldExpressions()
            for field in fields {
                do {
                    _ = try JSONPath(field.path)
                } catch {
                    throw LogQLSyntaxError("cannot parse expression [\(field.path)]: \(error)")
                }
            }
            return .json(fields)
        case "logfmt":
            next()
            var strict = false, keepEmpty = false
            while token.kind == .parserFlag {
                switch token.text {
                case "--strict": strict = true
                case "--keep-empty": keepEmpty = true
                default:
                    throw LogQLSyntaxError(
                        line: token.line, column: token.column,
                        "unknown flag \(token.text), logfmt takes --strict and --keep-empty")
                }
                next()
            }
            return .logfmt(strict: strict, keepEmpty: keepEmpty, try fieldExpressions())
        case "regexp":
            next()
            let pattern = try expectString()
            do {
                _ = try NamedCapturePattern(pattern)
            } catch {
                throw LogQLSyntaxError(error.description)
            }
            return .regexp(pattern)
        case "pattern":
            next()
            let text = try expectString()
            do {
                _ = try LinePattern(captures: text)
            } catch {
                throw LogQLSyntaxError(error.description)
            }
            return .pattern(text)
        case "unpack":
            next()
            return .unpack
        case "decolorize":
            next()
            return .decolorize
        case "line_format":
            next()
            let text = try expectString()
            try checkTemplate(text)
            return .lineFormat(text)
        case "label_format":
            next()
            return .labelFormat(try labelFormats())
        case "drop":
            next()
            return .drop(try labelSelections())
        case "keep":
            next()
            return .keep(try labelSelections())
        default: throw unexpected()
        }
    }

    private func checkTemplate(_ text: String) throws(LogQLSyntaxError) {
        do {
            _ = try Template(text, name: "line")
        } catch {
            throw LogQLSyntaxError("invalid line template: \(error)")
        }
    }

    private mutating func fieldExpressions() throws(LogQLSyntaxError) -> [FieldExpression] {
        var result: [FieldExpression] = []
        guard token.kind == .identifier else { return result }
        repeat {
            let label = try expectIdentifier()
            let path = takeSymbol("=") ? try expectString() : label
            result.append(FieldExpression(label: label, path: path))
        } while takeSymbol(",")
        return result
    }

    private mutating func labelFormats() throws(LogQLSyntaxError) -> [LabelFormat] {
        var result: [LabelFormat] = []
        repeat {
            let target = try expectIdentifier()
            try expectSymbol("=")
            if target == ErrorLabels.error {
                throw LogQLSyntaxError("\(target) cannot be formatted")
            }
            if result.contains(where: { $0.target == target }) {
                throw LogQLSyntaxError(
                    "multiple label name '\(target)' not allowed in a single format operation")
            }
            switch token.kind {
            case .identifier:
                result.append(LabelFormat(target: target, source: .rename(next().text)))
            case .string:
                let text = next().text
                do {
                    _ = try Template(text, name: "label_format")
                } catch {
                    throw LogQLSyntaxError("invalid template for label '\(target)': \(error)")
                }
                result.append(LabelFormat(target: target, source: .template(text)))
            default: throw unexpected("IDENTIFIER", "STRING")
            }
        } while takeSymbol(",")
        return result
    }

    private mutating func labelSelections() throws(LogQLSyntaxError) -> [LabelSelection] {
        var result: [LabelSelection] = []
        repeat {
            let name = try expectIdentifier()
            var condition: LabelMatcher?
            if let operation = matcherOperation() {
                next()
                condition = try matcher(name, operation, try expectString())
            }
            result.append(LabelSelection(name: name, matcher: condition))
        } while takeSymbol(",")
        return result
    }

    // MARK: label filters

    /// `a="b" and (c > 5 or d < 1s), e=ip("…")`: `or` binds weakest; a comma, a blank and `and` are
    /// the same.
    mutating func labelFilter() throws(LogQLSyntaxError) -> LabelFilterSyntax {
        var alternatives: [LabelFilterSyntax] = [try conjunction()]
        while takeKeyword("or") { alternatives.append(try conjunction()) }
        return alternatives.count == 1 ? alternatives[0] : .any(alternatives)
    }

    private mutating func conjunction() throws(LogQLSyntaxError) -> LabelFilterSyntax {
        var parts: [LabelFilterSyntax] = [try labelCondition()]
        while true {
            if takeKeyword("and") || takeSymbol(",") {
                parts.append(try labelCondition())
            } else if token.kind == .identifier || token.isSymbol("(") {
                parts.append(try labelCondition())
            } else {
                return parts.count == 1 ? parts[0] : .all(parts)
            }
        }
    }

    private mutating func labelCondition() throws(LogQLSyntaxError) -> LabelFilterSyntax {
        if takeSymbol("(") {
            try enter()
            let inner = try labelFilter()
            leave()
            try expectSymbol(")")
            return inner
        }
        guard token.kind == .identifier else { throw unexpected() }
        let name = next().text
        guard token.kind == .symbol else { throw unexpected() }
        let symbol = token.text
        if symbol == "=~" || symbol == "!~" {
            next()
            let operation: LabelMatcher.Operation = symbol == "=~" ? .matches : .notMatches
            return .matcher(try matcher(name, operation, try expectString()))
        }
        let isAssignment = symbol == "="
        guard let comparison = ComparisonOperation(rawValue: isAssignment ? "==" : symbol) else {
            throw unexpected()
        }
        next()
        switch token.kind {
        case .string where isAssignment || symbol == "!=":
            let operation: LabelMatcher.Operation = isAssignment ? .equal : .notEqual
            return .matcher(try matcher(name, operation, next().text))
        case .function where token.text == "ip" && (isAssignment || symbol == "!="):
            next()
            let text = try parenthesisedString()
            try checkIPPattern(text)
            return .ip(name, isNegated: !isAssignment, text)
        case .duration: return .duration(name, comparison, next().quantity)
        case .bytes: return .bytes(name, comparison, next().quantity)
        case .number: return .number(name, comparison, try number())
        case .symbol where token.text == "+" || token.text == "-":
            return .number(name, comparison, try number())
        default: throw unexpected()
        }
    }

    /// A number with an optional sign.
    mutating func number() throws(LogQLSyntaxError) -> Double {
        var negative = false
        if token.isSymbol("+") || token.isSymbol("-") { negative = next().text == "-" }
        guard token.kind == .number else { throw unexpected("NUMBER") }
        let text = next().text
        guard let value = parseFloat(text) else {
            throw LogQLSyntaxError(
                "unable to parse literal as a float: strconv.ParseFloat: parsing "
                    + "\(quotedText(text)): invalid syntax")
        }
        return negative ? -value : value
    }
}

/// Text of a refused pattern, with the quoting that Go's regexp package uses.
func goRegexText(_ error: RegexError) -> String {
    guard let colon = error.message.firstIndex(of: ":") else { return error.description }
    let reason = error.message[..<colon]
    let fragment = error.message[colon...].dropFirst().drop { $0 == " " }
    return "error parsing regexp: \(reason): `\(fragment)`"
}
