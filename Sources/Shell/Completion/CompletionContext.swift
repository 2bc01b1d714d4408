// SPDX-License-Identifier: Apache-2.0
// What can stand where the cursor is.

/// A kind of thing that the server, or the language, has names of.
enum CompletionSource: Sendable, Hashable {
    case metricNames
    /// Of metrics: labels of the series that a selector finds.
    case labelNames(selector: String)
    case labelValues(label: String, selector: String)
    case streamLabels(selector: String)
    case streamValues(label: String, selector: String)
    /// Fields that the lines of a log query turn out to have.
    case logFields(query: String)
    /// Attributes of a scope: `span`, `resource`, `event`, `link`, `instrumentation`.
    case attributes(scope: String)
    case attributeValues(name: String)
    case services
    /// Words of a language, of some kinds.
    case words(QueryLanguage, [WordDocumentation.Kind])
    /// Words from a fixed list.
    case fixed([String])
}

/// Where the cursor is in a query: what is being typed, and what may stand there.
struct CompletionContext: Sendable, Equatable {
    /// Characters that a completion replaces, up to the cursor.
    var replaced: Range<Int>
    /// What they are, without an opening quote.
    var typed: String
    var sources: [CompletionSource]
    /// What is put after a completion, for example the closing quote.
    var suffix = ""

    /// The context at the cursor.
    init(_ characters: [Character], cursor: Int, _ language: QueryLanguage) {
        let cursor = min(max(0, cursor), characters.count)
        let before = Array(characters[..<cursor])
        if before.first == "\\" {
            self = Self.command(before)
            return
        }
        let tokens = queryTokens(before, dotted: language == .traces)
        var typed = ""
        var start = cursor
        var rest = tokens[...]
        var inString = false
        if let last = tokens.last {
            switch last.kind {
            case .word:
                typed = last.text
                start = last.range.lowerBound
                rest = tokens.dropLast()
            case .openString:
                typed = String(last.text.dropFirst())
                start = last.range.lowerBound + 1
                rest = tokens.dropLast()
                inString = true
            default: break
            }
        }
        self.init(replaced: start..<cursor, typed: typed, sources: [])
        let place = Place(Array(rest.filter { $0.kind != .blank && $0.kind != .comment }))
        switch language {
        case .metrics: sources = Self.metricSources(place, inString)
        case .logs: sources = Self.logSources(place, inString, before)
        case .traces: sources = Self.traceSources(place, inString, typed)
        }
        if language == .traces, !inString, let dot = typed.firstIndex(of: "."),
            dot != typed.startIndex,
            case .attributes? = sources.first
        {
            // The scope stays; the rest of the word is what is looked for.
            let count = typed.distance(from: typed.startIndex, to: dot) + 1
            replaced = (start + count)..<cursor
            self.typed = String(typed.dropFirst(count))
        }
        if inString {
            let next = cursor < characters.count ? characters[cursor] : " "
            suffix = next == "\"" ? "" : "\""
        }
    }

    private init(replaced: Range<Int>, typed: String, sources: [CompletionSource]) {
        self.replaced = replaced
        self.typed = typed
        self.sources = sources
    }

    // MARK: Commands

    private static func command(_ before: [Character]) -> CompletionContext {
        guard let blank = before.firstIndex(where: \.isWhitespace) else {
            return CompletionContext(
                replaced: 0..<before.count, typed: String(before),
                sources: [.fixed(ShellVerb.allCases.map(\.name))])
        }
        let verb = ShellVerb(name: String(before[..<blank]))
        let start = before.lastIndex(where: \.isWhitespace).map { $0 + 1 } ?? before.count
        let sources: [CompletionSource] =
            switch verb {
            case .describe: [.metricNames]
            case .service, .why, .logs, .traces, .metrics: [.services]
            case .labels: [.labelNames(selector: "")]
            case .output: [.fixed(OutputMode.allCases.map(\.rawValue))]
            case .help: [.fixed(Array(Set(Documentation.all.map(\.word))).sorted())]
            default: []
            }
        return CompletionContext(
            replaced: start..<before.count, typed: String(before[start...]), sources: sources)
    }

    // MARK: Languages

    /// Brackets around the cursor and what stands before it.
    private struct Place {
        var tokens: [QueryToken]
        /// Innermost open bracket: its position among the tokens.
        var opening: Int?

        init(_ tokens: [QueryToken]) {
            self.tokens = tokens
            var stack: [Int] = []
            for (index, token) in tokens.enumerated() {
                if token.kind == .open { stack.append(index) }
                if token.kind == .close { _ = stack.popLast() }
            }
            opening = stack.last
        }

        var bracket: String { opening.map { tokens[$0].text } ?? "" }
        /// The word in front of the open bracket.
        var head: String {
            guard let opening, opening > 0, tokens[opening - 1].kind == .word else { return "" }
            return tokens[opening - 1].text
        }
        var last: QueryToken? { tokens.last }

