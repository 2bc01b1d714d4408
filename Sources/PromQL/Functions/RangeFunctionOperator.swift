// SPDX-License-Identifier: Apache-2.0
// Runs a function over the windows of each series.

import Base
import Telemetry

final class RangeFunctionOperator: VectorOperator {
    private var call: RangeCall
    private let grid: StepGrid
    private let parameters: [[Double]]
    private let lookback: Int64
    private let scope: EvaluationScope
    private var input: [OutputSeries] = []
    private var index = 0
    private let samples = RangeSamples()
    private var scratch = FloatWindows.Scratch()
    /// The last name that looked like no counter's.
    private var noted: String?

    init(
        _ call: RangeCall, _ grid: StepGrid, parameters: [[Double]], lookback: Int64,
        scope: EvaluationScope
    ) {
        self.call = call
        self.grid = grid
        self.parameters = parameters
        self.lookback = lookback
        self.scope = scope
    }

    func series() throws -> [OutputSeries] {
        input = try call.vector.source.series()
        return call.function.keepsName ? input : try scope.renamed(input)
    }

    func next(into column: inout StepColumn) throws {
        try scope.context.check()
        try call.vector.source.next(into: samples)
        if let counts = scope.counts {
            let (before, after) = reach
            counts.add(samples, of: call.vector, before: before, after: after)
        }
        column.clear()
        call.series = input[index].labels
        index += 1
        let yieldedFloat =
            try computeFloats(into: &column)
            ? !column.isEmpty : try computeWindows(into: &column)
        if yieldedFloat, call.function == .rate || call.function == .increase { checkName() }
    }

    /// How far beyond its range a window reaches: an extended range also sees the samples around it.
    private var reach: (before: Int64, after: Int64) {
        let vector = call.vector
        return (
            vector.anchored || vector.smoothed ? lookback : 0, vector.smoothed ? lookback : 0
        )
    }

    /// Floats only, nothing special asked for. Returns whether it was that case.
    private func computeFloats(into column: inout StepColumn) throws -> Bool {
        let vector = call.vector
        guard samples.histograms.isEmpty, samples.floatStarts.isEmpty,
            samples.floatCounts.isEmpty, !vector.anchored,
            !vector.smoothed, FloatWindows.covers(call.function)
        else { return false }
        samples.floatMillis.withUnsafeBufferPointer { millis in
            samples.floats.withUnsafeBufferPointer { values in
                guard let times = millis.baseAddress, let floats = values.baseAddress else {
                    return
                }
                (parameters.first ?? []).withUnsafeBufferPointer { parameter in
                    column.withFloats { outValues, outKinds in
                        FloatWindows(
                            millis: times, values: floats, count: millis.count,
                            firstEnd: (vector.anchor ?? grid.start) &- vector.offset,
                            stepMillis: vector.anchor == nil ? grid.step : 0,
                            steps: grid.count, rangeMillis: vector.rangeMillis,
                            outValues: outValues, outKinds: outKinds,
                            firstEvaluation: grid.start, evaluationStepMillis: grid.step,
                            parameter: parameter, context: scope.context
                        ).run(call.function, &scratch)
                    }
                }
            }
        }
        if samples.floats.count + grid.count > FloatWindows.samplesPerCheck
            || samples.floats.count * grid.count > FloatWindows.samplesPerCheck
        {
            try scope.context.check()
        }
        return true
    }

    /// Window by window. Returns whether any result is a float.
    private func computeWindows(into column: inout StepColumn) throws -> Bool {
        let vector = call.vector
        let (before, after) = reach
        var slider = WindowSlider()
        var yieldedFloat = false
        var work = 0
        for step in 0..<grid.count {
            let end = (vector.anchor ?? grid.millis(step)) &- vector.offset
            let start = end &- vector.rangeMillis
            slider.move(samples, after: start &- before, through: end &+ after)
            if slider.floats.isEmpty, slider.histograms.isEmpty { continue }
            // Some functions sort their window, and a histogram costs as much as many floats.
            work += slider.floats.count + 64 * slider.histograms.count + 64
            if work > 1 << 14 {
                try scope.context.check()
                work = 0
            }
            let window = RangeWindow(
                samples: samples, floats: slider.floats, histograms: slider.histograms,
                evaluation: grid.millis(step), start: start, end: end,
                parameters: (parameter(0, step), parameter(1, step)))
            guard let value = try call.value(window) else { continue }
            column.set(step, value)
            if case .float = value { yieldedFloat = true }
        }
        return yieldedFloat
    }

    private func parameter(_ number: Int, _ step: Int) -> Double {
        number < parameters.count ? parameters[number][step] : .nan
    }

    private func checkName() {
        var isCounter = true
        call.series.forEachBytes { name, value in
            guard equalUTF8(Labels.metricName, name) else { return }
            isCounter = counterSuffixes.contains { value.suffix($0.count).elementsEqual($0) }
        }
        if isCounter { return }
        // Series of one metric follow each other, and a message counts once.
        let metric = call.metric
        if metric == noted { return }
        noted = metric
        call.annotations.inform(
            MessageText.possiblyNoCounter(metric), at: call.argumentsPosition)
    }
}

/// Ends of the names that counters have by convention.
private let counterSuffixes = ["_total", "_sum", "_count", "_bucket"].map { [UInt8]($0.utf8) }

private func equalUTF8(_ text: String, _ bytes: UnsafeRawBufferPointer) -> Bool {
    text.utf8.count == bytes.count && text.utf8.elementsEqual(bytes)
}
