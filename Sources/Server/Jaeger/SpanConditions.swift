// SPDX-License-Identifier: Apache-2.0
// Searches by service, operation and tags as TraceQL.

import Base

/// What one span must satisfy, as the searches of Jaeger and Zipkin put it. Becomes one TraceQL
/// filter: `{ resource.service.name = "shop" && name = "pay" && … }`.
struct SpanConditions: Sendable {
    private var parts: [String] = []

    /// Tags of a search at most.
    static let maxTags = 64

    var text: String { parts.isEmpty ? "{}" : "{ " + parts.joined(separator: " && ") + " }" }

    mutating func service(_ name: String?) {
        if let name, !name.isEmpty {
            parts.append("resource.service.name = \(quotedText(name))")
        }
    }

    mutating func operation(_ name: String?) {
        if let name, !name.isEmpty { parts.append("name = \(quotedText(name))") }
    }

    /// Both in nanoseconds.
    mutating func duration(atLeast least: Int64?, atMost most: Int64?) {
        if let least { parts.append("duration >= \(max(0, least))ns") }
        if let most { parts.append("duration <= \(max(0, most))ns") }
    }

    /// A remote service by the attributes that name it.
    mutating func peer(_ name: String?) {
        guard let name, !name.isEmpty else { return }
        let value = quotedText(name)
        parts.append("(.peer.service = \(value) || .server.address = \(value))")
    }

    /// An attribute of the span, its resource or one of its events whose text is the value, whatever
    /// its type; or a property of the span that Jaeger shows as a tag.
    mutating func tag(_ key: String, _ value: String) {
        parts.append(SpanConditions.property(key, value) ?? SpanConditions.attribute(key, value))
    }

    /// An event's name, or an attribute that is there.
    mutating func word(_ word: String) {
        let name = SpanConditions.quotedName(word)
        parts.append("(event:name = \(quotedText(word)) || .\(name) != nil)")
    }

    private static func attribute(_ key: String, _ value: String) -> String {
        let name = quotedName(key)
        var values = [quotedText(value)]
        if let number = Int64(value) {
            values.append(String(number))
        } else if let number = Double(value), number.isFinite, !value.lowercased().contains("x") {
            // TraceQL has no exponents.
            let text = floatText(number)
            if !text.contains("e") { values.append(text) }
        }
        if value == "true" || value == "false" { values.append(value) }
        let alternatives = values.flatMap { [".\(name) = \($0)", "event.\(name) = \($0)"] }
        return "(" + alternatives.joined(separator: " || ") + ")"
    }

    private static func property(_ key: String, _ value: String) -> String? {
        let name = quotedName(key)
        switch (key, value.lowercased()) {
        case ("error", "true"):
            return "(status = error || .\(name) = true || .\(name) = \"true\")"
        case ("error", "false"): return "status != error"
        case ("span.kind", let kind)
        where ["internal", "server", "client", "producer", "consumer"].contains(kind):
            return "kind = \(kind)"
        case ("otel.status_code", let code) where ["ok", "error", "unset"].contains(code):
            return "status = \(code)"
        case ("otel.status_description", _): return "statusMessage = \(quotedText(value))"
        case ("otel.library.name", _), ("otel.scope.name", _):
            return "instrumentation:name = \(quotedText(value))"
        case ("otel.library.version", _), ("otel.scope.version", _):
            return "instrumentation:version = \(quotedText(value))"
        case ("event", _):
            return "(event:name = \(quotedText(value)) || .event = \(quotedText(value)))"
        default: return nil
        }
    }

    /// An attribute's name in quotes, which may hold everything.
    static func quotedName(_ name: String) -> String {
        "\"" + String(name.flatMap { $0 == "\"" || $0 == "\\" ? ["\\", $0] : [$0] }) + "\""
    }
}
