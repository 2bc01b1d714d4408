// SPDX-License-Identifier: Apache-2.0
// Range aggregations: from lines to series.

import Base
import PromQL
import Telemetry

/// Evaluates one range aggregation at all steps.
struct RangeEvaluation {
    let aggregation: RangeAggregation
    let steps: EvaluationSteps
    let tenant: Tenant
    let context: ReadContext
    let nowNanos: Int64
    /// Replaces the aggregation's own grouping when an outer `sum` needs no more labels than these.
    var pushedGrouping: LabelGrouping?

    private var range: Int64 { aggregation.rangeNanos }

    private func request(_ filters: [LineFilter]) -> LogRequest {
        let offset = aggregation.offsetNanos
        func saturating(_ value: Int64, minus amount: Int64) -> Int64 {
            let (result, overflow) = value.subtractingReportingOverflow(amount)
            return overflow ? (amount > 0 ? .min : .max) : result
        }
        let first = saturating(saturating(steps.startNanos, minus: offset), minus: range - 1)
        let last = saturating(steps.lastNanos, minus: offset)
        return LogRequest(
            tenant: tenant, matchers: aggregation.selector.matchers,
            range: NanosRange(first: Nanos(first), last: Nanos(last)), filters: filters)
    }

    func series(
        from reader: any LogReading, _ statistics: inout LogQLStatistics
    ) throws -> [MetricSeries] {
        switch aggregation.operation {
        case .absentOverTime: try absent(reader, &statistics)
        case .countOverTime, .bytesOverTime, .bytesRate: try additive(reader, &statistics)
        case .rate where aggregation.unwrap == nil: try additive(reader, &statistics)
        default: try unwrapped(reader, &statistics)
        }
    }

    /// Runs the pipeline and hands over each line that falls into a window, with the steps it
    /// belongs to.
    private func forEachSample(
        _ reader: any LogReading, _ statistics: inout LogQLStatistics,
        counting: RowCounting? = nil, columns: LogColumns = .all,
        _ body: (_ value: Double, _ nanos: Int64, _ steps: ClosedRange<Int>, LineState, GroupHint)
            throws -> Void
    ) throws {
        let unwrap = aggregation.unwrap.map { UnwrapStage($0) }
        let filters = try aggregation.unwrap?.filters.map { try LabelFilterStage($0) } ?? []
        let extra: [any Stage] = (unwrap.map { [$0] } ?? []) + filters
        let pipeline = try Pipeline(
            aggregation.selector.stages, nowNanos: nowNanos, extra: extra, needed: neededLabels)
        var request = request(pipeline.pushedFilters)
        request.columns = columns
        request.conditions = pipeline.pushedConditions
        request.numbers = pipeline.pushedNumbers
        try pipeline.run(
            request, on: reader, context, &statistics, counting: counting
        ) { state, stream, batch, hasMetadata in
            let nanos = state.nanos &+ aggregation.offsetNanos
            guard let window = steps.indices(of: nanos, range: range) else { return true }
            if state.hasError { throw PipelineError(state) }
            let hint = GroupHint(
                stream: stream, batch: batch,
                isOfStream: !pipeline.changesLabels && !hasMetadata)
            try body(unwrap?.value ?? 0, nanos, window, state, hint)
            return true
        }
    }

    /// Labels that the aggregation looks at; nil = all.
    private var neededLabels: Set<String>? {
        var names: Set<String> = []
        if aggregation.operation != .absentOverTime {
            guard let grouping = pushedGrouping ?? aggregation.grouping, !grouping.isWithout else {
                return nil
            }
            names.formUnion(grouping.labels)
        }
        if let unwrap = aggregation.unwrap {
            names.insert(unwrap.label)
            for filter in unwrap.filters { names.formUnion(filter.names) }
        }
        return names
    }

    /// Bytes that a series takes in the answer.
    private var answerByteCount: Int { 128 + StepColumn.byteCount(steps: steps.count) }

