// SPDX-License-Identifier: Apache-2.0
// `changes` and `resets`.

import Telemetry

extension RangeCall {
    func changes(_ window: RangeWindow) -> SampleValue? {
        count(window) { previous, current in
            switch (previous.value, current.value) {
            case (.float(let a), .float(let b)): a != b && !(a.isNaN && b.isNaN)
            case (.histogram(let a), .histogram(let b)): !b.isEqual(to: a)
            default: true
            }
        }
    }

    func resets(_ window: RangeWindow) -> SampleValue? {
        count(window) { previous, current in
            let isResetByStart =
                usesStartTimestamps
                && isResetByStart(
                    previousStart: previous.start, previousMillis: previous.millis,
                    start: current.start, millis: current.millis)
            return switch (previous.value, current.value) {
            case (.float(let a), .float(let b)): b < a || isResetByStart
            case (.histogram(let a), .histogram(let b)):
                isResetByStart || b.isReset(after: a)
            default: true
            }
        }
    }

    private struct Point {
        var millis: Int64
        var value: SampleValue
        var start: Int64
    }

    /// Counts the neighbours for which the condition holds, floats and histograms in order of time.
    private func count(
        _ window: RangeWindow, where holds: (Point, Point) -> Bool
    ) -> SampleValue? {
        guard let begin = firstIndexes(window) else { return nil }
        let samples = window.samples
        var float = begin.float, histogram = begin.histogram
        var total = 0.0
        var previous: Point?
        while float < window.floats.upperBound || histogram < window.histograms.upperBound {
            let point: Point
            if histogram >= window.histograms.upperBound
                || float < window.floats.upperBound
                    && samples.floatMillis[float] < samples.histogramMillis[histogram]
            {
                point = Point(
                    millis: samples.floatMillis[float], value: .float(samples.floats[float]),
                    start: window.floatStart(float))
                float += 1
            } else {
                point = Point(
                    millis: samples.histogramMillis[histogram],
                    value: .histogram(samples.histograms[histogram]),
                    start: window.histogramStart(histogram))
                histogram += 1
            }
            if let previous, holds(previous, point) { total += 1 }
            previous = point
        }
        return .float(total)
    }

    /// An anchored range begins with the last sample at or before its start.
    private func firstIndexes(_ window: RangeWindow) -> (float: Int, histogram: Int)? {
        let samples = window.samples
        var float = window.floats.lowerBound, histogram = window.histograms.lowerBound
        guard vector.anchored else { return (float, histogram) }
        while float < window.floats.upperBound, samples.floatMillis[float] <= window.start {
            float += 1
        }
        while histogram < window.histograms.upperBound,
            samples.histogramMillis[histogram] <= window.start
        {
            histogram += 1
        }
        if float == window.floats.upperBound, histogram == window.histograms.upperBound {
            return nil
        }
        let lastFloat =
            float > window.floats.lowerBound ? samples.floatMillis[float - 1] : nil
        let lastHistogram =
            histogram > window.histograms.lowerBound
            ? samples.histogramMillis[histogram - 1] : nil
        switch (lastFloat, lastHistogram) {
        case (nil, nil): break
        case (let a?, let b?): if a >= b { float -= 1 } else { histogram -= 1 }
        case (_?, nil): float -= 1
        case (nil, _?): histogram -= 1
        }
        return (float, histogram)
    }
}
