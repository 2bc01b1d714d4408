// SPDX-License-Identifier: Apache-2.0
// Functions over ranges of the naive evaluator.

import Telemetry

@testable import PromQL

extension NaiveEvaluator {
    /// The value of a function over one window, nil when it has none.
    func overRange(
        _ name: String, _ window: Window, _ parameter: Double?, at t: Int64
    )
        -> NaiveValue?
    {
        let floats = window.floats, histograms = window.histograms
        switch name {
        case "count_over_time":
            return window.samples.isEmpty ? nil : .float(Double(window.samples.count))
        case "present_over_time": return window.samples.isEmpty ? nil : .float(1)
        case "last_over_time": return window.samples.last?.value
        case "first_over_time": return window.samples.first?.value
        case "rate", "increase", "delta": return extrapolated(name, window)
        case "irate", "idelta": return instantly(name, window)
        case "sum_over_time", "avg_over_time":
            guard !histograms.isEmpty else {
                if floats.isEmpty { return nil }
                let sum = CompensatedSum.of(floats)
                return .float(name == "sum_over_time" ? sum : sum / Double(floats.count))
            }
            guard floats.isEmpty, let sum = NaiveEvaluator.sum(histograms) else { return nil }
            let n = Double(histograms.count)
            return .histogram(name == "sum_over_time" ? sum : sum.scaled { $0 / n })
        case "changes": return changes(window)
        case "resets": return resets(window)
        default: break
        }
        guard let first = floats.first else { return nil }
        switch name {
        case "min_over_time", "max_over_time":
            let numbers = floats.filter { !$0.isNaN }
            return .float((name == "min_over_time" ? numbers.min() : numbers.max()) ?? .nan)
        case "stddev_over_time": return .float(NaiveEvaluator.variance(floats).squareRoot())
        case "stdvar_over_time": return .float(NaiveEvaluator.variance(floats))
        case "quantile_over_time":
            return .float(NaiveEvaluator.quantile(parameter ?? .nan, floats))
        case "mad_over_time":
            if floats.contains(where: \.isNaN) { return .float(.nan) }
            let middle = NaiveEvaluator.quantile(0.5, floats)
            return .float(NaiveEvaluator.quantile(0.5, floats.map { ($0 - middle).magnitude }))
        case "deriv", "predict_linear":
            if floats.count < 2 { return nil }
            let times = window.samples.filter { $0.value.float != nil }.map(\.millis)
            // Seconds from the point where the line is wanted.
            let zero = name == "deriv" ? times[0] : t
            let (slope, height) = line(times.map { Double($0 - zero) / 1000 }, floats, first)
            return .float(name == "deriv" ? slope : slope * (parameter ?? 0) + height)
        default: return nil
        }
    }

    /// Least squares; a constant is its own line.
    private func line(
        _ x: [Double], _ y: [Double], _ first: Double
    ) -> (slope: Double, height: Double) {
        if y.allSatisfy({ $0 == first }) {
            return first.isInfinite ? (.nan, .nan) : (0, first)
        }
        let n = Double(x.count)
        let meanX = CompensatedSum.of(x) / n, meanY = CompensatedSum.of(y) / n
        let covariance = CompensatedSum.of(zip(x, y).map { ($0 - meanX) * ($1 - meanY) })
        let slope = covariance / CompensatedSum.of(x.map { ($0 - meanX) * ($0 - meanX) })
        return (slope, meanY - slope * meanX)
    }

    private func changes(_ window: Window) -> NaiveValue? {
        guard !window.samples.isEmpty else { return nil }
        var count = 0.0
        for (a, b) in zip(window.samples, window.samples.dropFirst()) {
            switch (a.value, b.value) {
            case (.float(let a), .float(let b)): if a != b, !(a.isNaN && b.isNaN) { count += 1 }
            case (.histogram(let a), .histogram(let b)): if a != b { count += 1 }
            default: count += 1
            }
        }
        return .float(count)
    }

    private func resets(_ window: Window) -> NaiveValue? {
        guard !window.samples.isEmpty else { return nil }
        var count = 0.0
        for (a, b) in zip(window.samples, window.samples.dropFirst()) {
            switch (a.value, b.value) {
            case (.float(let a), .float(let b)): if b < a { count += 1 }
            case (.histogram(let a), .histogram(let b)): if b.isReset(after: a) { count += 1 }
            default: count += 1
            }
        }
        return .float(count)
    }

    private func instantly(_ name: String, _ window: Window) -> NaiveValue? {
        guard window.samples.count > 1, let last = window.samples.last else { return nil }
        let before = window.samples[window.samples.count - 2]
        let isRate = name == "irate"
        let seconds = Double(last.millis - before.millis) / 1000
        switch (before.value, last.value) {
        case (.float(let a), .float(let b)):
            let change = isRate && b < a ? b : b - a
            return .float(isRate ? change / seconds : change)
        case (.histogram(let a), .histogram(let b)):
            let change = isRate && b.isReset(after: a) ? b : b.combined(a, sign: -1)
            return change.map { .histogram(isRate ? $0.scaled { $0 / seconds } : $0) }
        default: return nil
        }
    }

    /// Last minus first with what resets took away, extended to the ends of the range.
    private func extrapolated(_ name: String, _ window: Window) -> NaiveValue? {
        let isCounter = name != "delta"
        let floats = window.floats, histograms = window.histograms
        guard floats.isEmpty || histograms.isEmpty, window.samples.count > 1,
            let first = window.samples.first, let last = window.samples.last
        else { return nil }
        let sampled = Double(last.millis - first.millis) / 1000
        let between = sampled / Double(window.samples.count - 1)
        var toStart = Double(first.millis - window.start) / 1000
        var toEnd = Double(window.end - last.millis) / 1000
        if toStart >= between * 1.1 { toStart = between / 2 }
        if toEnd >= between * 1.1 { toEnd = between / 2 }
        let seconds = Double(window.end - window.start) / 1000

        func factor(_ growth: Double, _ start: Double) -> Double {
            var toStart = toStart
            if isCounter, growth > 0, start >= 0 {
                toStart = min(toStart, sampled * (start / growth))
            }
            let factor = (sampled + toStart + toEnd) / sampled
            return name == "rate" ? factor / seconds : factor
        }
        if histograms.isEmpty {
            var growth = floats[floats.count - 1] - floats[0]
            if isCounter {
                for (a, b) in zip(floats, floats.dropFirst()) where b < a { growth += a }
            }
            return .float(growth * factor(growth, floats[0]))
        }
        guard let growth = histogramGrowth(histograms, isCounter: isCounter) else { return nil }
        let multiple = factor(growth.count, histograms[0].count)
        return .histogram(growth.scaled { $0 * multiple })
    }

    private func histogramGrowth(
        _ histograms: [NaiveHistogram], isCounter: Bool
    ) -> NaiveHistogram? {
        var sum: NaiveHistogram? = histograms[histograms.count - 1]
        guard isCounter else { return sum?.combined(histograms[0], sign: -1) }
        // A first sample from before a reset does not count at all, its resolution neither.
        let isFirstLost = histograms[1].isReset(after: histograms[0])
        let schema = histograms.dropFirst(isFirstLost ? 1 : 0).map(\.schema).min() ?? 0
        if sum?.isCustom == false { sum = sum?.coarsened(to: schema) }
        if !isFirstLost { sum = sum?.combined(histograms[0], sign: -1) }
        for i in 1..<histograms.count where histograms[i].isReset(after: histograms[i - 1]) {
            if i == 1 { continue }
            sum = sum?.combined(histograms[i - 1], sign: 1)
        }
        return sum
    }
}