    private func seriesKey() -> SeriesKey {
        SeriesKey(pushedGrouping ?? aggregation.grouping, unwrapped: aggregation.unwrap?.label)
    }

    // MARK: counts and bytes

    /// Sums of whole numbers: each line is added where its steps begin and taken off behind their
    /// end, and one pass at the end makes totals of it. Costs the same whatever the range.
    private func additive(
        _ reader: any LogReading, _ statistics: inout LogQLStatistics
    ) throws -> [MetricSeries] {
        let operation = aggregation.operation
        let countsBytes = operation == .bytesOverTime || operation == .bytesRate
        let width = steps.count + 1
        var groups = SeriesGroups(
            seriesKey(), seriesByteCount: width * (countsBytes ? 16 : 8) + answerByteCount, context)
        var lines: [Int] = []
        var bytes: [Int] = []
        func add(
            _ index: Int, _ window: ClosedRange<Int>, _ lineCount: Int, _ byteCount: Int
        ) {
            if index * width == lines.count {
                lines.append(contentsOf: repeatElement(0, count: width))
                if countsBytes { bytes.append(contentsOf: repeatElement(0, count: width)) }
            }
            lines[index * width + window.lowerBound] += lineCount
            lines[index * width + window.upperBound + 1] -= lineCount
            if countsBytes {
                bytes[index * width + window.lowerBound] += byteCount
                bytes[index * width + window.upperBound + 1] -= byteCount
            }
        }
        // Without stages all lines of a stream in the same windows count alike, and only their number
        // and their bytes matter.
        let isPlain = aggregation.selector.stages.allSatisfy(\.dropsErrorsOnly)
        let readsLines =
            !isPlain
            && aggregation.selector.stages.contains { stage in
                if case .labelFilter = stage { false } else { true }
            }
        let state = LineState(wanted: nil)
        try forEachSample(
            reader, &statistics,
            counting: isPlain
                ? RowCounting(likeness: likeness) { rows in
                    guard let window = windows(of: rows.nanos) else { return }
                    let index = try rows.stream.bytes.withUnsafeBytes { labels in
                        try rows.metadata.withUnsafeBytes { metadata in
                            state.begin(
                                line: .nothing, nanos: rows.nanos, streamLabels: labels,
                                metadata: metadata)
                            return try groups.index(
                                of: state, GroupHint(stream: 0, batch: 0, isOfStream: false))
                        }
                    }
                    if let index { add(index, window, rows.count, rows.byteCount) }
                } : nil,
            columns: readsLines || countsBytes ? .all : [.metadata]
        ) { _, _, window, state, hint in
            if let index = try groups.index(of: state, hint) {
                add(index, window, 1, state.line.count)
            }
        }
        let isRate = operation == .rate || operation == .bytesRate
        let divisor = isRate ? Double(range) / 1e9 : 1
        return (0..<groups.table.count).map { index in
            var column = StepColumn(steps: steps.count)
            var lineTotal = 0, byteTotal = 0
            for step in 0..<steps.count {
                lineTotal += lines[index * width + step]
                if countsBytes { byteTotal += bytes[index * width + step] }
                if lineTotal > 0 {
                    column.set(step, Double(countsBytes ? byteTotal : lineTotal) / divisor)
                }
            }
            return MetricSeries(labels: groups.table.labels(index), column: column)
        }
    }

    private func windows(of nanos: Int64) -> ClosedRange<Int>? {
        steps.indices(of: nanos &+ aggregation.offsetNanos, range: range)
    }

    /// Rows of a stream between two times count alike where they belong to the same windows and the
    /// same series: where no metadata of their own takes part in its labels, or the same.
    private func likeness(
        _ stream: Labels, _ first: Int64, _ last: Int64
    ) -> RowCounting.Likeness {
        guard let window = windows(of: first), window == windows(of: last) else { return .never }
        guard let grouping = pushedGrouping ?? aggregation.grouping, !grouping.isWithout else {
            return .metadata(nil)
        }
        let suffix = "_extracted"
        // A stream's own label stands before the metadata's, which then has the suffix.
        var names = grouping.labels.filter { stream[$0] == nil || $0.hasSuffix(suffix) }
        names += names.filter { $0.hasSuffix(suffix) }.map { String($0.dropLast(suffix.count)) }
        return names.isEmpty ? .none : .metadata(names)
    }