        /// Label in front of an operator that the cursor follows: `job` in `{job=`.
        func labelBeforeOperator() -> String? {
            guard let operation = tokens.last, operation.kind == .symbol,
                ["=", "!=", "=~", "!~", ">", "<", ">=", "<="].contains(operation.text),
                tokens.count >= 2
            else { return nil }
            let label = tokens[tokens.count - 2]
            return label.kind == .word || label.kind == .string ? label.text : nil
        }

        /// The finished matchers of the open brace, as a selector with the name before it.
        func selector(named name: String) -> String {
            guard let opening, bracket == "{" else { return name.isEmpty ? "" : name }
            var matchers: [String] = []
            var index = opening + 1
            while index + 2 < tokens.count {
                if tokens[index].kind == .word, tokens[index + 1].kind == .symbol,
                    tokens[index + 2].kind == .string
                {
                    matchers.append(
                        tokens[index].text + tokens[index + 1].text + tokens[index + 2].text)
                    index += 3
                } else {
                    index += 1
                }
            }
            if name.isEmpty, matchers.isEmpty { return "" }
            return name + "{" + matchers.joined(separator: ",") + "}"
        }

        /// The first selector in a query, for labels in a grouping in front of or after it.
        var anySelector: String {
            let words = Set(Documentation.all.map(\.word))
            for (index, token) in tokens.enumerated()
            where token.kind == .word && !words.contains(token.text) {
                let next = index + 1 < tokens.count ? tokens[index + 1].text : ""
                let before = index > 0 ? tokens[index - 1].text : ""
                if next != "(", before != "," || next == "{" || next == "[" { return token.text }
            }
            return ""
        }
    }

    private static let groupings: Set<String> = [
        "by", "without", "on", "ignoring", "group_left", "group_right",
    ]
    private static let ranges = ["1m", "5m", "10m", "15m", "30m", "1h", "6h", "1d"]

    private static func metricSources(_ place: Place, _ inString: Bool) -> [CompletionSource] {
        if place.bracket == "[" { return [.fixed(ranges)] }
        if place.bracket == "{" {
            if let label = place.labelBeforeOperator() {
                guard inString else { return [] }
                return [.labelValues(label: label, selector: place.selector(named: place.head))]
            }
            return inString ? [] : [.labelNames(selector: place.selector(named: place.head))]
        }
        if inString { return [] }
        if place.bracket == "(", groupings.contains(place.head.lowercased()) {
            return [.labelNames(selector: place.anySelector)]
        }
        return [.words(.metrics, [.function, .aggregation, .modifier]), .metricNames]
    }

    private static func logSources(
        _ place: Place, _ inString: Bool, _ before: [Character]
    ) -> [CompletionSource] {
        if place.bracket == "[" { return [.fixed(ranges)] }
        if place.bracket == "{" {
            if let label = place.labelBeforeOperator() {
                guard inString else { return [] }
                return [.streamValues(label: label, selector: place.selector(named: ""))]
            }
            return inString ? [] : [.streamLabels(selector: place.selector(named: ""))]
        }
        if inString { return [] }
        let query = logQuery(before)
        if place.bracket == "(", groupings.contains(place.head.lowercased()) {
            return [.streamLabels(selector: ""), .logFields(query: query)]
        }
        if let last = place.last, last.kind == .symbol, last.text == "|" {
            return [.words(.logs, [.stage]), .logFields(query: query)]
        }
        if place.tokens.contains(where: { $0.text == "{" }) {
            return [.logFields(query: query), .fixed(["or", "and", "by", "without", "offset"])]
        }
        return [.words(.logs, [.function, .aggregation])]
    }

    /// The selector of a query that is being typed.
    private static func logQuery(_ before: [Character]) -> String {
        guard let open = before.firstIndex(of: "{"),
            let close = before[open...].firstIndex(of: "}")
        else { return "" }
        return String(before[open...close])
    }

    private static let scopes: Set<String> = [
        "span", "resource", "event", "link", "instrumentation",
    ]

    private static func traceSources(
        _ place: Place, _ inString: Bool, _ typed: String
    ) -> [CompletionSource] {
        if let name = place.labelBeforeOperator(), place.bracket == "{" {
            switch name {
            case "status": return [.fixed(["error", "ok", "unset"])]
            case "kind":
                return [.fixed(["server", "client", "internal", "producer", "consumer"])]
            default: return [.attributeValues(name: name)]
            }
        }
        if inString { return [] }
        if let dot = typed.firstIndex(of: ".") {
            let scope = String(typed[..<dot])
            if scope.isEmpty || scopes.contains(scope) { return [.attributes(scope: scope)] }
        }
        if place.bracket == "{" || place.bracket == "(" {
            return [.words(.traces, [.scope, .intrinsic])]
        }
        return [.words(.traces, [.stage, .function])]
    }
}
