// SPDX-License-Identifier: Apache-2.0
// Structured filters of Jaeger's API, version 3, as TraceQL.

import Base

/// A filter that cannot be carried out: it is malformed, or asks for what TraceQL has no words for.
struct JaegerFilterError: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// Translates a tree of calls, `{"op":"eq","args":[{"attr":{"key":"k"}},{"scalar":{"value":"v"}}]}`, to
/// the condition of a TraceQL filter. A predicate holds of one span.
///
/// What a reference lacks is never equal, unequal, larger or smaller; only `not` turns that round. An
/// attribute without a level is looked for in span and resource. A constant without a type equals
/// values of each type that it spells. Patterns match anywhere in a value. Not offered: `phrase`,
/// `fulltext`, conditions on one and the same event or link (`some` over `and`, `not`, `ne`, `not_in`),
/// trace states, schema URLs, times of spans and events.
///
/// Source: jaegertracing/jaeger-idl `proto/expression/v1/expression.proto`, jaegertracing/jaeger
/// `docs/rfc/0005-structured-query-filters.md`, 5.
struct JaegerFilter: Sendable {
    /// Condition of one span, to stand between `{` and `}`.
    let condition: String

    /// Calls and operands of a filter at most, and how deep they may lie.
    static let mostNodes = 256
    static let mostDepth = 24

    /// - Throws: `JaegerFilterError`.
    init(_ filter: JSONValue) throws(JaegerFilterError) {
        var translation = Translation()
        condition = try translation.call(filter, depth: 0)
    }
}

/// A place that values come from, in TraceQL.
private struct Reference {
    /// One or, for attributes without a level, two names.
    var names: [String]
    var kind: Kind

    enum Kind { case attribute, text, id, duration, word([String]) }

    var isAttribute: Bool { if case .attribute = kind { true } else { false } }
}

private struct Constant {
    var text: String
    /// Empty for any.
    var type: String
}

private enum Operand {
    case reference(Reference)
    case constant(Constant)
    case list([Constant])
    case nested(String)
    case call(JSONValue)
}

private struct Translation {
    private var nodes = 0
    /// Level of the `some` around.
    private var nested: String?

    private static let comparisons = ["eq": "=", "gt": ">", "lt": "<", "gte": ">=", "lte": "<="]
    private static let reversed = [
        "eq": "eq", "ne": "ne", "gt": "lt", "lt": "gt", "gte": "lte", "lte": "gte",
    ]

    private mutating func count(_ depth: Int) throws(JaegerFilterError) {
        nodes += 1
        guard nodes <= JaegerFilter.mostNodes, depth <= JaegerFilter.mostDepth else {
            throw JaegerFilterError(
                "more than \(JaegerFilter.mostNodes) calls and operands, or nested more than "
                    + "\(JaegerFilter.mostDepth) deep")
        }
    }

    mutating func call(
        _ value: JSONValue, depth: Int
    ) throws(JaegerFilterError) -> String {
        try count(depth)
        guard case .object = value, case .string(let name) = value["op"] else {
            throw JaegerFilterError("a call has \"op\" and \"args\"")
        }
        var operands: [Operand] = []
        for argument in value["args"].items {
            try count(depth + 1)
            operands.append(try operand(argument))
        }
        switch name {
        case "and", "or": return try combined(name, operands, depth)
        case "not":
            guard nested == nil else { throw sameElement("not") }
            let parts = try predicates(name, operands, depth)
            guard parts.count == 1 else { throw JaegerFilterError("not takes one predicate") }
            return "!(\(parts[0]))"
        case "some": return try some(operands, depth)
        case "exists":
            guard operands.count == 1, case .reference(let reference) = operands[0] else {
                throw JaegerFilterError("exists takes a reference")
            }
            return try presence(reference)
        case "in", "not_in":
            guard operands.count == 2, case .reference(let reference) = operands[0],
                case .list(let list) = operands[1]
            else { throw JaegerFilterError("\(name) takes a reference and a list") }
            var parts: [String] = []
            for constant in list { parts += try equalities(reference, constant) }
            return try name == "in" ? any(parts) : absentFrom(reference, parts)
        case "regex":
            guard operands.count == 2, case .reference(let reference) = operands[0],
                case .constant(let pattern) = operands[1]
            else { throw JaegerFilterError("regex takes a reference and a string") }
            switch reference.kind {
            case .attribute, .text: break
            case .id, .duration, .word:
                throw JaegerFilterError("regex of \(reference.names[0]) is not offered")
            }
            // TraceQL's patterns match the whole value.
            let whole = quotedText("(?s:.*)(?:" + pattern.text + ")(?s:.*)")
            return any(reference.names.map { "\($0) =~ \(whole)" })
        case "eq", "ne", "gt", "lt", "gte", "lte": return try comparison(name, operands)
        case "phrase", "fulltext": throw JaegerFilterError("\(name) is not offered")
        default: throw JaegerFilterError("there is no operator \(quotedText(name))")
        }
    }

