// SPDX-License-Identifier: Apache-2.0
// The `…_over_time` functions.

import Glibc
import Telemetry

extension RangeCall {
    func sum(_ window: RangeWindow) -> SampleValue? {
        guard !window.isMixed else {
            warnMixedSamples()
            return nil
        }
        if !window.histograms.isEmpty { return folded(window, isAverage: false) }
        var total = 0.0, rest = 0.0
        for value in window.samples.floats[window.floats] {
            compensatedAdd(value, to: &total, &rest)
        }
        return .float(total.isInfinite ? total : total + rest)
    }

    func average(_ window: RangeWindow) -> SampleValue? {
        guard !window.isMixed else {
            warnMixedSamples()
            return nil
        }
        if !window.histograms.isEmpty { return folded(window, isAverage: true) }
        if !window.samples.floatCounts.isEmpty {
            // Sums of buckets, by the samples they are of.
            guard case .float(let total)? = sum(window) else { return nil }
            return .float(total / sampleCount(window))
        }
        return window.samples.floats[window.floats].withUnsafeBufferPointer {
            .float(FloatWindows.average($0))
        }
    }

    /// How many samples there were, before any down-sampling.
    func sampleCount(_ window: RangeWindow) -> Double {
        let counts = window.samples.floatCounts
        if counts.isEmpty { return Double(window.count) }
        return counts[window.floats].reduce(0, +) + Double(window.histograms.count)
    }

    private func folded(_ window: RangeWindow, isAverage: Bool) -> SampleValue? {
        let histograms = window.samples.histograms[window.histograms]
        guard let first = histograms.first else { return nil }
        let notes = FoldNotes(annotations, position, series)
        var fold = HistogramFold(first, isAverage: isAverage)
        for histogram in histograms.dropFirst() { fold.add(histogram, notes) }
        return fold.result(notes).map(SampleValue.histogram)
    }

    func first(_ window: RangeWindow) -> SampleValue {
        let samples = window.samples
        let float = window.floats.lowerBound, histogram = window.histograms.lowerBound
        if window.histograms.isEmpty { return .float(samples.floats[float]) }
        if !window.floats.isEmpty,
            samples.floatMillis[float] < samples.histogramMillis[histogram]
        {
            return .float(samples.floats[float])
        }
        return .histogram(samples.histograms[histogram])
    }

    func last(_ window: RangeWindow) -> SampleValue {
        let samples = window.samples
        let float = window.floats.upperBound - 1, histogram = window.histograms.upperBound - 1
        if window.histograms.isEmpty { return .float(samples.floats[float]) }
        if !window.floats.isEmpty,
            samples.histogramMillis[histogram] < samples.floatMillis[float]
        {
            return .float(samples.floats[float])
        }
        return .histogram(samples.histograms[histogram])
    }

    func firstMillis(_ window: RangeWindow) -> Int64 {
        Swift.min(
            window.floats.first.map { window.samples.floatMillis[$0] } ?? .max,
            window.histograms.first.map { window.samples.histogramMillis[$0] } ?? .max)
    }

    func lastMillis(_ window: RangeWindow) -> Int64 {
        Swift.max(
            window.floats.last.map { window.samples.floatMillis[$0] } ?? 0,
            window.histograms.last.map { window.samples.histogramMillis[$0] } ?? 0)
    }

    /// `min`, `max` and the times of the extremes: the time is that of the last of equal extremes.
    func extreme(_ window: RangeWindow) -> SampleValue? {
        guard !window.floats.isEmpty else { return nil }
        if !window.histograms.isEmpty { noteIgnoredHistograms() }
        let samples = window.samples
        var best = samples.floats[window.floats.lowerBound]
        var bestMillis = samples.floatMillis[window.floats.lowerBound]
        for i in window.floats {
            let value = samples.floats[i]
            let isBetter =
                switch function {
                case .min: value < best
                case .max: value > best
                case .timeOfMin: value <= best
                default: value >= best
                }
            if isBetter || best.isNaN {
                best = value
                bestMillis = samples.floatMillis[i]
            }
        }
        return function == .min || function == .max
            ? .float(best) : .float(Double(bestMillis) / 1000)
    }

    func quantile(_ window: RangeWindow) -> SampleValue? {
        guard !window.floats.isEmpty else { return nil }
        let q = window.parameters.0
        if !(q >= 0 && q <= 1) {
            annotations.warn(MessageText.invalidQuantile(q), at: parameterPosition)
        }
        if !window.histograms.isEmpty {
            annotations.inform(MessageText.ignoredHistograms(metric), at: parameterPosition)
        }
        var values = Array(window.samples.floats[window.floats])
        return .float(interpolatedQuantile(q, of: &values))
    }

    func variance(_ window: RangeWindow) -> SampleValue? {
        guard !window.floats.isEmpty else { return nil }
        if !window.histograms.isEmpty { noteIgnoredHistograms() }
        var n = 0.0
        var mean = 0.0, meanRest = 0.0, squares = 0.0, squaresRest = 0.0
        for value in window.samples.floats[window.floats] {
            n += 1
            let delta = value - (mean + meanRest)
            compensatedAdd(delta / n, to: &mean, &meanRest)
            compensatedAdd(delta * (value - (mean + meanRest)), to: &squares, &squaresRest)
        }
        let variance = (squares + squaresRest) / n
        return .float(function == .stddev ? variance.squareRoot() : variance)
    }

    func medianDeviation(_ window: RangeWindow) -> SampleValue? {
        guard !window.floats.isEmpty else { return nil }
        if !window.histograms.isEmpty { noteIgnoredHistograms() }
        var values = Array(window.samples.floats[window.floats])
        if values.contains(where: \.isNaN) { return .float(.nan) }
        let median = interpolatedQuantile(0.5, of: &values)
        for i in values.indices { values[i] = (values[i] - median).magnitude }
        return .float(interpolatedQuantile(0.5, of: &values))
    }
}
