// SPDX-License-Identifier: Apache-2.0
// Rules and groups as a file states them.

import Base
import Telemetry

/// A label or annotation of a rule. The value of a label may be empty: it takes the label away.
package struct RuleText: Sendable, Hashable {
    package var name: String
    package var value: String
    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// Which language a group's expressions are in; only `promql` is Prometheus'.
package enum RuleLanguage: String, Sendable, CaseIterable {
    case promql, logql, traceql
}

/// One rule, as written.
package struct RuleDefinition: Sendable, Equatable {
    /// Name of the series a recording rule writes, or empty.
    package var record = ""
    /// Name of an alert, or empty.
    package var alert = ""
    package var expression = ""
    package var holdMillis: Int64 = 0
    package var keepFiringMillis: Int64 = 0
    /// Ascending by name.
    package var labels: [RuleText] = []
    /// Ascending by name.
    package var annotations: [RuleText] = []

    package init() {}

    package var isAlert: Bool { !alert.isEmpty }
    package var name: String { isAlert ? alert : record }
}

/// One group, with the global settings filled in.
package struct RuleGroupDefinition: Sendable, Equatable {
    package var name: String
    /// Path of the file it comes from.
    package var file: String
    package var intervalMillis: Int64 = 60_000
    /// Most series or alerts of a rule; 0 = any number.
    package var limit = 0
    /// How far before its evaluation time a rule looks and writes.
    package var queryOffsetMillis: Int64 = 0
    package var language = RuleLanguage.promql
    /// Of a group that came over an API: what the API calls its file.
    package var namespace: String?
    /// Labels of every rule that does not set them itself; ascending by name.
    package var labels: [RuleText] = []
    /// Whose data the rules read and write.
    package var tenant = Tenant.anonymous
    package var rules: [RuleDefinition] = []

    package init(name: String, file: String) {
        self.name = name
        self.file = file
    }

    /// What APIs show as the file.
    package var shownFile: String { namespace ?? file }

    /// Names the group among all files. Source: prometheus/prometheus `rules`, `GroupKey`.
    package var key: String { file + ";" + name }

    /// The labels of a rule with those of the group that it does not set.
    package func labels(of rule: RuleDefinition) -> [RuleText] {
        let own = Set(rule.labels.map(\.name))
        return (labels.filter { !own.contains($0.name) } + rule.labels)
            .sorted { $0.name < $1.name }
    }
}
