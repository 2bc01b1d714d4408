// SPDX-License-Identifier: Apache-2.0
// What makes a rule invalid.

import LogQL
import PromQL
import TraceQL

/// Which names labels and metrics may have.
package enum NameValidation: Sendable, Equatable {
    case utf8, legacy

    func isLabelName(_ name: String) -> Bool {
        switch self {
        case .utf8: !name.isEmpty
        case .legacy: isLegacyName(name, colons: false)
        }
    }

    func isMetricName(_ name: String) -> Bool {
        switch self {
        case .utf8: !name.isEmpty
        case .legacy: isLegacyName(name, colons: true)
        }
    }

    private func isLegacyName(_ name: String, colons: Bool) -> Bool {
        for (index, byte) in name.utf8.enumerated() {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "_"):
                continue
            case UInt8(ascii: ":") where colons: continue
            case UInt8(ascii: "0")...UInt8(ascii: "9") where index > 0: continue
            default: return false
            }
        }
        return !name.isEmpty
    }
}

extension RuleDefinition {
    /// What is wrong with the rule, in the order upstream finds it. Source: prometheus/prometheus
    /// `model/rulefmt`, `Rule.Validate`.
    package func faults(
        _ language: RuleLanguage = .promql, _ names: NameValidation = .utf8,
        parser: ParserOptions = ParserOptions()
    ) -> [String] {
        var faults: [String] = []
        if !record.isEmpty, !alert.isEmpty {
            faults.append("only one of 'record' and 'alert' must be set")
        }
        if record.isEmpty, alert.isEmpty {
            faults.append("one of 'record' or 'alert' must be set")
        }
        if expression.isEmpty {
            faults.append("field 'expr' must be set in rule")
        } else if let fault = Self.fault(of: expression, language, parser) {
            faults.append("could not parse expression: \(fault)")
        }
        if !record.isEmpty {
            if !annotations.isEmpty {
                faults.append("invalid field 'annotations' in recording rule")
            }
            if holdMillis != 0 { faults.append("invalid field 'for' in recording rule") }
            if keepFiringMillis != 0 {
                faults.append("invalid field 'keep_firing_for' in recording rule")
            }
            if !names.isMetricName(record) {
                faults.append("invalid recording rule name: \(record)")
            }
            // A valid name, but what was meant is an expression.
            if record.contains("{") || record.contains("}") {
                faults.append(
                    "braces present in the recording rule name; should it be in expr?: \(record)")
            }
        }
        for label in labels where !names.isLabelName(label.name) || label.name == "__name__" {
            faults.append("invalid label name: \(label.name)")
        }
        for annotation in annotations where !names.isLabelName(annotation.name) {
            faults.append("invalid annotation name: \(annotation.name)")
        }
        return faults + templateFaults
    }

    private var templateFaults: [String] {
        guard isAlert else { return [] }
        func faults(_ kind: String, _ texts: [RuleText]) -> [String] {
            texts.compactMap { text in
                AlertTemplate.fault(of: text.value, alert: alert).map {
                    "\(kind) \"\(text.name)\": \($0)"
                }
            }
        }
        return faults("label", labels) + faults("annotation", annotations)
    }

    /// Why an expression is no rule, or nil.
    private static func fault(
        of text: String, _ language: RuleLanguage, _ parser: ParserOptions
    ) -> String? {
        switch language {
        case .promql:
            do throws(ParseError) {
                _ = try parseExpression(text, options: parser)
                return nil
            } catch { return "\(error)" }
        case .logql:
            do {
                if case .log = try LogQLParser.parse(text) {
                    return "a rule needs a metric query, not a log query"
                }
                return nil
            } catch { return "\(error)" }
        case .traceql:
            do {
                _ = try TraceQLParser.parse(text)
                return nil
            } catch { return "\(error)" }
        }
    }
}

extension RuleGroupDefinition {
    /// What is wrong with the group's own labels.
    package func labelFaults(_ names: NameValidation = .utf8) -> [String] {
        labels.filter { !names.isLabelName($0.name) || $0.name == "__name__" }
            .map { "invalid label name: \($0.name)" }
    }
}
