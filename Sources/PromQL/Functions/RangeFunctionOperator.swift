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
    private let samples = RangeSamples()
    private var metrics: [String] = []
    private var index = 0

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
        let input = try call.vector.source.series()
        metrics = input.map { $0.labels[Labels.metricName] ?? "" }
        return input.map { call.function.keepsName ? $0 : scope.renamed($0) }
    }

    func next(into column: inout StepColumn) throws {
        try scope.context.check()
        try call.vector.source.next(into: samples)
        column.clear()
        call.metric = metrics[index]
        index += 1
        let vector = call.vector
        // An extended range also sees the samples around it.
        let before = vector.anchored || vector.smoothed ? lookback : 0
        let after = vector.smoothed ? lookback : 0
        var slider = WindowSlider()
        var yieldedFloat = false
        for step in 0..<grid.count {
            let end = (vector.anchor ?? grid.millis(step)) &- vector.offset
            let start = end &- vector.rangeMillis
            slider.move(samples, after: start &- before, through: end &+ after)
            if slider.floats.isEmpty, slider.histograms.isEmpty { continue }
            let window = RangeWindow(
                samples: samples, floats: slider.floats, histograms: slider.histograms,
                evaluation: grid.millis(step), start: start, end: end,
                parameters: (parameter(0, step), parameter(1, step)))
            guard let value = try call.value(window) else { continue }
            column.set(step, value)
            if case .float = value { yieldedFloat = true }
        }
        if yieldedFloat, call.function == .rate || call.function == .increase { checkName() }
    }

    private func parameter(_ number: Int, _ step: Int) -> Double {
        number < parameters.count ? parameters[number][step] : .nan
    }

    private func checkName() {
        let metric = call.metric
        if metric.isEmpty { return }
        for suffix in ["_total", "_sum", "_count", "_bucket"] where metric.hasSuffix(suffix) {
            return
        }
        scope.annotations.inform(
            MessageText.possiblyNoCounter(metric), at: call.argumentsPosition)
    }
}
