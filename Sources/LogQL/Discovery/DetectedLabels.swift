// SPDX-License-Identifier: Apache-2.0
// Which labels streams have that are worth choosing from.

import Base
import Telemetry

/// A label of streams with the number of its values.
package struct DetectedLabel: Sendable, Equatable {
    package var label: String
    package var cardinality: Int
}

extension LogQLEngine {
    /// Labels of the streams of a request, ascending by name. Labels whose values are all numbers or
    /// UUIDs are left out, since nobody chooses by them, but for those that say where a stream is
    /// from.
    ///
    /// Source: grafana/loki `docs/sources/reference/loki-http-api.md`, "Query detected labels".
    package func detectedLabels(
        _ request: LogRequest, _ context: ReadContext
    ) throws -> [DetectedLabel] {
        var found: [DetectedLabel] = []
        for name in try reader.labelNames(request, context) {
            let values = try reader.labelValues(name, request, context)
            let isChosenBy =
                LogQLEngine.placeLabels.contains(name)
                || !values.allSatisfy { LogQLEngine.isNumberOrUUID($0) }
            if !values.isEmpty, isChosenBy {
                found.append(DetectedLabel(label: name, cardinality: values.count))
            }
        }
        return found
    }

    private static let placeLabels: Set = ["cluster", "namespace", "instance", "pod"]

    private static func isNumberOrUUID(_ text: String) -> Bool {
        // Flags are chosen by.
        if text == "0" || text == "1" { return false }
        if parseFloat(text) != nil { return true }
        let groups = text.split(separator: "-", omittingEmptySubsequences: false)
        return groups.map(\.utf8.count) == [8, 4, 4, 4, 12]
            && groups.allSatisfy { $0.allSatisfy(\.isHexDigit) }
    }
}
