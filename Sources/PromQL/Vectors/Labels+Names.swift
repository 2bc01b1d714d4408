// SPDX-License-Identifier: Apache-2.0
// Label sets with other names.

import Base
import Telemetry

extension Labels {
    static let metricName = "__name__"

    /// Labels that describe the metric itself; a computed series is another metric.
    private static let metadata = LabelNameSet(leavingOut: ["__name__", "__type__", "__unit__"])

    /// The set without the metric's name, type and unit.
    package var withoutName: Labels { Labels.metadata.apply(self) }

    /// The set without the named labels. Whoever asks for many series makes a `LabelNameSet`.
    package func without(_ names: [String]) -> Labels {
        LabelNameSet(leavingOut: names).apply(self)
    }

    /// The set of only the named labels.
    package func keeping(_ names: [String]) -> Labels {
        LabelNameSet(keeping: names).apply(self)
    }

    /// The set with a label set, or removed when the value is empty.
    package func setting(_ name: String, _ value: String) -> Labels {
        var builder = LabelsBuilder(self)
        builder.set(name, value)
        return builder.labels()
    }
}
