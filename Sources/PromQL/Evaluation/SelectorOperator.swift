// SPDX-License-Identifier: Apache-2.0
// Instant vectors read from storage.

import Base
import Telemetry

/// What a selector yields of the sample it finds.
enum SelectedPart {
    case value
    /// Its time in seconds.
    case timestamp
    /// Its start time in seconds.
    case startTimestamp
}

/// Reads each series once and looks up the current sample of every step.
final class SelectorOperator: VectorOperator {
    private let set: any SeriesSet
    private let lookup: SampleLookup
    private let part: SelectedPart
    /// There is one step, at the end of the range selected.
    private let needsNewest: Bool
    private let scope: EvaluationScope
    private var index = 0
    private var samples = SampleColumns()

    init(
        _ set: any SeriesSet, needsNewest: Bool, lookup: SampleLookup, part: SelectedPart,
        scope: EvaluationScope
    ) {
        self.set = set
        self.needsNewest = needsNewest
        self.lookup = lookup
        self.part = part
        self.scope = scope
    }

    func series() throws -> [OutputSeries] {
        try set.outputs(scope) { OutputSeries(name($0), dropName: part != .value) }
    }

    private func name(_ labels: Labels) -> Labels {
        part != .value && !scope.delayedNameRemoval ? labels.withoutName : labels
    }

    func next(into column: inout StepColumn) throws {
        try scope.context.check()
        samples.removeAll()
        if needsNewest {
            try set.readNewest(index, into: &samples, scope.context)
        } else {
            try set.read(index, into: &samples, scope.context)
        }
        index += 1
        column.clear()
        lookup.fill(&column, from: samples, part)
        scope.counts?.add(column)
    }
}

/// The times at which a selector looks for samples.
struct SampleLookup {
    let grid: StepGrid
    /// Subtracted from the time of evaluation.
    let offset: Int64
    /// Looked up at instead of the time of evaluation.
    let anchor: Int64?
    let lookback: Int64
    /// Days with a sample per bucket only, ascending.
    var coarse: [CoarseRange] = []

    /// Time looked up at step `index`.
    func time(_ index: Int) -> Int64 { (anchor ?? grid.millis(index)) &- offset }

    /// Samples that any step can see: newer than the lookback of the first, not newer than the
    /// last.
    var range: MillisRange {
        let first = time(0), last = time(grid.count - 1)
        return MillisRange(first: Millis(first &- lookback &+ 1), last: Millis(last))
    }

    /// How long a sample counts as the current one. Of a bucket only the last is left, so that one
    /// counts for a bucket longer.
    func reach(_ millis: Int64) -> Int64 {
        if coarse.isEmpty { return lookback }
        for one in coarse where one.range.overlaps(first: millis, last: millis) {
            return lookback &+ one.resolutionMillis
        }
        return lookback
    }

    func fill(
        _ column: inout StepColumn, from samples: SampleColumns, _ part: SelectedPart
    ) {
        let millis = samples.millis
        if part == .value, samples.histograms.isEmpty, coarse.isEmpty {
            fillFloats(&column, from: samples)
            return
        }
        let floatsOnly = samples.histograms.isEmpty
        // First sample after the time looked up at.
        var next = 0
        for step in 0..<grid.count {
            let time = time(step)
            while next < millis.count, millis[next] <= time { next += 1 }
            guard next > 0, millis[next - 1] > time &- reach(millis[next - 1]) else {
                continue
            }
            let found = next - 1
            let histogram = floatsOnly ? nil : samples.histograms[found]
            if histogram?.isStale ?? StaleMarker.isStale(samples.values[found]) { continue }
            switch part {
            case .value:
                if let histogram {
                    column.set(step, histogram)
                } else {
                    column.set(step, samples.values[found])
                }
            case .timestamp: column.set(step, Double(millis[found]) / 1000)
            case .startTimestamp:
                let start = samples.startMillis.isEmpty ? 0 : samples.startMillis[found]
                column.set(step, Double(start) / 1000)
            }
        }
    }

