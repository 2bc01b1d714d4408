// SPDX-License-Identifier: Apache-2.0
// `anchored` and `smoothed` ranges.

import Telemetry

/// Source: prometheus/prometheus `promql/functions.go`, `extendedRate`.
extension RangeCall {
    /// Indexes of the samples an extended range begins and ends with; nil when it has none.
    private func extendedBounds(
        _ millis: [Int64], _ range: Range<Int>, _ window: RangeWindow
    ) -> (first: Int, last: Int)? {
        var last = range.upperBound - 1
        var first = range.lowerBound
        // The last sample at or before the start, when there is one.
        while first + 1 <= last, millis[first + 1] <= window.start { first += 1 }
        if first == last, millis[first] <= window.start { return nil }
        if vector.smoothed {
            // The first sample at or after the end, when there is one.
            var candidate = range.lowerBound
            while candidate < last, millis[candidate] < window.end { candidate += 1 }
            last = candidate
            if millis[first] > window.end { return nil }
        }
        return millis[last] <= window.start ? nil : (first, last)
    }

    func extendedRate(
        _ window: RangeWindow, isCounter: Bool, isRate: Bool
    ) -> SampleValue? {
        let millis = window.samples.floatMillis, values = window.samples.floats
        guard var (first, last) = extendedBounds(millis, window.floats, window) else {
            return nil
        }
        func interpolated(_ a: Int, _ b: Int, _ time: Int64) -> Double {
            let start = isCounter && values[b] < values[a] ? 0 : values[a]
            return start + (values[b] - start) * Double(time &- millis[a])
                / Double(millis[b] &- millis[a])
        }
        let left =
            vector.smoothed && millis[first] < window.start
            ? interpolated(first, first + 1, window.start) : values[first]
        let right =
            vector.smoothed && last > window.floats.lowerBound && millis[last] > window.end
            ? interpolated(last - 1, last, window.end) : values[last]
        var result = right - left
        if isCounter {
            if millis[first] <= window.start { first += 1 }
            if millis[last] >= window.end { last -= 1 }
            var previous = left
            if first <= last {
                for value in values[first...last] {
                    if value < previous { result += previous }
                    previous = value
                }
            }
            if right < previous { result += previous }
        }
        return .float(isRate ? result / (Double(vector.rangeMillis) / 1000) : result)
    }

    func extendedHistogramRate(
        _ window: RangeWindow, isCounter: Bool, isRate: Bool
    ) -> SampleValue? {
        let millis = window.samples.histogramMillis, values = window.samples.histograms
        guard let (first, last) = extendedBounds(millis, window.histograms, window) else {
            return nil
        }
        for histogram in values[first...last] {
            if histogram.usesCustomBounds != values[first].usesCustomBounds {
                warnMixedSchemas()
                return nil
            }
            if isCounter, histogram.counterReset == .gauge { warnNotCounter() }
        }
        let left =
            vector.smoothed && millis[first] < window.start
            ? interpolate(
                values[first], millis[first], values[first + 1], millis[first + 1],
                at: window.start, isCounter: isCounter)
            : values[first]
        let right =
            vector.smoothed && last > window.histograms.lowerBound && millis[last] > window.end
            ? interpolate(
                values[last - 1], millis[last - 1], values[last], millis[last], at: window.end,
                isCounter: isCounter)
            : values[last]
        guard let left, let right else { return nil }
        if !isCounter, left.counterReset != .gauge || right.counterReset != .gauge {
            warnNotGauge()
        }
        var result = right
        guard subtract(left, from: &result) else { return nil }
        if isCounter {
            guard let lost = lostInResets(window, first, last, left, right) else { return nil }
            for histogram in lost where !add(histogram, to: &result) { return nil }
        }
        if isRate { result = result.divided(by: Double(vector.rangeMillis) / 1000) }
        result.counterReset = .gauge
        return .histogram(result.compacted())
    }

    /// What counter resets inside the range took away.
    private func lostInResets(
        _ window: RangeWindow, _ firstIndex: Int, _ lastIndex: Int, _ left: NativeHistogram,
        _ right: NativeHistogram
    ) -> [NativeHistogram]? {
        let millis = window.samples.histogramMillis, values = window.samples.histograms
        var first = firstIndex + 1
        var previous = left
        if vector.smoothed, millis[firstIndex] < window.start,
            values[firstIndex + 1].isReset(after: values[firstIndex])
        {
            // The interpolation has taken this reset into account.
            previous = values[firstIndex + 1]
            first += 1
        }
        if first > lastIndex { return [] }
        var lost: [NativeHistogram] = []
        for histogram in values[first..<lastIndex] {
            if histogram.isReset(after: previous) { lost.append(previous) }
            previous = histogram
        }
        if right.isReset(after: previous) { lost.append(previous) }
        return lost
    }

