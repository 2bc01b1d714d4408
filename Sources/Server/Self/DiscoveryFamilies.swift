// SPDX-License-Identifier: Apache-2.0
// What discovery counts, as families of `/metrics`.

import Base
import Scrape

/// Shows all numbers of a discovery under upstream's names.
func collectDiscovery(_ discovery: Discovery, into metrics: SelfMetrics) {
    for family in DiscoveryFamily.allCases {
        metrics.declare(family.rawValue, family.isCounter ? .counter : .gauge, family.help)
        // Jobs, files and discoveries come and go.
        metrics.clear(family.rawValue)
    }
    for entry in discovery.environment.metrics.all {
        let labels = entry.labels.map { "\($0.name)=\"\(escaped($0.value))\"" }
        metrics.set(entry.family.rawValue, labels.joined(separator: ","), entry.value)
    }
}

private func escaped(_ text: String) -> String {
    text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
}
