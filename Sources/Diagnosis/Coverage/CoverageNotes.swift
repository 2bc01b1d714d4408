// SPDX-License-Identifier: Apache-2.0
// What a diagnosis could not look at.

import Telemetry

/// Sentences about what was missing in the window.
struct CoverageNotes {
    /// Names in one sentence.
    private static let nameLimit = 5

    let observations: Observations

    init(_ observations: Observations) { self.observations = observations }

    var texts: [String] {
        var hasSpans: Set<Int32> = []
        for row in 0..<observations.spans.count
        where observations.spans.stretches[row] == .window {
            hasSpans.insert(observations.spans.services[row])
        }
        let past = observations.spans.stretches.contains { $0 != .window }
        var texts: [String] = []
        let lines = observations.lines
        if hasSpans.isEmpty { texts.append("no spans in the window") }
        if !hasSpans.isEmpty, !past { texts.append("no spans outside the window to compare with") }
        if lines.lineCounts.values.allSatisfy({ $0.window == 0 }) {
            texts.append("no log lines in the window")
        } else {
            let silent = hasSpans.filter { (lines.lineCounts[$0]?.window ?? 0) == 0 }
            note("no log lines of", silent, &texts)
            let untraced = hasSpans.filter {
                (lines.lineCounts[$0]?.window ?? 0) > 0
                    && (lines.tracedCounts[$0]?.window ?? 0) == 0
            }
            note("no log lines with trace ids of", untraced, &texts)
        }
        if observations.series.isEmpty {
            texts.append("no metrics of processors, memory, disks or networks in the window")
        } else {
            note(
                "no metrics of resources of",
                hasSpans.subtracting(observations.series.map(\.service)), &texts)
        }
        return texts
    }

    private func note(_ text: String, _ services: Set<Int32>, _ texts: inout [String]) {
        if services.isEmpty { return }
        let names = services.map { observations.services[$0] }.sorted()
        let shown = names.prefix(CoverageNotes.nameLimit).joined(separator: ", ")
        let rest = names.count - CoverageNotes.nameLimit
        texts.append("\(text) \(shown)" + (rest > 0 ? " and \(rest) more" : ""))
    }
}
