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

    private func regression(_ window: RangeWindow, origin: Int64) -> Line {
        window.samples.floatMillis[window.floats].withUnsafeBufferPointer { millis in
            window.samples.floats[window.floats].withUnsafeBufferPointer { values in
                Line(millis: millis, values: values, origin: origin)
            }
        }
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

/// The line through samples by least squares. Source: prometheus/prometheus `promql/functions.go`,
/// `linearRegression`.
struct Line {
    /// Per second.
    let slope: Double
    /// At the origin.
    let intercept: Double

    /// - Parameters:
    ///   - millis: times of at least two samples, as many as `values`.
    ///   - origin: time that x counts from, milliseconds.
    init(
        millis: UnsafeBufferPointer<Int64>, values: UnsafeBufferPointer<Double>, origin: Int64
    ) {
        let n = Double(values.count)
        let first = values[0]
        var isConstant = true
        // Sums of x, y, x·y and x², each compensated as `compensatedAdd` does it.
        var sums = SIMD4<Double>.zero, rests = SIMD4<Double>.zero
        for i in 0..<values.count {
            let x = Double(millis[i] &- origin) / 1000
            let y = values[i]
            isConstant = isConstant && y == first
            let terms = SIMD4(x, y, x * y, x * x)
            let totals = sums + terms
            let added = totals - sums
            let lost = (sums - (totals - added)) + (terms - added)
            rests = (rests + lost).replacing(with: 0, where: Line.isInfinite(totals))
            sums = totals
        }
        if isConstant {
            self.init(
                slope: first.isInfinite ? .nan : 0, intercept: first.isInfinite ? .nan : first)
            return
        }
        sums += rests
        self.init(x: sums[0], y: sums[1], xy: sums[2], squares: sums[3], count: n)
    }

    private init(slope: Double, intercept: Double) {
        self.slope = slope
        self.intercept = intercept
    }

    /// - Parameter squares: the sum of x².
    init(x: Double, y: Double, xy: Double, squares: Double, count n: Double) {
        slope = (xy - x * y / n) / (squares - x * x / n)
        intercept = y / n - slope * x / n
    }

    @inline(__always)
    private static func isInfinite(_ values: SIMD4<Double>) -> SIMDMask<SIMD4<Int64>> {
        (values .== .init(repeating: .infinity)) .| (values .== .init(repeating: -.infinity))
    }
}
