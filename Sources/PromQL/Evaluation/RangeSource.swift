// SPDX-License-Identifier: Apache-2.0
// Where functions over ranges get their samples.

import Base
import Telemetry

/// Samples of one series in a stretch of time, floats and histograms apart, stale markers left out.
/// Reused from series to series.
final class RangeSamples {
    var floatMillis: [Int64] = []
    var floats: [Double] = []
    /// Empty when no start time is known.
    var floatStarts: [Int64] = []
    /// How many samples each float is the sum of; empty when each is one.
    var floatCounts: [Double] = []
    var histogramMillis: [Int64] = []
    var histograms: [NativeHistogram] = []
    var histogramStarts: [Int64] = []

    func removeAll() {
        floatMillis.removeAll(keepingCapacity: true)
        floats.removeAll(keepingCapacity: true)
        floatStarts.removeAll(keepingCapacity: true)
        floatCounts.removeAll(keepingCapacity: true)
        histogramMillis.removeAll(keepingCapacity: true)
        histograms.removeAll(keepingCapacity: true)
        histogramStarts.removeAll(keepingCapacity: true)
    }

    /// Takes over what storage returned; the columns may have other content afterwards.
    func fill(from columns: inout SampleColumns) {
        removeAll()
        if columns.histograms.isEmpty, columns.startMillis.isEmpty, columns.counts.isEmpty {
            columns.removeStaleFloats()
            swap(&floatMillis, &columns.millis)
            swap(&floats, &columns.values)
            return
        }
        let hasStarts = !columns.startMillis.isEmpty
        for i in 0..<columns.count {
            let start = hasStarts ? columns.startMillis[i] : 0
            if !columns.histograms.isEmpty, let histogram = columns.histograms[i] {
                if histogram.isStale { continue }
                histogramMillis.append(columns.millis[i])
                histograms.append(histogram)
                if hasStarts { histogramStarts.append(start) }
                continue
            }
            if StaleMarker.isStale(columns.values[i]) { continue }
            floatMillis.append(columns.millis[i])
            floats.append(columns.values[i])
            if hasStarts { floatStarts.append(start) }
            if !columns.counts.isEmpty { floatCounts.append(columns.counts[i]) }
        }
    }

    /// Takes over the values of a subquery. Counter-reset hints say nothing here: samples may be
    /// missing or repeated.
    func fill(from column: StepColumn, _ grid: StepGrid) {
        removeAll()
        for step in 0..<grid.count {
            switch column.kinds[step] {
            case .none: continue
            case .float:
                floatMillis.append(grid.millis(step))
                floats.append(column.values[step])
            case .histogram:
                guard var histogram = column.histogram(step) else { continue }
                if histogram.counterReset == .reset || histogram.counterReset == .notReset {
                    histogram.counterReset = .unknown
                }
                histogramMillis.append(grid.millis(step))
                histograms.append(histogram)
            }
        }
    }
}

extension SampleColumns {
    /// Removes stale markers from columns of floats without start times.
    fileprivate mutating func removeStaleFloats() {
        let hasStale = values.withUnsafeBufferPointer { values in
            var found = false
            for value in values { found = found || value.bitPattern == StaleMarker.bits }
            return found
        }
        guard hasStale else { return }
        var kept = 0
        for i in values.indices where !StaleMarker.isStale(values[i]) {
            values[kept] = values[i]
            millis[kept] = millis[i]
            kept += 1
        }
        values.removeLast(values.count - kept)
        millis.removeLast(millis.count - kept)
    }
}

/// A range vector: series by series, all samples any step can see.
protocol RangeSource: AnyObject {
    func series() throws -> [OutputSeries]
    func next(into samples: RangeSamples) throws
}

/// A range selector over storage.
final class SelectorRangeSource: RangeSource {
    private let set: any SeriesSet
    private let scope: EvaluationScope
    private var index = 0
    private var columns = SampleColumns()

    init(_ set: any SeriesSet, scope: EvaluationScope) {
        self.set = set
        self.scope = scope
    }

    func series() throws -> [OutputSeries] { try set.outputs(scope) }

    func next(into samples: RangeSamples) throws {
        try scope.context.check()
        columns.removeAll()
        try set.read(index, into: &columns, scope.context)
        index += 1
        samples.fill(from: &columns)
    }
}

extension SeriesSet {
    /// The series as operators pass them on. Their labels count until the evaluation ends.
    func outputs(
        _ scope: EvaluationScope, _ change: (Labels) -> OutputSeries = { OutputSeries($0) }
    ) throws -> [OutputSeries] {
        var result: [OutputSeries] = []
        result.reserveCapacity(count)
        var bytes = 0
        for index in 0..<count {
            let series = change(labels(index))
            bytes += series.labels.bytes.count + OutputSeries.overheadBytes
            result.append(series)
            if index & 1023 == 1023 {
                try scope.context.check()
                try scope.reserveLabels(bytes)
                bytes = 0
            }
        }
        try scope.reserveLabels(bytes)
        return result
    }
}

/// A subquery: the values of an expression on a grid of its own.
final class SubqueryRangeSource: RangeSource {
    private let input: any VectorOperator
    private let grid: StepGrid
    private var column: StepColumn

    init(_ input: any VectorOperator, grid: StepGrid) {
        self.input = input
        self.grid = grid
        column = StepColumn(steps: grid.count)
    }

