// SPDX-License-Identifier: Apache-2.0
// `label_replace` and `label_join`.

import Base
import Telemetry

extension Evaluator {
    func labelReplace(_ node: Call, _ grid: StepGrid) throws -> any VectorOperator {
        let target = try labelName(
            node.arguments[1], "invalid destination label name in label_replace(): ")
        let template = ReplacementTemplate(string(node.arguments[2]))
        let source = string(node.arguments[3])
        let pattern = string(node.arguments[4])
        let expression: RegularExpression
        do throws(RegexError) {
            expression = try RegularExpression(
                "^(?s:" + pattern + ")$", [.dotMatchesNewline])
        } catch {
            throw QueryError("invalid regular expression in label_replace(): \(pattern)")
        }
        let names = expression.groupNames()
        let relabelled = RelabelOperator(
            try vector(node.arguments[0], grid), scope: scope
        ) { series in
            var value = series.labels[source] ?? ""
            let replacement = value.withUTF8 { utf8 -> String? in
                let text = UnsafeRawBufferPointer(utf8)
                guard let spans = expression.captures(text) else { return nil }
                return template.expand(text, spans, names)
            }
            guard let replacement else { return series }
            return OutputSeries(
                series.labels.setting(target, replacement),
                dropName: target == Labels.metricName ? false : series.dropName)
        }
        return MergeOperator(relabelled, steps: grid.count, scope: scope)
    }

    func labelJoin(_ node: Call, _ grid: StepGrid) throws -> any VectorOperator {
        let target = try labelName(
            node.arguments[1], "invalid destination label name in label_join(): ")
        let separator = string(node.arguments[2])
        let sources = try node.arguments.dropFirst(3).map {
            try labelName($0, "invalid source label name in label_join(): ")
        }
        let relabelled = RelabelOperator(
            try vector(node.arguments[0], grid), scope: scope
        ) { series in
            let joined = sources.map { series.labels[$0] ?? "" }.joined(separator: separator)
            return OutputSeries(
                series.labels.setting(target, joined),
                dropName: target == Labels.metricName ? false : series.dropName)
        }
        return MergeOperator(relabelled, steps: grid.count, scope: scope)
    }
}

/// A replacement with `$1`, `${1}`, `$name`, `${name}` and `$$`, by the rules of Go's
/// `Regexp.Expand`: a name is the longest run of letters, digits and underscores.
struct ReplacementTemplate {
    private enum Part {
        case text(String)
        case group(String)
    }
    private var parts: [Part] = []

    init(_ template: String) {
        var rest = Array(template.utf8)[...]
        var text: [UInt8] = []
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "$") else {
                text.append(byte)
                continue
            }
            if rest.first == UInt8(ascii: "$") {
                text.append(byte)
                rest = rest.dropFirst()
                continue
            }
            guard let name = ReplacementTemplate.name(&rest) else {
                text.append(byte)
                continue
            }
            parts.append(.text(String(decoding: text, as: UTF8.self)))
            text = []
            parts.append(.group(name))
        }
        parts.append(.text(String(decoding: text, as: UTF8.self)))
    }

    private static func name(_ rest: inout ArraySlice<UInt8>) -> String? {
        var candidate = rest
        let isBraced = candidate.first == UInt8(ascii: "{")
        if isBraced { candidate = candidate.dropFirst() }
        let name = candidate.prefix(while: isAlphaNumeric)
        if name.isEmpty { return nil }
        candidate = candidate.dropFirst(name.count)
        if isBraced {
            guard candidate.first == UInt8(ascii: "}") else { return nil }
            candidate = candidate.dropFirst()
        }
        rest = candidate
        return String(decoding: name, as: UTF8.self)
    }

    /// - Parameters:
    ///   - spans: start and end per group, −1 where a group took no part.
    ///   - names: of groups 1….
    func expand(_ text: UnsafeRawBufferPointer, _ spans: [Int], _ names: [String]) -> String {
        var result = ""
        for part in parts {
            switch part {
            case .text(let plain): result += plain
            case .group(let name):
                guard let group = Int(name) ?? names.firstIndex(of: name).map({ $0 + 1 }),
                    2 * group + 1 < spans.count, spans[2 * group] >= 0
                else { continue }
                let bytes = text[spans[2 * group]..<spans[2 * group + 1]]
                result += String(decoding: bytes, as: UTF8.self)
            }
        }
        return result
    }
}
