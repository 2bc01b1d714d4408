// SPDX-License-Identifier: Apache-2.0
// Helping somebody write a query: tag values under conditions.

import Base
import Telemetry

/// What can be made of a query that is still being written.
package enum TraceQLAutocomplete {
    /// The attribute or intrinsic that a tag's name stands for: `resource.service.name`, `.foo`,
    /// `span:name`, `name`; a bare unknown name is an attribute of any scope.
    package static func attribute(named text: String) -> Attribute? {
        if text.isEmpty { return nil }
        let tokens = Lexer.tokens(of: text)
        if tokens.count == 2, let attribute = tokens[0].attribute { return attribute }
        return Attribute(scope: .any, name: text)
    }

    /// The complete conditions of a possibly incomplete query: `{ resource.cluster = "a" && name = }`
    /// gives the first. Only one spanset is looked at; a query with several, or with operators
    /// between them, gives none. Never fails.
    static func expression(in text: String) -> FieldExpression? {
        guard text.utf8.count <= SyntaxLimits.queryBytes else { return nil }
        let tokens = Lexer.tokens(of: text)
        guard tokens.filter({ $0.kind == .symbol && $0.text == "{" }).count <= 1 else { return nil }
        var found: [FieldExpression] = []
        var isDisjunction = false
        var i = 0
        while i < tokens.count, found.count < SyntaxLimits.operators {
            let token = tokens[i]
            if token.kind == .symbol, token.text == "||" { isDisjunction = true }
            guard let attribute = token.attribute, i + 2 < tokens.count,
                tokens[i + 1].kind == .symbol,
                let operation = FieldOperator(rawValue: tokens[i + 1].text), operation.isComparison
            else {
                i += 1
                continue
            }
            let constant =
                tokens[i + 2].value
                ?? (tokens[i + 2].kind == .identifier ? Parser.words[tokens[i + 2].text] : nil)
            guard let constant else {
                i += 2
                continue
            }
            let condition = FieldExpression.binary(
                operation, .attribute(attribute), .constant(constant))
            if (try? condition.checkTypes()) != nil, !attribute.isParent { found.append(condition) }
            i += 3
        }
        guard var result = found.first else { return nil }
        for condition in found.dropFirst() {
            result = .binary(isDisjunction ? .or : .and, result, condition)
        }
        return result
    }

    /// The same as hints for a reader.
    package static func conditions(
        in text: String
    ) -> (conditions: [SpanCondition], matchAll: Bool) {
        expression(in: text).map(Prefilter.conditions) ?? ([], true)
    }
}

extension TraceQLEngine {
    /// Distinct values of an attribute on spans that satisfy what is complete of `query`, ascending
    /// by type and value.
    ///
    /// Without conditions the reader's catalogue answers; with them spans are read.
    ///
    /// - Parameter limit: values at most.
    package func tagValues(
        _ attribute: Attribute, where query: String, tenant: Tenant, range: NanosRange, limit: Int,
        _ context: ReadContext
    ) throws -> [AttributeValue] {
        let condition = TraceQLAutocomplete.expression(in: query)
        if attribute.intrinsic == .status {
            return [2, 1, 0].map { .string(Static.status($0).text) }
        }
        if attribute.intrinsic == .kind { return (0...5).map { .string(Static.kind($0).text) } }
        guard let condition, !condition.needsTrace else {
            guard let subject = attribute.subject else { return [] }
            return try reader.tagValues(
                subject, SpanRequest(tenant: tenant, range: range), limit: limit, context)
        }
        let (conditions, matchAll) = Prefilter.conditions(condition)
        let compiled = try CompiledExpression(condition)
        let name = SharedBytes(Array(attribute.name.utf8))
        var found: [String: AttributeValue] = [:]
        let request = SpanRequest(
            tenant: tenant, range: range, conditions: conditions, matchAll: matchAll)
        try reader.search(request, context) { batch in
            try context.check()
            batch.arena.withUnsafeBytes { arena in
                let spans = SpanReader(batch: batch, arena: arena, trace: nil)
                for row in 0..<batch.rowCount where found.count < limit {
                    guard range.contains(batch.startNanos[row]), spans.value(compiled, row).isTrue
                    else { continue }
                    let value = spans.value(attribute, name: name.buffer, row)
                    let items: [SpanValue]
                    if case .list(let list) = value { items = list } else { items = [value] }
                    for item in items.map(\.attributeValue) where item != .empty {
                        found["\(item)"] = item
                    }
                }
            }
            return found.count < limit
        }
        return found.sorted { $0.key < $1.key }.map(\.value)
    }

    /// Attribute keys by scope, ascending, on spans that satisfy what is complete of `query`.
    ///
    /// Without conditions the reader's catalogue answers; with them spans are read.
    package func tagNames(
        where query: String, tenant: Tenant, range: NanosRange, _ context: ReadContext
    ) throws -> [AttributeScope: [String]] {
        guard let condition = TraceQLAutocomplete.expression(in: query), !condition.needsTrace
        else { return try reader.tagNames(tenant, range: range, context) }
        let (conditions, matchAll) = Prefilter.conditions(condition)
        let compiled = try CompiledExpression(condition)
        var found: [AttributeScope: Set<String>] = [:]
        let request = SpanRequest(
            tenant: tenant, range: range, conditions: conditions, matchAll: matchAll)
        try reader.search(request, context) { batch in
            try context.check()
            try batch.arena.withUnsafeBytes { arena in
                let spans = SpanReader(batch: batch, arena: arena, trace: nil)
                for row in 0..<batch.rowCount
                where range.contains(batch.startNanos[row]) && spans.value(compiled, row).isTrue {
                    try spans.forEachKey(row) { found[$0, default: []].insert($1) }
                }
            }
            return true
        }
        return found.mapValues { $0.sorted() }
    }
}