    func interpolate(
        _ a: NativeHistogram, _ aMillis: Int64, _ b: NativeHistogram, _ bMillis: Int64,
        at time: Int64, isCounter: Bool
    ) -> NativeHistogram? {
        if time == aMillis { return a }
        if time == bMillis { return b }
        let fraction = Double(time &- aMillis) / Double(bMillis &- aMillis)
        if isCounter, b.isReset(after: a) { return b.multiplied(by: fraction) }
        var result = b
        guard subtract(a, from: &result) else { return nil }
        result = result.multiplied(by: fraction)
        guard add(a, to: &result) else { return nil }
        return result
    }
}

/// `smoothed` instant selectors: the value at a time is interpolated between its neighbours.
final class SmoothedSelectorOperator: VectorOperator {
    private let set: any SeriesSet
    private let lookup: SampleLookup
    private let scope: EvaluationScope
    private let position: SourceRange
    private var index = 0
    private var columns = SampleColumns()
    private let samples = RangeSamples()

    init(
        _ set: any SeriesSet, lookup: SampleLookup, scope: EvaluationScope,
        at position: SourceRange
    ) {
        self.set = set
        self.lookup = lookup
        self.scope = scope
        self.position = position
    }

    func series() -> [OutputSeries] { (0..<set.count).map { OutputSeries(set.labels($0)) } }

    func next(into column: inout StepColumn) throws {
        try scope.context.check()
        columns.removeAll()
        try set.read(index, into: &columns, scope.context)
        samples.fill(from: &columns)
        let labels = set.labels(index)
        index += 1
        column.clear()
        var slider = WindowSlider()
        for step in 0..<lookup.grid.count {
            let time = lookup.time(step)
            slider.move(
                samples, after: time &- lookup.lookback, through: time &+ lookup.lookback)
            if !slider.floats.isEmpty, !slider.histograms.isEmpty {
                scope.annotations.warn(
                    MessageText.mixedSamples(labels[Labels.metricName] ?? ""), at: position)
                continue
            }
            if let value = slider.histograms.isEmpty
                ? float(at: time, slider.floats)
                : histogram(at: time, slider.histograms, labels)
            {
                column.set(step, value)
            }
        }
    }

    private func float(at time: Int64, _ range: Range<Int>) -> SampleValue? {
        let millis = samples.floatMillis, values = samples.floats
        var next = range.lowerBound
        while next < range.upperBound, millis[next] < time { next += 1 }
        if next < range.upperBound, millis[next] == time { return .float(values[next]) }
        guard next > range.lowerBound else { return nil }
        if next == range.upperBound { return .float(values[next - 1]) }
        let share = Double(time &- millis[next - 1]) / Double(millis[next] &- millis[next - 1])
        return .float(values[next - 1] + (values[next] - values[next - 1]) * share)
    }

    private func histogram(
        at time: Int64, _ range: Range<Int>, _ labels: Labels
    ) -> SampleValue? {
        let millis = samples.histogramMillis, values = samples.histograms
        var next = range.lowerBound
        while next < range.upperBound, millis[next] < time { next += 1 }
        if next < range.upperBound, millis[next] == time { return .histogram(values[next]) }
        guard next > range.lowerBound else { return nil }
        let previous = values[next - 1]
        if next == range.upperBound {
            var carried = previous
            carried.counterReset = .unknown
            return .histogram(carried)
        }
        let following = values[next]
        if previous.usesCustomBounds != following.usesCustomBounds {
            scope.annotations.warn(
                MessageText.mixedSchemas(labels[Labels.metricName] ?? ""), at: position)
            return nil
        }
        let vector = RangeVector(
            source: NoSource(), rangeMillis: 0, offset: 0, anchor: nil, position: position)
        var call = RangeCall(
            function: .rate, vector: vector, annotations: scope.annotations,
            usesStartTimestamps: false, argumentsPosition: position,
            parameterPosition: position)
        call.series = labels
        return call.interpolate(
            previous, millis[next - 1], following, millis[next], at: time,
            isCounter: previous.counterReset != .gauge || following.counterReset != .gauge
        ).map(SampleValue.histogram)
    }

    /// Interpolation needs no samples beyond those it is given.
    private final class NoSource: RangeSource {
        func series() -> [OutputSeries] { [] }
        func next(into samples: RangeSamples) { samples.removeAll() }
    }
}
