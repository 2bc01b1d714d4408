// SPDX-License-Identifier: Apache-2.0
// `rate`, `increase` and `delta`.

import Telemetry

/// Whether the counter began anew between two samples, by their start times.
///
/// Source: prometheus/prometheus `promql/functions.go`, `isStartTimestampReset`.
func isResetByStart(
    previousStart: Int64, previousMillis: Int64, start: Int64, millis: Int64
) -> Bool {
    if start == 0 || start >= millis || start < previousMillis { return false }
    if start > previousMillis { return true }
    if previousStart > previousMillis { return false }
    return previousStart != 0 && previousStart != previousMillis
}

/// Source: prometheus/prometheus `promql/functions.go`, `extrapolatedRate`, `histogramRate`.
extension RangeCall {
    func rate(_ window: RangeWindow, isCounter: Bool, isRate: Bool) -> SampleValue? {
        if window.isMixed {
            warnMixedSamples()
            return nil
        }
        if vector.anchored || vector.smoothed {
            return window.histograms.isEmpty
                ? extendedRate(window, isCounter: isCounter, isRate: isRate)
                : extendedHistogramRate(window, isCounter: isCounter, isRate: isRate)
        }
        return window.histograms.isEmpty
            ? floatRate(window, isCounter: isCounter, isRate: isRate)
            : histogramRate(window, isCounter: isCounter, isRate: isRate)
    }

    private func floatRate(
        _ window: RangeWindow, isCounter: Bool, isRate: Bool
    ) -> SampleValue? {
        let samples = window.samples
        let low = window.floats.lowerBound, high = window.floats.upperBound - 1
        var result = samples.floats[high] - samples.floats[low]
        let starts = isCounter && usesStartTimestamps && !samples.floatStarts.isEmpty
        if isCounter, high > low {
            if starts { checkOverlap(window.floats, samples.floatMillis, samples.floatStarts) }
            samples.floats.withUnsafeBufferPointer { values in
                var previous = values[low]
                for i in low + 1...high {
                    let value = values[i]
                    if value < previous || starts && isReset(window, float: i) {
                        result += previous
                    }
                    previous = value
                }
            }
        }
        let extrapolation = Extrapolation(
            window, samples.floatMillis[low], samples.floatMillis[high], high - low,
            firstStart: starts ? samples.floatStarts[low] : 0)
        if extrapolation.startsInside {
            result += samples.floats[low]
        } else if high == low {
            return nil
        }
        let factor = extrapolation.factor(
            isCounter: isCounter,
            zeroAt: result > 0 && samples.floats[low] >= 0 ? samples.floats[low] / result : nil,
            rangeMillis: isRate ? vector.rangeMillis : nil)
        return .float(result * factor)
    }

    private func isReset(_ window: RangeWindow, float index: Int) -> Bool {
        isResetByStart(
            previousStart: window.floatStart(index - 1),
            previousMillis: window.samples.floatMillis[index - 1],
            start: window.floatStart(index), millis: window.samples.floatMillis[index])
    }

    func isReset(_ window: RangeWindow, histogram index: Int) -> Bool {
        usesStartTimestamps
            && isResetByStart(
                previousStart: window.histogramStart(index - 1),
                previousMillis: window.samples.histogramMillis[index - 1],
                start: window.histogramStart(index),
                millis: window.samples.histogramMillis[index])
    }

    /// A start time before the previous sample contradicts it.
    private func checkOverlap(_ range: Range<Int>, _ millis: [Int64], _ starts: [Int64]) {
        for i in range.dropFirst()
        where starts[i] != 0 && starts[i] < millis[i - 1] && starts[i] != starts[i - 1] {
            annotations.warnStartOverlap(MessageText.startOverlap(metric), at: position)
            return
        }
    }