    func series() throws -> [OutputSeries] { try input.series() }

    func next(into samples: RangeSamples) throws {
        try input.next(into: &column)
        samples.fill(from: column, grid)
    }
}

/// A range vector and the window each step sees of it.
struct RangeVector {
    var source: any RangeSource
    let rangeMillis: Int64
    let offset: Int64
    let anchor: Int64?
    var anchored = false
    var smoothed = false
    /// Its samples are values of an expression, not read from the store.
    var isSubquery = false
    let position: SourceRange
}

extension Evaluator {
    /// - Parameter isResult: it is the answer, not the argument of a function.
    func rangeVector(
        _ expression: Expression, _ grid: StepGrid, isResult: Bool = false,
        aggregate: SampleAggregate = .last
    ) throws -> RangeVector {
        guard let recorder else { return try planned(expression, grid, isResult, aggregate) }
        return try recorder.rangeVector(expression, grid) {
            try planned(expression, grid, isResult, aggregate)
        }
    }

    private func planned(
        _ expression: Expression, _ grid: StepGrid, _ isResult: Bool,
        _ aggregate: SampleAggregate
    ) throws -> RangeVector {
        switch expression {
        case .parenthesized(let node):
            return try rangeVector(
                node.expression, grid, isResult: isResult, aggregate: aggregate)
        case .matrix(let node):
            return try rangeVector(node, grid, at: expression.range, aggregate)
        case .subquery(let node):
            return try rangeVector(node, grid, at: expression.range, isResult)
        default:
            throw QueryError("expected a range vector, got \(expression.kind.documented)")
        }
    }

    private func rangeVector(
        _ node: MatrixSelector, _ grid: StepGrid, at position: SourceRange,
        _ aggregate: SampleAggregate
    ) throws -> RangeVector {
        let selector = node.selector
        let anchor = selector.anchorMillis
        var first = (anchor ?? grid.start) &- selector.offsetMillis &- node.rangeMillis &+ 1
        var last = (anchor ?? grid.end) &- selector.offsetMillis
        if selector.anchored || selector.smoothed { first &-= options.lookbackMillis }
        if selector.smoothed { last &+= options.lookbackMillis }
        let range = MillisRange(first: Millis(first), last: Millis(last))
        _ = coarseRanges(range, at: selector.range)
        let set = try select(
            selector.matchers, range, skippingBuckets: selector.skipsBuckets,
            aggregate: aggregate)
        return RangeVector(
            source: SelectorRangeSource(set, scope: scope), rangeMillis: node.rangeMillis,
            offset: selector.offsetMillis, anchor: anchor, anchored: selector.anchored,
            smoothed: selector.smoothed, position: position)
    }

    private func rangeVector(
        _ node: Subquery, _ grid: StepGrid, at position: SourceRange, _ isResult: Bool
    ) throws -> RangeVector {
        var anchor: Int64?
        if case .millis(let millis)? = node.anchor { anchor = millis }
        let inner = subqueryGrid(node, anchor.map { StepGrid(at: $0) } ?? grid)
        try PromQLEngine.checkSize(inner)
        let kind = SampleCounts.Inner.subquery(
            offsetMillis: node.offsetMillis, rangeMillis: node.rangeMillis, isResult: isResult)
        let input = try onGrid(inner, kind) { try $0.vector(node.expression, inner) }
        return RangeVector(
            source: SubqueryRangeSource(input, grid: inner), rangeMillis: node.rangeMillis,
            offset: node.offsetMillis, anchor: anchor, isSubquery: true, position: position)
    }

    /// Steps of a subquery: multiples of its step, those that any step of `outer` can see.
    func subqueryGrid(_ node: Subquery, _ outer: StepGrid) -> StepGrid {
        let step = node.stepMillis > 0 ? node.stepMillis : max(1, options.subqueryStepMillis)
        let begin = outer.start &- node.offsetMillis &- node.rangeMillis
        var start = begin / step * step
        if start <= begin { start &+= step }
        return StepGrid(start: start, end: outer.end &- node.offsetMillis, step: step)
    }

    /// A range vector as the result of an instant query.
    func matrix(_ expression: Expression, _ grid: StepGrid) throws -> [MatrixSeries] {
        let vector = try rangeVector(expression, grid, isResult: true)
        let samples = RangeSamples()
        let end = (vector.anchor ?? grid.start) &- vector.offset
        var result: [MatrixSeries] = []
        var known: Set<Labels> = []
        for item in try vector.source.series() {
            try scope.context.check()
            try vector.source.next(into: samples)
            var series = MatrixSeries(
                labels: item.dropName ? item.labels.withoutName : item.labels)
            let window = RangeWindow.bounds(
                samples, after: end &- vector.rangeMillis, through: end)
            series.floatMillis = Array(samples.floatMillis[window.floats])
            series.floats = Array(samples.floats[window.floats])
            series.histogramMillis = Array(samples.histogramMillis[window.histograms])
            series.histograms = Array(samples.histograms[window.histograms])
            if series.isEmpty { continue }
            if !vector.isSubquery { scope.counts?.add(series) }
            try scope.context.reserve(series.byteCount)
            if !known.insert(series.labels).inserted { throw QueryError.sameLabelset }
            result.append(series)
        }
        try scope.context.sort(&result) { $0.labels < $1.labels }
        return result
    }
}
