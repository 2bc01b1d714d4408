// SPDX-License-Identifier: Apache-2.0
// The functions of alert templates.

import Base
import LogQL
import PromQL
import Telemetry

/// Source: prometheus/prometheus `template/template.go`, `NewTemplateExpander`.
struct AlertTemplateFunctions: TemplateCalling {
    static let library = TemplateLibrary(functions: [
        "query": 1...1, "first": 1...1, "label": 2...2, "value": 1...1, "strvalue": 1...1,
        "sortByLabel": 2...2, "args": 0...64, "tmpl": 2...2, "safeHtml": 1...1,
        "reReplaceAll": 3...3, "match": 2...2, "title": 1...1, "toUpper": 1...1, "toLower": 1...1,
        "stripPort": 1...1, "stripDomain": 1...1, "graphLink": 1...1, "tableLink": 1...1,
        "urlQueryEscape": 1...1, "externalURL": 0...0, "pathPrefix": 0...0, "humanize": 1...1,
        "humanize1024": 1...1, "humanizeDuration": 1...1, "humanizePercentage": 1...1,
        "humanizeTimestamp": 1...1, "toTime": 1...1, "toDuration": 1...1, "now": 0...0,
        "parseDuration": 1...1,
    ])

    let externalURL: String
    /// The time of the evaluation.
    let nanos: Int64
    let querying: any RuleQuerying

    private func fault(_ text: String) -> TemplateError { TemplateError(description: text) }

    func call(
        _ name: String, _ arguments: [TemplateValue],
        _ templates: (String, TemplateValue) -> String?
    ) throws(TemplateError) -> TemplateValue {
        switch name {
        case "query", "first", "label", "value", "strvalue", "sortByLabel":
            return try callResult(name, arguments)
        case "humanize": return .string(HumanNumbers.humanize(try number(arguments[0])))
        case "humanize1024": return .string(HumanNumbers.humanize1024(try number(arguments[0])))
        case "humanizeDuration":
            return .string(HumanNumbers.humanizeDuration(try number(arguments[0])))
        case "humanizePercentage":
            return .string(HumanNumbers.humanizePercentage(try number(arguments[0])))
        case "humanizeTimestamp":
            let value = try number(arguments[0])
            if !value.isFinite { return .string(HumanNumbers.short(value)) }
            return .string(TemplateValue.time(try time(value)).text)
        case "toTime":
            let value = try number(arguments[0])
            if !value.isFinite { throw fault("value is NaN or Inf") }
            return .time(try time(value))
        case "toDuration": return .duration(try duration(try number(arguments[0])))
        case "now": return .float(Double(nanos / 1_000_000) / 1000)
        case "parseDuration":
            let text = try text(arguments)
            do throws(DurationTextError) {
                return .float(Double(try parseDurationMillis(text)) / 1000)
            } catch { throw fault("\(error)") }
        case "args":
            var pairs = arguments.enumerated().map { ("arg\($0.offset)", $0.element) }
            pairs.sort { $0.0 < $1.0 }
            return .map(pairs.map { (key: $0.0, value: $0.1) })
        case "tmpl": return .string(templates(try text(arguments), arguments[1]) ?? "")
        case "externalURL": return .string(externalURL)
        case "pathPrefix": return .string(path)
        case "match":
            return .bool(
                try TemplateTexts.matches(try text(arguments), try text(arguments, 1)))
        default: return .string(try text(name, arguments))
        }
    }

    /// Functions from texts to a text.
    private func text(
        _ name: String, _ arguments: [TemplateValue]
    ) throws(TemplateError) -> String {
        let first = try text(arguments)
        switch name {
        case "safeHtml": return first
        case "title": return try TemplateTexts.title(first)
        case "toUpper": return first.uppercased()
        case "toLower": return first.lowercased()
        case "urlQueryEscape": return TemplateTexts.queryEscaped(first)
        case "graphLink": return expressionLink(first, asTable: false)
        case "tableLink": return expressionLink(first, asTable: true)
        case "stripPort": return HostPort(first)?.host ?? first
        case "stripDomain": return withoutDomain(first)
        case "reReplaceAll":
            return try TemplateTexts.replacingAll(
                first, in: try text(arguments, 2), with: try text(arguments, 1))
        default: throw fault("no such function")
        }
    }

    // MARK: query results

