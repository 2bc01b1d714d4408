// SPDX-License-Identifier: Apache-2.0
// The syntax tree as JSON.

import Base
import Telemetry

extension Expression {
    /// Writes the tree as one JSON value, members in alphabetical order.
    ///
    /// Source: prometheus/prometheus `web/api/v1/translate_ast.go`: node types and member names.
    package func write(into json: inout JSONWriter) {
        json.beginObject()
        switch self {
        case .number(let node):
            json.member("type", "numberLiteral")
            json.member("val", plainText(node.value))
        case .string(let node):
            json.member("type", "stringLiteral")
            json.member("val", node.value)
        case .selector(let node):
            node.writeHead(into: &json)
            node.writeTail("vectorSelector", into: &json)
        case .matrix(let node):
            node.selector.writeHead(into: &json)
            json.key("range")
            json.int(node.rangeMillis)
            json.key("rangeExpr")
            writeDuration(node.rangeExpression, into: &json)
            node.selector.writeTail("matrixSelector", into: &json)
        case .subquery(let node): node.writeMembers(into: &json)
        case .call(let node): node.writeMembers(into: &json)
        case .aggregation(let node): node.writeMembers(into: &json)
        case .binary(let node): node.writeMembers(into: &json)
        case .unary(let node):
            json.key("expr")
            node.operand.write(into: &json)
            json.member("op", node.isNegation ? "-" : "+")
            json.member("type", "unaryExpr")
        case .parenthesized(let node):
            json.key("expr")
            node.expression.write(into: &json)
            json.member("type", "parenExpr")
        case .duration(let node): node.writeMembers(into: &json)
        }
        json.endObject()
    }
}

private func plainText(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    var text: [UInt8] = []
    appendFloatPlain(value, into: &text)
    return String(decoding: text, as: UTF8.self)
}

private func writeDuration(_ node: DurationExpression?, into json: inout JSONWriter) {
    guard let node else { return json.null() }
    json.beginObject()
    node.writeMembers(into: &json)
    json.endObject()
}

/// A part of a duration: numbers say whether they were written as durations.
private func writePart(_ part: Expression?, into json: inout JSONWriter) {
    guard let part else { return json.null() }
    guard case .number(let node) = part else { return part.write(into: &json) }
    json.beginObject()
    json.member("duration", node.isDuration)
    json.member("type", "numberLiteral")
    json.member("val", plainText(node.value))
    json.endObject()
}

private func writeTexts(_ texts: [String], into json: inout JSONWriter) {
    json.beginArray()
    for text in texts { json.string(text) }
    json.endArray()
}

private func writeAnchor(_ anchor: TimeAnchor?, isTime: Bool, into json: inout JSONWriter) {
    switch anchor {
    case .millis(let millis) where isTime: json.int(millis)
    case .start where !isTime: json.string("start")
    case .end where !isTime: json.string("end")
    default: json.null()
    }
}

extension DurationExpression {
    fileprivate func writeMembers(into json: inout JSONWriter) {
        json.key("lhs")
        writePart(left, into: &json)
        switch operation {
        case .arithmetic(let operation): json.member("op", operation.rawValue)
        case .step: json.member("op", "step")
        case .range: json.member("op", "range")
        case .minOf: json.member("op", "min_of")
        case .maxOf: json.member("op", "max_of")
        }
        json.key("rhs")
        writePart(right, into: &json)
        json.member("type", "durationExpr")
        json.member("wrapped", wrapped)
    }
}

extension VectorSelector {
    /// Members before `range`.
    fileprivate func writeHead(into json: inout JSONWriter) {
        json.member("anchored", anchored)
        json.key("matchers")
        json.beginArray()
        for matcher in matchers {
            json.beginObject()
            json.member("name", matcher.name)
            json.member("type", matcher.operation.symbol)
            json.member("value", matcher.value)
            json.endObject()
        }
        json.endArray()
        json.member("name", name)
        json.key("offset")
        json.int(offsetMillis)
        json.key("offsetExpr")
        writeDuration(offsetExpression, into: &json)
    }

    fileprivate func writeTail(_ type: String, into json: inout JSONWriter) {
        json.member("smoothed", smoothed)
        json.key("startOrEnd")
        writeAnchor(anchor, isTime: false, into: &json)
        json.key("timestamp")
        writeAnchor(anchor, isTime: true, into: &json)
        json.member("type", type)
    }
}

extension Subquery {
    fileprivate func writeMembers(into json: inout JSONWriter) {
        json.key("expr")
        expression.write(into: &json)
        json.key("offset")
        json.int(offsetMillis)
        json.key("offsetExpr")
        writeDuration(offsetExpression, into: &json)
        json.key("range")
        json.int(rangeMillis)
        json.key("rangeExpr")
        writeDuration(rangeExpression, into: &json)
        json.key("startOrEnd")
        writeAnchor(anchor, isTime: false, into: &json)
        json.key("step")
        json.int(stepMillis)
        json.key("stepExpr")
        writeDuration(stepExpression, into: &json)
        json.key("timestamp")
        writeAnchor(anchor, isTime: true, into: &json)
        json.member("type", "subquery")
    }
}

extension Call {
    fileprivate func writeMembers(into json: inout JSONWriter) {
        json.key("args")
        json.beginArray()
        for argument in arguments { argument.write(into: &json) }
        json.endArray()
        json.key("func")
        json.beginObject()
        json.key("argTypes")
        writeTexts((function?.arguments ?? []).map(\.rawValue), into: &json)
        json.member("name", name)
        json.member("returnType", (function?.result ?? .none).rawValue)
        json.member("variadic", function?.variadic ?? 0)
        json.endObject()
        json.member("type", "call")
    }
}

extension Aggregation {
    fileprivate func writeMembers(into json: inout JSONWriter) {
        json.key("expr")
        expression.write(into: &json)
        json.key("grouping")
        writeTexts(grouping, into: &json)
        json.member("op", operation.rawValue)
        json.key("param")
        if let parameter { parameter.write(into: &json) } else { json.null() }
        json.member("type", "aggregation")
        json.member("without", without)
    }
}

extension BinaryExpression {
    fileprivate func writeMembers(into json: inout JSONWriter) {
        json.member("bool", returnBool)
        json.key("lhs")
        left.write(into: &json)
        json.key("matching")
        if let matching { matching.write(into: &json) } else { json.null() }
        json.member("op", operation.rawValue)
        json.key("rhs")
        right.write(into: &json)
        json.member("type", "binaryExpr")
    }
}

extension VectorMatching {
    fileprivate func write(into json: inout JSONWriter) {
        json.beginObject()
        switch cardinality {
        case .oneToOne: json.member("card", "one-to-one")
        case .manyToOne: json.member("card", "many-to-one")
        case .oneToMany: json.member("card", "one-to-many")
        case .manyToMany: json.member("card", "many-to-many")
        }
        json.key("fillValues")
        json.beginObject()
        for (name, value) in [("lhs", fillLeft), ("rhs", fillRight)] {
            json.key(name)
            if let value, value.isFinite { json.raw(plainText(value)) } else { json.null() }
        }
        json.endObject()
        json.key("include")
        writeTexts(include, into: &json)
        json.key("labels")
        writeTexts(labels, into: &json)
        json.member("on", isOn)
        json.endObject()
    }
}
