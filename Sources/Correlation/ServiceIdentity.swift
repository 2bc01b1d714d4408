// SPDX-License-Identifier: Apache-2.0
// Which service a label set belongs to.

import Telemetry

/// How a name of a service was found: `alias` is the text as it was sent, `source` the signal,
/// `rule` the label or attribute that held it.
package struct ServiceAlias: Sendable, Hashable, Comparable {
    package var alias: String
    package var source: String
    package var rule: String

    package init(alias: String, source: String, rule: String) {
        self.alias = alias
        self.source = source
        self.rule = rule
    }

    package static func < (a: ServiceAlias, b: ServiceAlias) -> Bool {
        (a.alias, a.source, a.rule) < (b.alias, b.source, b.rule)
    }
}

/// The service of a label set, with what led to it.
struct ServiceIdentity {
    /// In order of precedence. `job` is `namespace/name` or `name`. Source: OpenTelemetry's
    /// Prometheus compatibility specification, "Resource Attributes".
    static let nameLabels = [
        "service_name", "service", "app", "application", "app_kubernetes_io_name", "job",
        "container", "container_name",
    ]
    /// The service of spans without `service.name`, as OpenTelemetry's resource conventions say.
    static let unknown = "unknown_service"

    var name: String
    var namespace: String?
    var alias: String
    var rule: String

    /// Nil when no label names a service. O(labels).
    init?(_ labels: Labels) {
        for label in ServiceIdentity.nameLabels {
            guard let value = labels[label] else { continue }
            name = value
            alias = value
            rule = label
            namespace = labels["service_namespace"] ?? labels["namespace"]
            if label == "job", let slash = value.firstIndex(of: "/") {
                let rest = value[value.index(after: slash)...]
                if !rest.isEmpty {
                    name = String(rest)
                    if slash > value.startIndex { namespace = String(value[..<slash]) }
                }
            }
            return
        }
        return nil
    }
}
