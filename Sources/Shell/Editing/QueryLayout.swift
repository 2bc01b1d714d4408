// SPDX-License-Identifier: Apache-2.0
// `\\format`: a query laid out.

import LogQL
import PromQL

/// A query with even blanks, broken into indented lines where it is wider than `width`. What it means
/// stays as it is.
///
/// Metric queries are printed by PromQL's own printer, log queries by LogQL's and then broken; TraceQL
/// has none, so its words keep their text.
///
/// - Throws: `ShellError` for a query with a fault, or with comments, which would be lost.
func formatted(
    _ text: String, _ language: QueryLanguage, width: Int = 100
) throws -> String {
    if let fault = syntaxFault(text, language) { throw ShellError(fault.message) }
    let isCommented = queryTokens(Array(text), dotted: language == .traces)
        .contains { $0.kind == .comment }
    guard !isCommented else {
        throw ShellError("a query with comments is left as it is: they would be lost", .usage)
    }
    switch language {
    case .metrics: return try parseExpression(text).prettyPrinted(maxLineLength: width)
    case .logs:
        return QueryLayout(try LogQLParser.parse(text).description, language).text(width)
    case .traces: return QueryLayout(text, language).text(width)
    }
}

/// The words of a query as brackets within brackets.
private struct QueryLayout {
    private indirect enum Node {
        case token(QueryToken)
        /// Opening bracket, what is between, closing bracket.
        case group(String, [Item], String)
    }
    /// A node, and whether a blank stood before it.
    private struct Item {
        var node: Node
        var isSpaced: Bool

        var symbol: String? {
            if case .token(let token) = node, token.kind == .symbol { return token.text }
            return nil
        }
    }
    private let items: [Item]
    private let language: QueryLanguage
    private static let indent = 2

    init(_ text: String, _ language: QueryLanguage) {
        let all = queryTokens(Array(text), dotted: language == .traces)
        var tokens = (language == .traces ? all.flatMap(Self.withSignApart) : all)[...]
        items = Self.items(&tokens)
        self.language = language
    }

    /// `>=-` is an operator and a sign, `&&!` two operators.
    private static func withSignApart(_ token: QueryToken) -> [QueryToken] {
        guard token.kind == .symbol, token.text.count > 1, let last = token.text.last,
            last == "-" || last == "!"
        else { return [token] }
        let end = token.range.upperBound - 1
        return [
            QueryToken(
                kind: .symbol, range: token.range.lowerBound..<end,
                text: String(token.text.dropLast())),
            QueryToken(kind: .symbol, range: end..<(end + 1), text: String(last)),
        ]
    }

    /// Takes tokens up to the closing bracket of the group at hand.
    private static func items(_ tokens: inout ArraySlice<QueryToken>) -> [Item] {
        var items: [Item] = []
        var isSpaced = false
        while let token = tokens.first, token.kind != .close {
            tokens.removeFirst()
            switch token.kind {
            case .blank:
                isSpaced = true
                continue
            case .open:
                let inner = Self.items(&tokens)
                items.append(
                    Item(
                        node: .group(token.text, inner, tokens.popFirst()?.text ?? ""),
                        isSpaced: isSpaced))
            default: items.append(Item(node: .token(token), isSpaced: isSpaced))
            }
            isSpaced = false
        }
        return items
    }

    func text(_ width: Int) -> String { lines(items, 0, width).joined(separator: "\n") }

    // MARK: On one line

    private func flat(_ items: some BidirectionalCollection<Item>) -> String {
        let items = Array(items)
        var out = ""
        for index in items.indices {
            if index > 0, hasBlank(before: index, in: items) { out += " " }
            out += flat(items[index].node)
        }
        return out
    }

    private func flat(_ node: Node) -> String {
        switch node {
        case .token(let token): return token.text
        case .group(let open, let inner, let close):
            let text = flat(inner)
            let isPadded = open == "{" && language == .traces && !text.isEmpty
            return isPadded ? "{ \(text) }" : open + text + close
        }
    }

    private func hasBlank(before index: Int, in items: [Item]) -> Bool {
        let (left, right) = (items[index - 1], items[index])
        // Its own printer has put blanks where they belong.
        guard language == .traces else { return right.isSpaced }
        if right.symbol?.hasPrefix(",") == true { return false }
        if let symbol = left.symbol {
            let isSign =
                symbol == "!" || symbol == "-" && (index < 2 || items[index - 2].symbol != nil)
            return !isSign
        }
        if right.symbol != nil { return true }
        switch (left.node, right.node) {
        case (.token(let word), .group("(", _, _)): return ["by", "with"].contains(word.text)
        // `span."a b".c` is one attribute.
        case (.token, .token): return right.isSpaced
        default: return true
        }
    }

    // MARK: On several lines

    private func lines(_ items: [Item], _ depth: Int, _ width: Int) -> [String] {
        let margin = String(repeating: " ", count: depth * Self.indent)
        let whole = flat(items)
        if margin.count + whole.count <= width { return [margin + whole] }
        let parts = parts(of: items)
        if parts.count > 1 {
            return parts.enumerated().flatMap { index, part in
                lines(part, index == 0 ? depth : depth + 1, width)
            }
        }
        // Nothing to break at: what is in the widest bracket goes on lines of its own.
        var widest: (index: Int, width: Int)?
        for (index, item) in items.enumerated() {
            guard case .group(let open, let inner, _) = item.node, open != "[", !inner.isEmpty
            else { continue }
            let width = flat(item.node).count
            if width > widest?.width ?? 0 { widest = (index, width) }
        }
        guard let index = widest?.index,
            case .group(let open, let inner, let close) = items[index].node,
            language == .traces || open == "("
        else { return [margin + whole] }
        var opening = items[index]
        opening.node = .group(open, [], "")
        var closing = items[index]
        closing.node = .group("", [], close)
        return [margin + flat(items[..<index] + [opening])] + lines(inner, depth + 1, width)
            + [margin + flat([closing] + items[(index + 1)...])]
    }

    /// Pieces that may begin a line: a pipe or a filter with what follows, an operator between spansets
    /// or conditions; or end one: what a comma follows.
    private func parts(of items: [Item]) -> [[Item]] {
        var parts: [[Item]] = [[]]
        for item in items {
            if beginsLine(item), parts.last?.isEmpty == false { parts.append([]) }
            parts[parts.count - 1].append(item)
            if item.symbol?.hasPrefix(",") == true { parts.append([]) }
        }
        return parts.filter { !$0.isEmpty }
    }

    private func beginsLine(_ item: Item) -> Bool {
        guard let symbol = item.symbol else { return false }
        switch language {
        case .metrics: return false
        case .logs:
            // A filter of labels has no blank in front of its operator.
            return item.isSpaced
                && ["|", "|=", "!=", "|~", "!~", "|>", "!>"].contains(symbol)
        case .traces:
            return [
                "|", "&&", "||", ">>", "<<", "~", "!>>", "!<<", "!>", "!<", "&>>", "&<<", "&>",
                "&<", "&~",
            ].contains(symbol)
        }
    }
}