    // MARK: - Predicates

    private mutating func predicates(
        _ name: String, _ operands: [Operand], _ depth: Int
    ) throws(JaegerFilterError) -> [String] {
        var parts: [String] = []
        for operand in operands {
            guard case .call(let inner) = operand else {
                throw JaegerFilterError("\(name) takes predicates")
            }
            parts.append(try call(inner, depth: depth + 2))
        }
        return parts
    }

    private mutating func combined(
        _ name: String, _ operands: [Operand], _ depth: Int
    ) throws(JaegerFilterError) -> String {
        guard name == "or" || nested == nil else { throw sameElement("and") }
        let parts = try predicates(name, operands, depth)
        guard parts.count >= 2 else {
            throw JaegerFilterError("\(name) takes two or more predicates")
        }
        // `&&` and `||` bind alike in TraceQL.
        return "(" + parts.map { "(\($0))" }.joined(separator: name == "and" ? " && " : " || ")
            + ")"
    }

    /// One event or link for which a predicate holds: what TraceQL's conditions on events ask.
    private mutating func some(
        _ operands: [Operand], _ depth: Int
    ) throws(JaegerFilterError) -> String {
        guard operands.count == 2, case .nested(let level) = operands[0],
            case .call(let inner) = operands[1]
        else { throw JaegerFilterError("some takes a nested reference and a predicate") }
        guard nested == nil else { throw JaegerFilterError("some inside some is not offered") }
        nested = level
        defer { nested = nil }
        return try call(inner, depth: depth + 2)
    }

    private func sameElement(_ name: String) -> JaegerFilterError {
        JaegerFilterError("\(name) of conditions on one event or link is not offered")
    }

    private func comparison(
        _ name: String, _ operands: [Operand]
    ) throws(JaegerFilterError) -> String {
        guard operands.count == 2 else { throw JaegerFilterError("\(name) takes two operands") }
        switch (operands[0], operands[1]) {
        case (.reference(let reference), .constant(let constant)):
            return try comparison(name, reference, constant)
        case (.constant(let constant), .reference(let reference)):
            return try comparison(Self.reversed[name] ?? name, reference, constant)
        case (.reference(let left), .reference(let right)):
            let sign = Self.comparisons[name == "ne" ? "eq" : name] ?? "="
            var parts: [String] = []
            for a in left.names { for b in right.names { parts.append("\(a) \(sign) \(b)") } }
            guard name == "ne" else { return any(parts) }
            let isThere = "(\(try presence(left)) && \(try presence(right)))"
            return "(\(isThere) && !\(any(parts)))"
        default:
            throw JaegerFilterError("\(name) takes a reference, and a constant or a reference")
        }
    }