    private func histogramRate(
        _ window: RangeWindow, isCounter: Bool, isRate: Bool
    ) -> SampleValue? {
        let samples = window.samples
        let low = window.histograms.lowerBound, high = window.histograms.upperBound - 1
        let starts = isCounter && usesStartTimestamps && !samples.histogramStarts.isEmpty
        var result: NativeHistogram?
        if high > low {
            guard let difference = histogramDifference(window, isCounter: isCounter) else {
                return nil
            }
            result = difference
        }
        let extrapolation = Extrapolation(
            window, samples.histogramMillis[low], samples.histogramMillis[high], high - low,
            firstStart: starts ? samples.histogramStarts[low] : 0)
        let first = samples.histograms[low]
        if extrapolation.startsInside {
            if var sum = result {
                guard add(first, to: &sum) else { return nil }
                result = sum
            } else {
                result = first
            }
        } else if high == low {
            return nil
        }
        guard let result else { return nil }
        let factor = extrapolation.factor(
            isCounter: isCounter,
            zeroAt: result.count > 0 && first.count >= 0 ? first.count / result.count : nil,
            rangeMillis: isRate ? vector.rangeMillis : nil)
        return .histogram(result.multiplied(by: factor))
    }

    /// Last minus first, what was lost in resets added back. At least two samples.
    private func histogramDifference(
        _ window: RangeWindow, isCounter: Bool
    ) -> NativeHistogram? {
        let samples = window.samples
        let low = window.histograms.lowerBound, high = window.histograms.upperBound - 1
        var previous = samples.histograms[low]
        let last = samples.histograms[high]
        var customBounds = previous.usesCustomBounds
        if isCounter, previous.counterReset == .gauge || last.counterReset == .gauge {
            warnNotCounter()
        }
        if isCounter {
            let second = samples.histograms[low + 1]
            if isReset(window, histogram: low + 1) || second.isReset(after: previous) {
                // The first sample does not count at all, whatever its layout.
                previous = NativeHistogram()
                previous.schema = second.schema
                previous.customBounds = second.customBounds
                customBounds = second.usesCustomBounds
            }
        }
        if last.usesCustomBounds != customBounds {
            warnMixedSchemas()
            return nil
        }
        var coarsest = min(last.schema, previous.schema)
        if isCounter {
            for i in low + 1..<high {
                let histogram = samples.histograms[i]
                if histogram.counterReset == .gauge { warnNotCounter() }
                coarsest = min(coarsest, histogram.schema)
                if histogram.usesCustomBounds != customBounds {
                    warnMixedSchemas()
                    return nil
                }
            }
        }
        var result = last
        result.reduceResolution(to: coarsest)
        guard subtract(previous, from: &result) else { return nil }
        if isCounter {
            if usesStartTimestamps, !samples.histogramStarts.isEmpty {
                checkOverlap(
                    window.histograms, samples.histogramMillis, samples.histogramStarts)
            }
            for i in low + 1...high {
                let histogram = samples.histograms[i]
                if isReset(window, histogram: i) || histogram.isReset(after: previous) {
                    guard add(previous, to: &result) else { return nil }
                }
                previous = histogram
            }
        } else if samples.histograms[low].counterReset != .gauge || last.counterReset != .gauge {
            warnNotGauge()
        }
        result.counterReset = .gauge
        return result.compacted()
    }
}

/// How far the samples of a window are extended to its ends.
private struct Extrapolation {
    private var toStart: Double
    private var toEnd: Double
    private var sampled: Double
    private var between = 0.0
    /// The series began inside the window, at a known time.
    let startsInside: Bool

    init(
        _ window: RangeWindow, _ first: Int64, _ last: Int64, _ intervals: Int, firstStart: Int64
    ) {
        toStart = Double(first &- window.start) / 1000
        toEnd = Double(window.end &- last) / 1000
        sampled = Double(last &- first) / 1000
        if intervals > 0 { between = sampled / Double(intervals) }
        startsInside = firstStart != 0 && firstStart > window.start && firstStart < first
        if startsInside {
            toStart = 0
            sampled = Double(last &- firstStart) / 1000
        }
    }

    /// - Parameters:
    ///   - zeroAt: where the counter would have been zero, as a share of the sampled interval.
    ///   - rangeMillis: for a result per second.
    func factor(isCounter: Bool, zeroAt: Double?, rangeMillis: Int64?) -> Double {
        let threshold = between * 1.1
        var toStart = toStart, toEnd = toEnd
        if !startsInside {
            if toStart >= threshold { toStart = between / 2 }
            // A counter is not extended below zero.
            if isCounter, let zeroAt { toStart = Swift.min(toStart, sampled * zeroAt) }
        }
        if toEnd >= threshold { toEnd = between / 2 }
        var factor = sampled == 0 ? 1 : (sampled + toStart + toEnd) / sampled
        if let rangeMillis { factor /= Double(rangeMillis) / 1000 }
        return factor
    }
}