    /// The common case, over plain memory.
    private func fillFloats(_ column: inout StepColumn, from samples: SampleColumns) {
        samples.millis.withUnsafeBufferPointer { times in
            samples.values.withUnsafeBufferPointer { floats in
                guard let millis = times.baseAddress, let values = floats.baseAddress else {
                    return
                }
                let count = times.count
                let stepMillis = anchor == nil ? grid.step : 0
                column.withFloats { outValues, outKinds in
                    var next = 0
                    var time = self.time(0)
                    for step in 0..<grid.count {
                        while next < count, millis[next] <= time { next &+= 1 }
                        if next > 0, millis[next &- 1] > time &- lookback {
                            let value = values[next &- 1]
                            if value.bitPattern != StaleMarker.bits {
                                outValues[step] = value
                                outKinds[step] = .float
                            }
                        }
                        time &+= stepMillis
                    }
                }
            }
        }
    }
}

extension Evaluator {
    func selector(
        _ node: VectorSelector, _ grid: StepGrid, _ part: SelectedPart
    ) throws -> any VectorOperator {
        if node.anchored {
            throw QueryError("anchored modifier is not supported for instant vector selectors")
        }
        var lookup = SampleLookup(
            grid: grid, offset: node.offsetMillis, anchor: node.anchorMillis,
            lookback: options.lookbackMillis)
        var range = lookup.range
        lookup.coarse = coarseRanges(range, at: node.range)
        range.first.rawValue &-= lookup.coarse.map(\.resolutionMillis).max() ?? 0
        if node.smoothed {
            range.last.rawValue &+= options.lookbackMillis
            range.first.rawValue &-= 1
        }
        let needsNewest = grid.count == 1 && !node.smoothed && !node.skipsBuckets
        let set = try select(
            node.matchers, range, skippingBuckets: node.skipsBuckets,
            samples: needsNewest ? .newest : .all)
        if node.smoothed, part == .value {
            return SmoothedSelectorOperator(set, lookup: lookup, scope: scope, at: node.range)
        }
        return SelectorOperator(
            set, needsNewest: needsNewest, lookup: lookup, part: part, scope: scope)
    }

    /// The down-sampled days of a range; the answer says that there are some.
    func coarseRanges(_ range: MillisRange, at position: SourceRange) -> [CoarseRange] {
        let found = reader.coarseRanges(tenant, range)
        for resolution in Set(found.map(\.resolutionMillis)).sorted() {
            let text = MessageText.downsampled(durationText(millis: resolution))
            scope.annotations.inform(text, at: position)
            recorder?.note(text)
        }
        return found
    }

    func select(
        _ matchers: [LabelMatcher], _ range: MillisRange, skippingBuckets: Bool = false,
        samples: SamplesNeeded = .all, aggregate: SampleAggregate = .last
    ) throws -> any SeriesSet {
        let request = SeriesRequest(
            tenant: tenant, matchers: matchers, range: range, samples: samples,
            aggregate: aggregate)
        let set = try slice ?? reader.select(request, scope.context)
        recorder?.note(request, series: set.count)
        selected = set
        return skippingBuckets ? BucketlessSeriesSet(full: set) : set
    }
}

extension VectorSelector {
    /// The time of a resolved `@`.
    var anchorMillis: Int64? {
        if case .millis(let millis)? = anchor { millis } else { nil }
    }
}

/// Series whose histograms are reduced to count and sum. Without buckets a counter reset could no
/// longer be seen, so it is noted in the hint.
private struct BucketlessSeriesSet: SeriesSet {
    let full: any SeriesSet

    var count: Int { full.count }
    func labels(_ index: Int) -> Labels { full.labels(index) }

    func read(
        _ index: Int, into columns: inout SampleColumns, _ context: ReadContext
    ) throws {
        let first = columns.count
        try full.read(index, into: &columns, context)
        if columns.histograms.isEmpty { return }
        var previous: NativeHistogram?
        for i in first..<columns.count {
            guard let current = columns.histograms[i] else { continue }
            // A reset is also seen across a stale marker.
            if current.isStale { continue }
            var reduced = NativeHistogram()
            reduced.schema = current.schema
            reduced.count = current.count
            reduced.sum = current.sum
            reduced.counterReset = current.counterReset
            if current.counterReset == .unknown, let previous {
                reduced.counterReset = current.isReset(after: previous) ? .reset : .notReset
            }
            columns.histograms[i] = reduced
            previous = current
        }
    }
}
