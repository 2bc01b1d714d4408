// SPDX-License-Identifier: Apache-2.0
// Functions over the samples of one window.

import Glibc

/// Unwrapped samples of one series, ascending by time.
struct WindowSamples {
    var nanos: [Int64] = []
    var values: [Double] = []
    private var isSorted = true

    mutating func append(_ time: Int64, _ value: Double) {
        if let last = nanos.last, time < last { isSorted = false }
        nanos.append(time)
        values.append(value)
    }

    /// Brings samples of several streams into one order; those of equal time keep theirs.
    mutating func sort() {
        guard !isSorted else { return }
        let order = nanos.indices.sorted { a, b in
            nanos[a] == nanos[b] ? a < b : nanos[a] < nanos[b]
        }
        nanos = order.map { nanos[$0] }
        values = order.map { values[$0] }
        isSorted = true
    }
}

extension RangeOperation {
    /// The function's value over a window that holds at least one sample.
    ///
    /// - Parameters:
    ///   - windowEnd: the evaluation time; the window reaches `range` back from it.
    func value(
        _ samples: WindowSamples, _ window: Range<Int>, windowEnd: Int64, range: Int64,
        parameter: Double
    ) -> Double {
        let values = samples.values[window]
        let seconds = Double(range) / 1e9
        switch self {
        case .sumOverTime: return values.reduce(0, +)
        case .rate: return values.reduce(0, +) / seconds
        case .avgOverTime: return values.reduce(0, +) / Double(values.count)
        case .maxOverTime: return values.reduce(.nan) { $1 > $0 || $0.isNaN ? $1 : $0 }
        case .minOverTime: return values.reduce(.nan) { $1 < $0 || $0.isNaN ? $1 : $0 }
        case .firstOverTime: return samples.values[window.lowerBound]
        case .lastOverTime: return samples.values[window.upperBound - 1]
        case .stdvarOverTime: return variance(values)
        case .stddevOverTime: return variance(values).squareRoot()
        case .quantileOverTime: return quantile(parameter, values)
        case .rateCounter:
            return counterRate(samples, window, windowEnd: windowEnd, range: range)
        case .countOverTime, .bytesRate, .bytesOverTime: return Double(values.count)
        case .absentOverTime: return 1
        }
    }
}

/// Population variance by Welford's recurrence.
func variance(_ values: some Sequence<Double>) -> Double {
    var count = 0.0, mean = 0.0, sum = 0.0
    for value in values {
        count += 1
        let delta = value - mean
        mean += delta / count
        sum += delta * (value - mean)
    }
    return count == 0 ? .nan : sum / count
}

/// Linear interpolation between ranked values; outside 0…1 an infinity.
func quantile(_ phi: Double, _ values: some Sequence<Double>) -> Double {
    // NaN ranks below everything.
    let sorted = values.sorted { $0.isNaN ? !$1.isNaN : $0 < $1 }
    if sorted.isEmpty || phi.isNaN { return .nan }
    if phi < 0 { return -.infinity }
    if phi > 1 { return .infinity }
    let rank = phi * Double(sorted.count - 1)
    let low = Int(rank.rounded(.down))
    let high = min(low + 1, sorted.count - 1)
    let weight = rank - rank.rounded(.down)
    return sorted[low] * (1 - weight) + sorted[high] * weight
}

/// Rate of a counter: resets count from zero, and the increase is extrapolated to the window's ends,
/// at most half a sampling interval where the ends are far and never below zero.
///
/// Source: prometheus/prometheus `promql/functions.go`, `extrapolatedRate`.
private func counterRate(
    _ samples: WindowSamples, _ window: Range<Int>, windowEnd: Int64, range: Int64
) -> Double {
    guard window.count >= 2 else { return 0 }
    let first = window.lowerBound, last = window.upperBound - 1
    var increase = samples.values[last] - samples.values[first]
    for i in first..<last where samples.values[i + 1] < samples.values[i] {
        increase += samples.values[i]
    }
    let sampled = Double(samples.nanos[last] &- samples.nanos[first]) / 1e9
    guard sampled > 0 else { return 0 }
    let average = sampled / Double(window.count - 1)
    let threshold = average * 1.1
    var toStart = Double(samples.nanos[first] &- (windowEnd &- range)) / 1e9
    var toEnd = Double(windowEnd &- samples.nanos[last]) / 1e9
    if toStart >= threshold { toStart = average / 2 }
    if increase > 0, samples.values[first] >= 0 {
        toStart = min(toStart, sampled * (samples.values[first] / increase))
    }
    if toEnd >= threshold { toEnd = average / 2 }
    return increase * ((sampled + toStart + toEnd) / sampled) / (Double(range) / 1e9)
}
