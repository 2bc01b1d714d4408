// SPDX-License-Identifier: Apache-2.0
// How many samples a query looks at, step by step.

import Telemetry

/// Samples by step of a query, as Prometheus counts them: what a step would load if it were asked
/// for alone, and what the step reads anew.
package struct QuerySamples: Sendable, Equatable {
    /// Samples in the windows and look-backs of each step, however many steps share them.
    package var loadedPerStep: [Int]
    /// Samples that no earlier step had.
    package var readPerStep: [Int]

    package var loaded: Int { loadedPerStep.reduce(0, +) }
    package var read: Int { readPerStep.reduce(0, +) }
}

/// Counts the samples of one evaluation. A histogram counts as many floats as its memory holds.
/// Used by one thread; expressions on a grid of their own have counts of their own, which come in
/// at the end.
///
/// Source: prometheus/prometheus `promql/engine.go`, `util/stats/query_stats.go`.
final class SampleCounts {
    /// How the counts of an expression on another grid come in.
    enum Inner {
        /// The same at every step, read once.
        case stepInvariant
        /// Each of its steps belongs to the first outer step that sees it, or to none.
        ///
        /// - offsetMillis, rangeMillis: of the subquery.
        /// - isResult: its steps are the answer, not the windows of a function that counts them.
        case subquery(offsetMillis: Int64, rangeMillis: Int64, isResult: Bool)
    }
    let grid: StepGrid
    private let context: ReadContext
    private let reservedBytes: Int
    private var samples: QuerySamples
    private var inner: [(counts: SampleCounts, kind: Inner)] = []

    /// - Throws: when memory is short: two numbers a step.
    init(_ grid: StepGrid, _ context: ReadContext) throws {
        self.grid = grid
        self.context = context
        reservedBytes = grid.count * 2 * MemoryLayout<Int>.stride
        try context.reserve(reservedBytes)
        let zeros = [Int](repeating: 0, count: grid.count)
        samples = QuerySamples(loadedPerStep: zeros, readPerStep: zeros)
    }

    deinit { context.release(reservedBytes) }

    // MARK: Counting

    /// Counts what a selector found at each step.
    func add(_ column: StepColumn) {
        for step in 0..<grid.count {
            switch column.kinds[step] {
            case .none: continue
            case .float: add(1, read: 1, at: step)
            case .histogram:
                let size = column.histogram(step)?.sampleSize ?? 0
                add(size, read: size, at: step)
            }
        }
    }

    /// Counts the windows that a function sees of one series.
    ///
    /// - Parameters:
    ///   - before, after: milliseconds by which its windows reach beyond the range.
    func add(_ samples: RangeSamples, of vector: RangeVector, before: Int64, after: Int64) {
        var slider = WindowSlider()
        let sizes = samples.histograms.map(\.sampleSize)
        for step in 0..<grid.count {
            let end = (vector.anchor ?? grid.millis(step)) &- vector.offset
            slider.move(
                samples, after: end &- vector.rangeMillis &- before, through: end &+ after)
            let histograms = sizes[slider.histograms].reduce(0, +)
            let loaded = slider.floats.count + histograms
            guard loaded > 0 else { continue }
            var read = 0
            if step == 0 {
                read = loaded
            } else if vector.anchor == nil {
                // Those after the end of the window before.
                let known = end &+ after &- grid.step
                for index in slider.floats.reversed() {
                    if samples.floatMillis[index] <= known { break }
                    read += 1
                }
                for index in slider.histograms.reversed() {
                    if samples.histogramMillis[index] <= known { break }
                    read += sizes[index]
                }
            }
            add(loaded, read: vector.isSubquery ? 0 : read, at: step)
        }
    }

    /// Counts a series of a range vector that is the answer.
    func add(_ series: MatrixSeries) {
        let size = series.floats.count + series.histograms.reduce(0) { $0 + $1.sampleSize }
        add(size, read: size, at: 0)
    }

    private func add(_ loaded: Int, read: Int, at step: Int) {
        samples.loadedPerStep[step] += loaded
        samples.readPerStep[step] += read
    }

    // MARK: Bringing together

    /// Counts for an expression on another grid, which come in at the end.
    func counts(of kind: Inner, on grid: StepGrid) throws -> SampleCounts {
        let counts = try SampleCounts(grid, context)
        inner.append((counts, kind))
        return counts
    }

    /// Adds counts on the same grid, of some of the series.
    func add(_ slice: SampleCounts) {
        let other = slice.total()
        for step in 0..<grid.count {
            add(other.loadedPerStep[step], read: other.readPerStep[step], at: step)
        }
    }

    /// All that was counted.
    func total() -> QuerySamples {
        for (counts, kind) in inner { merge(counts.total(), counts.grid, kind) }
        inner = []
        return samples
    }

    private func merge(_ other: QuerySamples, _ otherGrid: StepGrid, _ kind: Inner) {
        guard grid.count > 0 else { return }
        switch kind {
        case .stepInvariant:
            let loaded = other.loaded
            for step in 0..<grid.count { samples.loadedPerStep[step] += loaded }
            samples.readPerStep[0] += other.read
        case .subquery(let offset, let range, let isResult):
            if isResult { samples.loadedPerStep[grid.count - 1] += other.loaded }
            for (index, read) in other.readPerStep.enumerated() where read > 0 {
                let time = otherGrid.millis(index) &+ (isResult ? 0 : offset)
                if let step = firstStep(seeing: time, range: isResult ? 0 : range) {
                    samples.readPerStep[step] += read
                }
            }
        }
    }

    /// The step that is charged for a time of a subquery; nil when it lies between the windows.
    private func firstStep(seeing time: Int64, range: Int64) -> Int? {
        guard grid.count > 1, time > grid.start else { return 0 }
        let step = min(grid.count - 1, Int((time &- grid.start &+ grid.step &- 1) / grid.step))
        return range > 0 && time <= grid.millis(step) &- range ? nil : step
    }
}

extension NativeHistogram {
    /// Floats whose memory a histogram takes, with their times.
    fileprivate var sampleSize: Int {
        let entries =
            positiveSpans.count + negativeSpans.count + positiveBuckets.count
            + negativeBuckets.count + customBounds.count
        return (168 + 8 * entries + 8) / 16
    }
}

extension Evaluator {
    /// Builds an expression that is evaluated on a grid of its own, so that its samples are
    /// counted apart where they are counted.
    func onGrid<T>(
        _ grid: StepGrid, _ kind: SampleCounts.Inner, _ build: (Evaluator) throws -> T
    ) throws -> T {
        guard let counts = scope.counts else { return try build(self) }
        let scope = EvaluationScope(
            context: scope.context, annotations: scope.annotations,
            delayedNameRemoval: scope.delayedNameRemoval)
        scope.counts = try counts.counts(of: kind, on: grid)
        let evaluator = Evaluator(
            reader: reader, tenant: tenant, options: options, scope: scope, slice: slice,
            recorder: recorder)
        defer { selected = evaluator.selected ?? selected }
        return try build(evaluator)
    }
}
