// SPDX-License-Identifier: Apache-2.0
// The service a stream belongs to.

import Base
import Telemetry

/// Finds the label `service_name` of a stream that has none, as Loki does.
package enum ServiceName {
    package static let label: StaticString = "service_name"
    /// Value for a stream that names no service in any way.
    package static let unknown: StaticString = "unknown_service"

    private static let aggregated: StaticString = "__aggregated_metric__"

    /// Labels that name a service, best first. Source: grafana/loki `discover_service_name`.
    package static let defaultSourceNames = [
        "service", "app", "application", "app_name", "name", "app_kubernetes_io_name", "container",
        "container_name", "k8s_container_name", "component", "workload", "job", "k8s_job_name",
    ]

    package static let defaultSources = defaultSourceNames.map { SharedBytes(Array($0.utf8)) }

    /// Value that `service_name` should get, or nil when the stream has one or wants none
    /// (streams of aggregated metrics).
    ///
    /// - Parameter sources: labels that name a service, best first.
    package static func discover(
        _ labels: UnsafeRawBufferPointer, sources: [SharedBytes] = defaultSources
    ) -> UnsafeRawBufferPointer? {
        var isSettled = false
        forEachLabel(in: labels) { name, _ in
            if equalBytes(name, label.bytes) || equalBytes(name, aggregated.bytes) {
                isSettled = true
            }
        }
        // The usual case, which the look at each source would cost more than.
        if isSettled { return nil }
        var best = sources.count
        var found = unknown.bytes
        forEachLabel(in: labels) { name, value in
            if let rank = sources[..<best].firstIndex(where: { equalBytes(name, $0.buffer) }) {
                best = rank
                found = value
            }
        }
        return found
    }

    /// Adds `service_name` to labels being collected, unless they have it.
    static func addIfMissing(to labels: inout LabelsBuilder) {
        var canonical: [UInt8] = []
        labels.encode(into: &canonical)
        canonical.withUnsafeBytes { bytes in
            if let value = discover(bytes) { labels.set(label.bytes, value) }
        }
    }
}