    private func comparison(
        _ name: String, _ reference: Reference, _ constant: Constant
    ) throws(JaegerFilterError) -> String {
        if name == "eq" { return any(try equalities(reference, constant)) }
        if name == "ne" { return try absentFrom(reference, try equalities(reference, constant)) }
        guard let sign = Self.comparisons[name] else {
            throw JaegerFilterError("there is no operator \(quotedText(name))")
        }
        let value: String
        switch reference.kind {
        case .duration: value = try duration(constant)
        case .text: value = quotedText(constant.text)
        case .id, .word:
            throw JaegerFilterError("\(reference.names[0]) has no order")
        case .attribute:
            switch constant.type {
            case "string": value = quotedText(constant.text)
            case "bool": throw JaegerFilterError("booleans have no order")
            default:
                if let number = number(constant.text) {
                    value = number
                } else if constant.type.isEmpty {
                    value = quotedText(constant.text)
                } else {
                    throw JaegerFilterError("\(quotedText(constant.text)) is no number")
                }
            }
        }
        return any(reference.names.map { "\($0) \(sign) \(value)" })
    }

    /// A comparison with each value that a constant spells.
    private func equalities(
        _ reference: Reference, _ constant: Constant
    ) throws(JaegerFilterError) -> [String] {
        var values: [String] = []
        switch reference.kind {
        case .text, .id: values = [quotedText(constant.text)]
        case .duration: values = [try duration(constant)]
        case .word(let words):
            let word = constant.text.lowercased()
            guard words.contains(word) else {
                throw JaegerFilterError(
                    "\(reference.names[0]) is one of \(words.joined(separator: ", ")), not "
                        + quotedText(constant.text))
            }
            values = [word]
        case .attribute:
            let type = constant.type
            if type.isEmpty || type == "string" { values.append(quotedText(constant.text)) }
            let isNumeric = type.isEmpty || type == "int" || type == "double"
            if isNumeric, let number = number(constant.text) { values.append(number) }
            let isFlag = constant.text == "true" || constant.text == "false"
            if isFlag, type.isEmpty || type == "bool" { values.append(constant.text) }
            guard !values.isEmpty else {
                throw JaegerFilterError("\(quotedText(constant.text)) is no \(type)")
            }
        }
        return reference.names.flatMap { name in values.map { "\(name) = \($0)" } }
    }

    /// There, and none of the comparisons holds.
    private func absentFrom(
        _ reference: Reference, _ equalities: [String]
    ) throws(JaegerFilterError) -> String {
        // A span has several events: that none of them is equal says nothing of each.
        if let nested { throw sameElement("a negation, in some of \(nested)s,") }
        let isThere = reference.isAttribute ? try presence(reference) : "true"
        return "(\(isThere) && !\(any(equalities)))"
    }

    private func presence(_ reference: Reference) throws(JaegerFilterError) -> String {
        guard reference.isAttribute else {
            guard case .text = reference.kind else { return "true" }
            return any(reference.names.map { "\($0) != \"\"" })
        }
        return any(reference.names.map { "\($0) != nil" })
    }

    private func any(_ parts: [String]) -> String {
        "(" + parts.map { parts.count == 1 ? $0 : "(\($0))" }.joined(separator: " || ") + ")"
    }

    // MARK: - Operands

    private func operand(_ value: JSONValue) throws(JaegerFilterError) -> Operand {
        guard case .object(let members) = value, members.count == 1 else {
            throw JaegerFilterError(
                "an operand is an object with one of attr, field, nested, scalar, list, call")
        }
        let inner = members[0].value
        switch members[0].name {
        case "attr": return .reference(try attribute(inner))
        case "field": return .reference(try field(inner))
        case "nested":
            let level = inner["level"].text
            guard level == "event" || level == "link" else {
                throw JaegerFilterError("nested is of level event or link")
            }
            return .nested(level)
        case "scalar":
            return .constant(
                try constant(inner["value"], inner["type"]))
        case "list":
            var list: [Constant] = []
            for item in inner["values"].items { list.append(try constant(item, inner["type"])) }
            guard !list.isEmpty else { throw JaegerFilterError("a list has at least one value") }
            return .list(list)
        case "call": return .call(inner)
        case let name: throw JaegerFilterError("there is no operand \(quotedText(name))")
        }
    }

