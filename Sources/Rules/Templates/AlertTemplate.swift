// SPDX-License-Identifier: Apache-2.0
// Texts of labels and annotations.

import Base
import LogQL
import PromQL
import Telemetry

/// Expands Go templates over an alert.
///
/// `$labels`, `$value`, `$externalLabels` and `$externalURL` stand for the fields of the dot. Source:
/// prometheus/prometheus `rules/alerting.go` and `template/template.go`.
package struct AlertTemplate {
    /// What does not change from alert to alert.
    package struct Surroundings: Sendable {
        package var externalLabels: [RuleText]
        /// Without a slash at its end.
        package var externalURL: String
        package init(externalLabels: [RuleText] = [], externalURL: String = "") {
            self.externalLabels = externalLabels
            self.externalURL = externalURL
        }
    }

    /// In front of every text, on its line: positions in errors count it, as upstream.
    private static let definitions =
        "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}"
        + "{{$externalURL := .ExternalURL}}{{$value := .Value}}"

    private let root: TemplateValue
    private let functions: AlertTemplateFunctions

    /// - Parameters:
    ///   - sample: the element of the expression's result that became the alert.
    ///   - querying: answers `query`, at `nanos`.
    package init(
        _ sample: RuleSample, _ surroundings: Surroundings, atNanos nanos: Int64,
        _ querying: any RuleQuerying
    ) {
        root = .record(
            type: "struct",
            [
                ("Labels", .texts(sample.labels.pairs.map { ($0.name, $0.value) })),
                (
                    "ExternalLabels",
                    .texts(surroundings.externalLabels.map { ($0.name, $0.value) })
                ),
                ("ExternalURL", .string(surroundings.externalURL)),
                ("Value", TemplateValue(sample.value)),
            ])
        functions = AlertTemplateFunctions(
            externalURL: surroundings.externalURL, nanos: nanos, querying: querying)
    }

    /// The text; where it fails, `<error expanding template: …>` with the reason.
    ///
    /// - Parameter report: told the reason.
    package func expand(
        _ text: String, alert: String, report: (String) -> Void = { _ in }
    ) -> String {
        // Most labels are plain words.
        guard text.utf8.contains(UInt8(ascii: "{")) else { return text }
        let reason: String
        let name = "__alert_" + alert
        do throws(TemplateError) {
            let template = try Template(
                Self.definitions + text, name: name, library: AlertTemplateFunctions.library)
            do throws(TemplateError) {
                return try template.expand(root, functions)
            } catch { reason = "error executing template \(name): \(error)" }
        } catch { reason = "error parsing template \(name): \(error)" }
        report(reason)
        return "<error expanding template: \(reason)>"
    }

    /// Why a text is no template, or nil.
    static func fault(of text: String, alert: String) -> String? {
        do throws(TemplateError) {
            _ = try Template(
                definitions + text, name: "__alert_" + alert,
                library: AlertTemplateFunctions.library)
            return nil
        } catch { return error.description }
    }
}

extension TemplateValue {
    init(_ value: SampleValue) {
        switch value {
        case .float(let number): self = .float(number)
        case .histogram(let histogram):
            self = .opaque(type: "*histogram.FloatHistogram", text: histogram.text)
        }
    }
}