    private func callResult(
        _ name: String, _ arguments: [TemplateValue]
    ) throws(TemplateError) -> TemplateValue {
        switch name {
        case "query":
            do {
                let samples = try querying.query(
                    try text(arguments), .promql, atNanos: nanos, windowMillis: 0)
                return .list(samples.map(Self.record))
            } catch { throw fault("\(error)") }
        case "first":
            guard case .list(let samples) = arguments[0], let first = samples.first else {
                throw fault("first() called on vector with no elements")
            }
            return first
        case "label": return .string(try labels(arguments, 1)[try text(arguments)] ?? "")
        case "strvalue": return .string(try labels(arguments, 0)["__value__"] ?? "")
        case "value":
            guard case .record(_, let fields) = arguments[0],
                let value = fields.first(where: { $0.key == "Value" })?.value
            else { throw wrongType(arguments, 0, "*template.sample") }
            return value
        default:
            let name = try text(arguments)
            guard case .list(let samples) = arguments[1] else {
                throw wrongType(arguments, 1, "template.queryResult")
            }
            var keyed: [(key: String, sample: TemplateValue)] = []
            for sample in samples { keyed.append((try labels([sample], 0)[name] ?? "", sample)) }
            // A stable sort: equal values stay in the order of the result.
            let order = keyed.indices.sorted {
                keyed[$0].key == keyed[$1].key ? $0 < $1 : keyed[$0].key < keyed[$1].key
            }
            return .list(order.map { keyed[$0].sample })
        }
    }

    private static func record(_ sample: RuleSample) -> TemplateValue {
        .record(
            type: "*template.sample",
            [
                ("Labels", .texts(sample.labels.pairs.map { ($0.name, $0.value) })),
                ("Value", TemplateValue(sample.value)),
            ])
    }

    private func labels(
        _ arguments: [TemplateValue], _ place: Int
    ) throws(TemplateError) -> [String: String] {
        guard case .record(_, let fields) = arguments[place],
            case .texts(let pairs)? = fields.first(where: { $0.key == "Labels" })?.value
        else { throw wrongType(arguments, place, "*template.sample") }
        var labels: [String: String] = [:]
        for pair in pairs { labels[pair.key] = pair.value }
        return labels
    }

    // MARK: arguments

    private func wrongType(
        _ arguments: [TemplateValue], _ place: Int, _ wanted: String
    ) -> TemplateError {
        TemplateError(
            description: "wrong type for value; expected \(wanted); got "
                + arguments[place].typeName, argument: place)
    }

    private func text(
        _ arguments: [TemplateValue], _ place: Int = 0
    ) throws(TemplateError) -> String {
        guard case .string(let text) = arguments[place] else {
            throw wrongType(arguments, place, "string")
        }
        return text
    }

    private func number(_ value: TemplateValue) throws(TemplateError) -> Double {
        switch value {
        case .float(let number): return number
        case .int(let number): return Double(number)
        case .duration(let nanos): return Double(nanos) / 1e9
        case .string(let text):
            guard let number = parseFloat(text) else {
                throw fault("strconv.ParseFloat: parsing \(quotedText(text)): invalid syntax")
            }
            return number
        default: throw fault("can't convert \(value.typeName) to float")
        }
    }

    /// Nanoseconds of seconds, cut to milliseconds.
    private func time(_ seconds: Double) throws(TemplateError) -> Int64 {
        guard let nanos = Int64(exactly: (seconds * 1e9).rounded(.towardZero)) else {
            throw fault(
                "\(TemplateValue.float(seconds).text) cannot be represented as a nanoseconds "
                    + "timestamp since it overflows int64")
        }
        return nanos / 1_000_000 * 1_000_000
    }

    private func duration(_ seconds: Double) throws(TemplateError) -> Int64 {
        guard seconds.isFinite, let nanos = Int64(exactly: (seconds * 1e9).rounded(.towardZero))
        else {
            throw fault(
                "\(TemplateValue.float(seconds).text) cannot be represented as a duration since it "
                    + "overflows int64")
        }
        return nanos
    }

    // MARK: hosts and links

    private func withoutDomain(_ text: String) -> String {
        let parts = HostPort(text)
        let host = parts?.host ?? text
        if isAddress(host) { return text }
        let name = String(host.prefix { $0 != "." })
        guard let port = parts?.port, !port.isEmpty else { return name }
        return name + ":" + port
    }

    private func isAddress(_ host: String) -> Bool {
        if host.contains(":") { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }
    }

    /// What follows the host of the external URL.
    private var path: String {
        guard let scheme = externalURL.firstRange(of: "://") else { return "" }
        let rest = externalURL[scheme.upperBound...]
        return rest.firstIndex(of: "/").map { String(rest[$0...]) } ?? ""
    }
}

/// Path of the page that shows an expression's result. Source: prometheus/prometheus
/// `util/strutil/strconv.go`.
package func expressionLink(_ expression: String, asTable: Bool) -> String {
    "/graph?g0.expr=\(TemplateTexts.queryEscaped(expression))&g0.tab=\(asTable ? 1 : 0)"
}

/// `host:port`, taken apart as Go's `net.SplitHostPort` does; nil when it is none.
private struct HostPort {
    let host: String
    let port: String

    init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let before = text[..<colon]
        port = String(text[text.index(after: colon)...])
        if before.hasPrefix("[") {
            guard before.hasSuffix("]") else { return nil }
            host = String(before.dropFirst().dropLast())
        } else {
            guard !before.contains(":"), !before.contains("["), !before.contains("]") else {
                return nil
            }
            host = String(before)
        }
        guard !port.contains("]") else { return nil }
    }
}
