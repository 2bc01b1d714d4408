// SPDX-License-Identifier: Apache-2.0
// `deriv`, `predict_linear` and `double_exponential_smoothing`.

import Base

extension RangeCall {
    func derivative(_ window: RangeWindow) -> SampleValue? {
        guard hasTwoFloats(window) else { return nil }
        let origin = window.samples.floatMillis[window.floats.lowerBound]
        return .float(regression(window, origin: origin).slope)
    }

    func prediction(_ window: RangeWindow) -> SampleValue? {
        guard hasTwoFloats(window) else { return nil }
        let line = regression(window, origin: window.evaluation)
        return .float(line.slope * window.parameters.0 + line.intercept)
    }

    /// Notes histograms that are left out.
    private func hasTwoFloats(_ window: RangeWindow) -> Bool {
        if !window.floats.isEmpty, !window.histograms.isEmpty { noteIgnoredHistograms() }
        return window.floats.count >= 2
    }

    /// Least squares. Source: prometheus/prometheus `promql/functions.go`, `linearRegression`.
    private func regression(
        _ window: RangeWindow, origin: Int64
    ) -> (slope: Double, intercept: Double) {
        let samples = window.samples
        let n = Double(window.floats.count)
        let first = samples.floats[window.floats.lowerBound]
        var isConstant = true
        var sumX = 0.0, restX = 0.0, sumY = 0.0, restY = 0.0
        var sumXY = 0.0, restXY = 0.0, sumX2 = 0.0, restX2 = 0.0
        for i in window.floats {
            let x = Double(samples.floatMillis[i] &- origin) / 1000
            let y = samples.floats[i]
            if y != first { isConstant = false }
            compensatedAdd(x, to: &sumX, &restX)
            compensatedAdd(y, to: &sumY, &restY)
            compensatedAdd(x * y, to: &sumXY, &restXY)
            compensatedAdd(x * x, to: &sumX2, &restX2)
        }
        if isConstant {
            return first.isInfinite ? (.nan, .nan) : (0, first)
        }
        sumX += restX
        sumY += restY
        sumXY += restXY
        sumX2 += restX2
        let covariance = sumXY - sumX * sumY / n
        let variance = sumX2 - sumX * sumX / n
        let slope = covariance / variance
        return (slope, sumY / n - slope * sumX / n)
    }

    /// Holt's linear trend. Source: prometheus/prometheus `funcDoubleExponentialSmoothing`.
    func smoothed(_ window: RangeWindow) throws(QueryError) -> SampleValue? {
        let (smoothing, trend) = window.parameters
        if !(smoothing > 0 && smoothing < 1) {
            throw QueryError(
                "invalid smoothing factor. Expected: 0 < sf < 1, got: "
                    + fixedText(smoothing, decimals: 6))
        }
        if !(trend > 0 && trend < 1) {
            throw QueryError(
                "invalid trend factor. Expected: 0 < tf < 1, got: "
                    + fixedText(trend, decimals: 6))
        }
        guard hasTwoFloats(window) else { return nil }
        let values = window.samples.floats[window.floats]
        var iterator = values.makeIterator()
        guard let first = iterator.next(), let second = iterator.next() else { return nil }
        var before = 0.0
        var level = first
        var slope = second - first
        for (index, value) in values.dropFirst().enumerated() {
            if index > 0 { slope = trend * (level - before) + (1 - trend) * slope }
            let next = smoothing * value + (1 - smoothing) * (level + slope)
            before = level
            level = next
        }
        return .float(level)
    }
}
