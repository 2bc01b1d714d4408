// SPDX-License-Identifier: Apache-2.0
// `irate` and `idelta`.

import Telemetry

/// Source: prometheus/prometheus `promql/functions.go`, `instantValue`.
extension RangeCall {
    private struct Point {
        var millis: Int64
        var value: SampleValue
        var start: Int64
    }

    func instantRate(_ window: RangeWindow, isRate: Bool) -> SampleValue? {
        guard window.count >= 2 else { return nil }
        let points = lastTwo(window)
        let seconds = Double(points.1.millis &- points.0.millis) / 1000
        if seconds == 0 { return nil }
        let resetByStart =
            usesStartTimestamps
            && isResetByStart(
                previousStart: points.0.start, previousMillis: points.0.millis,
                start: points.1.start, millis: points.1.millis)
        switch (points.0.value, points.1.value) {
        case (.float(let a), .float(let b)):
            let difference = isRate && (b < a || resetByStart) ? b : b - a
            return .float(isRate ? difference / seconds : difference)
        case (.histogram(let a), .histogram(let b)):
            return instantHistogram(a, b, seconds, isRate, resetByStart)
        default:
            annotations.warn(MessageText.mixedSamples(metric), at: argumentsPosition)
            return nil
        }
    }

    private func instantHistogram(
        _ a: NativeHistogram, _ b: NativeHistogram, _ seconds: Double, _ isRate: Bool,
        _ resetByStart: Bool
    ) -> SampleValue? {
        if isRate, a.counterReset == .gauge || b.counterReset == .gauge {
            annotations.warn(MessageText.notCounter(metric), at: argumentsPosition)
        }
        if !isRate, a.counterReset != .gauge || b.counterReset != .gauge {
            annotations.warn(MessageText.notGauge(metric), at: argumentsPosition)
        }
        var result = b
        if !isRate || !resetByStart && !b.isReset(after: a) {
            do throws(IncompatibleHistograms) {
                if try result.subtract(a).reconciledBounds {
                    annotations.inform(
                        MessageText.reconciled("subtraction"), at: argumentsPosition)
                }
            } catch {
                annotations.warn(MessageText.mixedSchemas(metric), at: argumentsPosition)
                return nil
            }
        }
        result.counterReset = .gauge
        result = result.compacted()
        return .histogram(isRate ? result.divided(by: seconds) : result)
    }

    /// The last two samples of either type.
    private func lastTwo(_ window: RangeWindow) -> (Point, Point) {
        var points: [Point] = []
        for i in window.floats.suffix(2) {
            points.append(
                Point(
                    millis: window.samples.floatMillis[i],
                    value: .float(window.samples.floats[i]), start: window.floatStart(i)))
        }
        for i in window.histograms.suffix(2) {
            points.append(
                Point(
                    millis: window.samples.histogramMillis[i],
                    value: .histogram(window.samples.histograms[i]),
                    start: window.histogramStart(i)))
        }
        points.sort { $0.millis < $1.millis }
        return (points[points.count - 2], points[points.count - 1])
    }
}
