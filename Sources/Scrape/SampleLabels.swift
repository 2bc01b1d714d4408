// SPDX-License-Identifier: Apache-2.0
// From the labels a target exposes to the labels of the stored series.

import Base
import Ingest
import Telemetry

/// Joins a target's labels to those of its samples and applies the job's rules. Runs once per new
/// series, not per sample.
///
/// Source: prometheus/prometheus `scrape/scrape.go`, `mutateSampleLabels`, `verifyLabelLimits`.
struct SampleLabels: Sendable {
    let target: Labels
    let honorLabels: Bool
    let rules: [RelabelRule]
    let labelLimit: Int
    let nameLengthLimit: Int
    let valueLengthLimit: Int

    init(_ configuration: ScrapeConfiguration, _ target: Target) {
        self.target = target.labels
        honorLabels = configuration.honorLabels
        rules = configuration.metricRelabelRules
        labelLimit = configuration.labelLimit
        nameLengthLimit = configuration.labelNameLengthLimit
        valueLengthLimit = configuration.labelValueLengthLimit
    }

    /// Labels of the stored series; nil when the rules drop it.
    ///
    /// - Parameter empty: names of labels that the target states without a value; with
    ///   `honor_labels` they keep the target's label away.
    func stored(_ exposed: Labels, empty: [String]) -> Labels? {
        var builder = LabelsBuilder(exposed)
        var conflicts: [NamedText] = []
        for (name, value) in target.pairs {
            let existing = exposed[name]
            if honorLabels {
                if existing == nil, !empty.contains(name) { builder.set(name, value) }
                continue
            }
            if let existing { conflicts.append(NamedText(name, existing)) }
            builder.set(name, value)
        }
        // Shorter names first, so that `a` and `exported_a` do not take each other's place.
        for conflict in conflicts.sorted(by: {
            ($0.name.utf8.count, $0.name) < ($1.name.utf8.count, $1.name)
        }) {
            var name = "exported_" + conflict.name
            while builder[name]?.isEmpty == false { name = "exported_" + name }
            builder.set(name, conflict.value)
        }
        return relabel(builder.labels(), rules)
    }

    /// Why the limits forbid a series, or nil.
    func violation(_ labels: Labels) -> String? {
        guard labelLimit > 0 || nameLengthLimit > 0 || valueLengthLimit > 0 else { return nil }
        let metric = (labels["__name__"] ?? "").prefix(50)
        if labelLimit > 0, labels.count > labelLimit {
            return "label_limit exceeded (metric: \(metric), number of labels: \(labels.count), "
                + "limit: \(labelLimit))"
        }
        for (name, value) in labels.pairs {
            let nameLength = name.utf8.count
            if nameLengthLimit > 0, nameLength > nameLengthLimit {
                return "label_name_length_limit exceeded (metric: \(metric), label name: "
                    + "\(name.prefix(50)), length: \(nameLength), limit: \(nameLengthLimit))"
            }
            let valueLength = value.utf8.count
            if valueLengthLimit > 0, valueLength > valueLengthLimit {
                return "label_value_length_limit exceeded (metric: \(metric), label name: "
                    + "\(name.prefix(50)), value: \(quoted(String(value.prefix(50)))), length: "
                    + "\(valueLength), limit: \(valueLengthLimit))"
            }
        }
        return nil
    }
}