    // MARK: absence

    /// 1 at each step whose window holds no line at all, labelled by what the selector demands.
    private func absent(
        _ reader: any LogReading, _ statistics: inout LogQLStatistics
    ) throws -> [MetricSeries] {
        var changes = [Int](repeating: 0, count: steps.count + 1)
        try forEachSample(reader, &statistics) { _, _, window, _, _ in
            changes[window.lowerBound] += 1
            changes[window.upperBound + 1] -= 1
        }
        var column = StepColumn(steps: steps.count)
        var total = 0
        for step in 0..<steps.count {
            total += changes[step]
            if total == 0 { column.set(step, 1) }
        }
        return column.isEmpty ? [] : [MetricSeries(labels: absentLabels(), column: column)]
    }

    /// Labels of equality matchers, of those names that are matched only once.
    private func absentLabels() -> Labels {
        let matchers = aggregation.selector.matchers
        let unique = matchers.filter { matcher in
            matcher.operation == .equal && matchers.filter { $0.name == matcher.name }.count == 1
        }
        return Labels(unique.map { ($0.name, $0.value) })
    }

    // MARK: unwrapped values

    private func unwrapped(
        _ reader: any LogReading, _ statistics: inout LogQLStatistics
    ) throws -> [MetricSeries] {
        var groups = SeriesGroups(
            seriesKey(), seriesByteCount: 128 + answerByteCount, context)
        var samples: [WindowSamples] = []
        try forEachSample(reader, &statistics) { value, nanos, _, state, hint in
            guard let index = try groups.index(of: state, hint) else { return }
            if index == samples.count { samples.append(WindowSamples()) }
            try context.reserve(16)
            samples[index].append(nanos, value)
        }
        return try samples.indices.map { index in
            try context.check()
            samples[index].sort()
            return MetricSeries(
                labels: groups.table.labels(index), column: windows(samples[index]))
        }
    }

    /// The function at each step, over a window that slides along the samples.
    private func windows(_ samples: WindowSamples) -> StepColumn {
        var column = StepColumn(steps: steps.count)
        var low = 0, high = 0
        for step in 0..<steps.count {
            let end = steps.nanos(at: step)
            while high < samples.nanos.count, samples.nanos[high] <= end { high += 1 }
            while low < high, samples.nanos[low] <= end &- range { low += 1 }
            guard low < high else { continue }
            let value = aggregation.operation.value(
                samples, low..<high, windowEnd: end, range: range,
                parameter: aggregation.parameter ?? 0)
            column.set(step, value)
        }
        return column
    }
}

/// A metric query met a line that a stage could not work on.
package struct PipelineError: Error, Sendable, CustomStringConvertible {
    /// Value of `__error__`.
    package let fault: String
    package let series: Labels

    init(_ state: LineState) {
        fault = state.errorText
        series = state.labels()
    }

    package var description: String {
        "pipeline error: '\(fault)' for series: '\(series)'.\nUse a label filter to intentionally "
            + "skip this error. (e.g | __error__!=\"\(fault)\").\nTo skip all potential errors you "
            + "can match empty errors.(e.g __error__=\"\")\nThe label filter can also be specified "
            + "after unwrap. (e.g | unwrap latency | __error__=\"\" )\n"
    }
}

extension StageSyntax {
    /// Whether the stage only removes what other stages say of their failures.
    fileprivate var dropsErrorsOnly: Bool {
        guard case .drop(let selections) = self else { return false }
        return selections.allSatisfy { [ErrorLabels.error, ErrorLabels.details].contains($0.name) }
    }
}
