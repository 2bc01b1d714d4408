// SPDX-License-Identifier: Apache-2.0
// Instances that are short of something.

import Glibc
import Telemetry

/// Finds series of resources whose level in the window lies far outside of their past.
///
/// Robust against single points: the past counts by median, spread and extremes, the window by its
/// upper median. Source of the idea: BARO (arXiv 2405.09330): median and interquartile range find
/// what changed without training.
struct ResourceSignals {
    private static let floor = 0.1
    /// Fewest points of the past.
    private static let leastHistory = 3

    private struct Key: Hashable {
        var service: Int32
        var resource: Resource
    }

    static func findings(_ observations: Observations) -> [Finding] {
        var found: [Finding] = []
        // Where one series says how much there is, those that only say how much is used add nothing.
        var isBounded: Set<Key> = []
        for series in observations.series where series.capacity != nil {
            isBounded.insert(Key(service: series.service, resource: series.resource))
        }
        for (number, series) in observations.series.enumerated() {
            let key = Key(service: series.service, resource: series.resource)
            if series.capacity == nil, isBounded.contains(key) { continue }
            let strength = strength(series)
            if strength >= floor {
                found.append(
                    Finding(
                        service: series.service, operation: nil, kind: .resource(series: number),
                        strength: strength, certainty: strength))
            }
        }
        // What many services show at once has a reason outside of each of them.
        var sharing: [String: Set<Int32>] = [:]
        for finding in found {
            sharing[name(finding, observations), default: []].insert(finding.service)
        }
        return found.map { finding in
            var finding = finding
            let others = (sharing[name(finding, observations)]?.count ?? 1) - 1
            finding.scale(by: 1 / (1 + 0.5 * Double(others)))
            return finding
        }
    }

    private static func name(_ finding: Finding, _ observations: Observations) -> String {
        guard case .resource(let number) = finding.kind else { return "" }
        return observations.series[number].labels["__name__"] ?? ""
    }

    /// Upper median of all points, or of the second half of them: the window may begin too early.
    static func level(_ window: [Double]) -> Double {
        let all = window.sorted(), late = window.suffix((window.count + 1) / 2).sorted()
        guard !all.isEmpty else { return 0 }
        return max(all[all.count / 2], late[late.count / 2])
    }

    static func strength(_ series: ResourceSeries) -> Double {
        let past = series.history.sorted()
        guard past.count >= leastHistory, let most = past.last, !series.window.isEmpty else {
            return 0
        }
        let level = level(series.window)
        let usual = quantile(past, 0.5)
        let spread = (quantile(past, 0.75) - quantile(past, 0.25)) / 1.349
        guard level > most else { return 0 }
        let noise = spread + 0.1 * abs(usual) + 1e-9
        let distance = (level - usual) / noise
        // Three noises are nothing, ten are plain.
        let sure = min(1, max(0, (distance - 3) / 7))
        var size: Double
        if let capacity = series.capacity {
            // How much of what was free is taken, and how near the end it is.
            let taken = (level - usual) / max(capacity - usual, 1e-9)
            let full = level / capacity
            size = min(1, max(0, taken)) * min(1, full / 0.8)
        } else {
            // A tenfold use is as good as full.
            size = usual > 0 ? min(1, max(0, log10(level / usual))) * 0.6 : 0.3
        }
        switch series.resource {
        case .cpu: break
        case .memory: size *= 0.9
        case .disk: size *= 0.7
        // Traffic comes and goes.
        case .network, .dependency: size *= 0.3
        }
        if series.isShared { size *= 0.4 }
        return sure * size
    }
}
