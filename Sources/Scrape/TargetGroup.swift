// SPDX-License-Identifier: Apache-2.0
// What discovery delivers.

import Telemetry

/// Targets that share labels.
package struct TargetGroup: Hashable, Sendable {
    /// Which part of its discovery the group is: a newer group of the same source replaces it.
    package var source: String
    /// Labels of each target, `__address__` among them; they win over the group's.
    package var targets: [[NamedText]]
    package var labels: [NamedText]

    package init(source: String, targets: [[NamedText]], labels: [NamedText] = []) {
        self.source = source
        self.targets = targets
        self.labels = labels
    }

    /// - Parameter targets: `host:port` addresses.
    package init(targets: [String], labels: [NamedText] = [], source: String = "") {
        self.init(
            source: source, targets: targets.map { [NamedText("__address__", $0)] }, labels: labels)
    }
}