    private func constant(
        _ value: JSONValue, _ type: JSONValue
    ) throws(JaegerFilterError) -> Constant {
        guard ["", "string", "int", "double", "bool"].contains(type.text) else {
            throw JaegerFilterError("there is no type \(quotedText(type.text))")
        }
        switch value {
        case .string(let text), .number(let text): return Constant(text: text, type: type.text)
        case .bool(let flag): return Constant(text: flag ? "true" : "false", type: type.text)
        case .null, .array, .object: throw JaegerFilterError("a constant has a value")
        }
    }

    private func attribute(_ value: JSONValue) throws(JaegerFilterError) -> Reference {
        guard case .string(let key) = value["key"], !key.isEmpty else {
            throw JaegerFilterError("an attribute has a key")
        }
        let name = SpanConditions.quotedName(key)
        let level = try checked(value["level"].text)
        switch level {
        case "": return Reference(names: ["span.\(name)", "resource.\(name)"], kind: .attribute)
        case "scope": return Reference(names: ["instrumentation.\(name)"], kind: .attribute)
        case "span", "resource", "event", "link":
            return Reference(names: ["\(level).\(name)"], kind: .attribute)
        default: throw JaegerFilterError("there is no level \(quotedText(level))")
        }
    }

    private func field(_ value: JSONValue) throws(JaegerFilterError) -> Reference {
        let level = try checked(value["level"].text)
        let name = value["name"].text
        switch (level, name) {
        case ("span", "name"): return Reference(names: ["name"], kind: .text)
        case ("span", "statusMessage"): return Reference(names: ["statusMessage"], kind: .text)
        case ("span", "duration"): return Reference(names: ["duration"], kind: .duration)
        case ("span", "status"):
            return Reference(names: ["status"], kind: .word(["ok", "error", "unset"]))
        case ("span", "kind"):
            return Reference(
                names: ["kind"],
                kind: .word([
                    "internal", "server", "client", "producer", "consumer", "unspecified",
                ]))
        case ("span", "traceID"): return Reference(names: ["trace:id"], kind: .id)
        case ("span", "spanID"): return Reference(names: ["span:id"], kind: .id)
        case ("span", "parentSpanID"): return Reference(names: ["span:parentID"], kind: .id)
        case ("resource", "service"):
            return Reference(names: ["resource.service.name"], kind: .text)
        case ("scope", "name"): return Reference(names: ["instrumentation:name"], kind: .text)
        case ("scope", "version"):
            return Reference(names: ["instrumentation:version"], kind: .text)
        case ("event", "name"): return Reference(names: ["event:name"], kind: .text)
        case ("event", "timeSinceStart"):
            return Reference(names: ["event:timeSinceStart"], kind: .duration)
        case ("link", "traceID"): return Reference(names: ["link:traceID"], kind: .id)
        case ("link", "spanID"): return Reference(names: ["link:spanID"], kind: .id)
        default:
            throw JaegerFilterError(
                "the field \(quotedText(name)) of \(quotedText(level)) is not offered")
        }
    }

    /// Inside `some` only its own level can be asked for: the span's would hold of it, not of one of its
    /// events.
    private func checked(_ level: String) throws(JaegerFilterError) -> String {
        if let nested, level != nested {
            throw JaegerFilterError(
                "inside some of \(nested)s only references of that level are offered")
        }
        return level
    }

    /// TraceQL has no exponents.
    private func number(_ text: String) -> String? {
        if let number = Int64(text) { return String(number) }
        guard let number = Double(text), number.isFinite, !text.lowercased().contains("x") else {
            return nil
        }
        let written = floatText(number)
        return written.contains("e") ? nil : written
    }

    private func duration(_ constant: Constant) throws(JaegerFilterError) -> String {
        do throws(GoDurationError) {
            return "\(try parseGoDuration(constant.text))ns"
        } catch {
            throw JaegerFilterError("\(error)")
        }
    }
}
