// SPDX-License-Identifier: Apache-2.0
// Labels that the way in adds.

import Base
import Telemetry

extension MetricBatch {
    /// The batch with labels set on every series, replacing those of the same name; an empty value
    /// takes the label away. O(bytes of labels).
    package func setting(_ extra: [(name: String, value: String)]) -> MetricBatch {
        if extra.isEmpty { return self }
        let added = extra.map { (name: Array($0.name.utf8), value: Array($0.value.utf8)) }
        var result = self
        var buffer = LabelSetBuffer()
        for (index, ref) in series.enumerated() {
            buffer.reset()
            arena.withSlice(ref.slice) { labels in
                forEachLabel(in: labels) { name, value in
                    if !added.contains(where: { $0.name.elementsEqual(name) }) {
                        buffer.append(name, value)
                    }
                }
            }
            for label in added {
                label.name.withUnsafeBytes { name in
                    label.value.withUnsafeBytes { buffer.append(name, $0) }
                }
            }
            _ = buffer.seal()
            result.series[index] = buffer.keep(in: &result.arena)
        }
        return result
    }
}
