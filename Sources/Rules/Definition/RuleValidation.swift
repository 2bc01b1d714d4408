// SPDX-License-Identifier: Apache-2.0
// What makes a rule invalid.

import Ingest
import LogQL
import PromQL
import TraceQL

extension RuleDefinition {
    /// What is wrong with the rule, in the order upstream finds it. Source: prometheus/prometheus
    /// `model/rulefmt`, `Rule.Validate`.
    package func faults(
        _ language: RuleLanguage = .promql, _ names: NameScheme = .utf8,
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
            if !names.isValidMetricName(record) {
                faults.append("invalid recording rule name: \(record)")
            }
            // A valid name, but what was meant is an expression.
            if record.contains("{") || record.contains("}") {
                faults.append(
                    "braces present in the recording rule name; should it be in expr?: \(record)")
            }
        }
        for label in labels where !names.isValidLabelName(label.name) || label.name == "__name__" {
            faults.append("invalid label name: \(label.name)")
        }
        for annotation in annotations where !names.isValidLabelName(annotation.name) {
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
                switch try LogQLParser.parse(text) {
                case .metric: return nil
                case .log: return "a rule needs a metric query, not a log query"
                case .analysis: return "a rule needs a metric query, not an analysis of log lines"
                }
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
    package func labelFaults(_ names: NameScheme = .utf8) -> [String] {
        labels.filter { !names.isValidLabelName($0.name) || $0.name == "__name__" }
            .map { "invalid label name: \($0.name)" }
    }
}
