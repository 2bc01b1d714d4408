// SPDX-License-Identifier: Apache-2.0
// `stats`, `top` and `uniq`: rows of numbers over lines that share labels.

import Base
import PromQL
import Telemetry

/// Evaluates a table of groups by columns, with one number or one per bucket of time.
struct StatsEvaluation {
    let query: AnalysisQuery
    let functions: [StatsFunction]
    let names: [String]
    /// The moment of the answer, or the beginnings of its buckets.
    let steps: EvaluationSteps
    let isBucketed: Bool
    let context: ReadContext
    let nowNanos: Int64

    init(
        _ query: AnalysisQuery, _ functions: [StatsFunction], by names: [String],
        everyNanos: Int64?, _ context: ReadContext, nowNanos: Int64
    ) throws {
        self.query = query
        self.functions = functions
        self.names = names
        self.context = context
        self.nowNanos = nowNanos
        isBucketed = everyNanos != nil
        if let every = everyNanos {
            // Buckets lie where they would for any other range.
            let first = query.startNanos - floorModulo(query.startNanos, every)
            steps = try EvaluationSteps(
                startNanos: first, endNanos: max(first, query.endNanos - 1), stepNanos: every)
        } else {
            steps = EvaluationSteps(instant: query.endNanos)
        }
    }

    func run(_ statistics: inout LogQLStatistics) throws -> [MetricSeries] {
        var wanted = Set(names)
        for function in functions { if let value = function.value { wanted.insert(value.label) } }
        let pipeline = try Pipeline(
            query.analysis.selector.stages, nowNanos: nowNanos, needed: wanted)
        var columns = functions.map(StatsColumn.init)
        let width = steps.count
        // While lines are added, and in the answer.
        let perGroup = columns.reduce(0) {
            $0 + $1.slotByteCount * width + 128 + StepColumn.byteCount(steps: width)
        }
        var groups = SeriesGroups(
            SeriesKey(LabelGrouping(isWithout: false, labels: names), unwrapped: nil),
            seriesByteCount: perGroup, context)
        var groupCount = 0
        var faulty = 0
        try pipeline.run(
            query.request(pipeline.pushedFilters), on: query.reader, context, &statistics
        ) { state, stream, batch, hasMetadata in
            if state.hasError { faulty += 1 }
            let hint = GroupHint(
                stream: stream, batch: batch,
                isOfStream: !pipeline.changesLabels && !hasMetadata)
            guard let group = try groups.index(of: state, hint) else { return true }
            if group == groupCount {
                groupCount += 1
                for i in columns.indices { columns[i].grow(to: groupCount * width) }
            }
            let step = isBucketed ? Int((state.nanos - steps.startNanos) / steps.stepNanos) : 0
            var held = 0
            for i in columns.indices { held += columns[i].add(state, group * width + step) }
            if held > 0 { try context.reserve(held) }
            return true
        }
        warn(columns, faulty: faulty)
        let order = sorted(groups, columns, count: groupCount)
        return order.flatMap { group in
            columns.compactMap { series(group, groups.table.labels(group), $0) }
        }
    }

    private func warn(_ columns: [StatsColumn], faulty: Int) {
        if faulty > 0 {
            context.warn(
                "\(faulty) lines could not be parsed and count without what was not found in them: "
                    + "`| __error__=\"\"` leaves them out")
        }
        for column in columns where column.unreadable > 0 {
            context.warn(
                "\(column.function.name) leaves out \(column.unreadable) lines whose "
                    + "\(column.function.value?.label ?? "") is no number")
        }
    }

    private func series(_ group: Int, _ labels: Labels, _ column: StatsColumn) -> MetricSeries? {
        let width = steps.count
        var values = StepColumn(steps: width)
        for step in 0..<width {
            // A bucket without lines has no point, not a count of none.
            guard let value = column.result(group * width + step),
                !isBucketed || value != 0 || !column.countsLines
            else { continue }
            values.set(step, value)
        }
        if values.isEmpty { return nil }
        return MetricSeries(
            labels: labels.setting("__name__", column.function.name), column: values)
    }

    /// Groups in the order of the query, cut to its limit; without one ascending by labels.
    private func sorted(
        _ groups: SeriesGroups, _ columns: [StatsColumn], count: Int
    ) -> ArraySlice<Int> {
        enum Key {
            case column(Int)
            case label(String)
        }
        let keys = query.analysis.sort.map { sort in
            let column = columns.firstIndex { $0.function.name == sort.name }
            return (key: column.map(Key.column) ?? .label(sort.name), sort.isDescending)
        }
        let labels = (0..<count).map { groups.table.labels($0) }
        let order = (0..<count).sorted { a, b in
            for (key, isDescending) in keys {
                let order: Int
                switch key {
                case .column(let i):
                    order = compareNumbers(columns[i].result(a), columns[i].result(b))
                case .label(let name):
                    order = compareValues(labels[a][name] ?? "", labels[b][name] ?? "")
                }
                if order != 0 { return isDescending ? order > 0 : order < 0 }
            }
            return labels[a] < labels[b]
        }
        return order.prefix(query.analysis.limit ?? .max)
    }
}

extension StatsColumn {
    var countsLines: Bool {
        switch function.operation {
        case .count, .bytes, .countUnique: true
        default: false
        }
    }
}

/// The remainder that is never negative.
func floorModulo(_ value: Int64, _ divisor: Int64) -> Int64 {
    let rest = value % divisor
    return rest < 0 ? rest + divisor : rest
}

/// Absent and NaN come first.
func compareNumbers(_ a: Double?, _ b: Double?) -> Int {
    let x = a ?? .nan, y = b ?? .nan
    if x.isNaN || y.isNaN { return (x.isNaN ? 0 : 1) - (y.isNaN ? 0 : 1) }
    return x < y ? -1 : x > y ? 1 : 0
}

/// As numbers where both are, else bytewise; numbers come in front of texts.
func compareValues(_ a: String, _ b: String) -> Int {
    var a = a, b = b
    return a.withUTF8 { x in
        b.withUTF8 { y in compareValues(Bytes(x), Bytes(y)) }
    }
}

func compareValues(_ a: Bytes, _ b: Bytes) -> Int {
    let x = numberOfText(a), y = numberOfText(b)
    switch (x, y) {
    case (let x?, let y?):
        let order = compareNumbers(x, y)
        return order == 0 ? compareBytes(a, b) : order
    case (.some, nil): return -1
    case (nil, .some): return 1
    case (nil, nil): return compareBytes(a, b)
    }
}
