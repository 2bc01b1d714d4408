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

    /// The complete conditions of a possibly incomplete query, between `&&`, `||` and parentheses:
    /// `{ resource.cluster = "a" && name = }` gives the first, `{ .a = 1 || name = }` none, since
    /// whatever comes may be true. Only one spanset is looked at; a query with several gives none.
    /// Never fails.
    static func expression(in text: String) -> FieldExpression? {
        guard text.utf8.count <= SyntaxLimits.queryBytes else { return nil }
        let tokens = Lexer.tokens(of: text)
        guard tokens.filter({ $0.kind == .symbol && $0.text == "{" }).count <= 1 else { return nil }
        var reader = IncompleteFilter(tokens)
        return reader.expression()
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
        guard let condition, attribute.intrinsic?.needsTrace != true else {
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
        guard let condition = TraceQLAutocomplete.expression(in: query)
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

/// Reads the filter of a query that is still being written. What is not complete, makes no sense or
/// looks at more than a span is unknown: nil.
private struct IncompleteFilter {
    private let tokens: [Token]
    private var position = 0
    private var operands = 0

    init(_ tokens: [Token]) {
        self.tokens = tokens
        let brace = tokens.firstIndex { $0.kind == .symbol && $0.text == "{" }
        position = brace.map { $0 + 1 } ?? 0
    }

    private func isSymbol(_ text: String) -> Bool {
        tokens[position].kind == .symbol && tokens[position].text == text
    }

    private var isAtEnd: Bool {
        switch tokens[position].kind {
        case .end, .failure: true
        default: isSymbol("}") || isSymbol(")")
        }
    }

    /// `&&` and `||` bind equally, to the left.
    mutating func expression(depth: Int = 0) -> FieldExpression? {
        var result = operand(depth)
        while !isAtEnd, isSymbol("&&") || isSymbol("||") {
            let isConjunction = isSymbol("&&")
            position += 1
            let next = operand(depth)
            switch (result, next) {
            case (let a?, let b?): result = .binary(isConjunction ? .and : .or, a, b)
            case (let a, let b): result = isConjunction ? a ?? b : nil
            }
        }
        return result
    }

    /// Everything up to the next connection.
    private mutating func operand(_ depth: Int) -> FieldExpression? {
        operands += 1
        let start = position
        if !isAtEnd, isSymbol("("), depth < SyntaxLimits.depth {
            position += 1
            let inner = expression(depth: depth + 1)
            if isSymbol(")") { position += 1 }
            if isAtEnd || isSymbol("&&") || isSymbol("||") { return inner }
        }
        var open = 0
        while tokens[position].kind != .end, tokens[position].kind != .failure, !isSymbol("}") {
            if open == 0, isSymbol(")") || isSymbol("&&") || isSymbol("||") { break }
            if isSymbol("(") { open += 1 }
            if isSymbol(")") { open -= 1 }
            position += 1
        }
        guard operands <= SyntaxLimits.operators else { return nil }
        return condition(tokens[start..<position])
    }

    private func condition(_ words: ArraySlice<Token>) -> FieldExpression? {
        guard !words.isEmpty, let last = tokens.last else { return nil }
        var end = last
        end.kind = .end
        var parser = Parser(tokens: Array(words) + [end])
        guard let found = try? parser.fieldExpression(), parser.token.kind == .end,
            (try? SpansetExpression.filter(found).checkTypes()) != nil, !found.needsTrace,
            !found.attributes.contains(where: { $0.isParent || $0.intrinsic == .parent })
        else { return nil }
        return found
    }
}
