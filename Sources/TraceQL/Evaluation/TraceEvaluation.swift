// SPDX-License-Identifier: Apache-2.0
// Runs a pipeline over one whole trace.

import Base
import Telemetry

/// Spans that belong together, by rows of the trace's batch.
struct Spanset {
    /// By start, as in `TraceShape.order`.
    var rows: [Int]
    /// What groups and filters found out: `by(…)`, `count()`, …
    var attributes: [(name: String, value: AttributeValue)] = []
}

struct TraceEvaluation {
    let reader: SpanReader
    let shape: TraceShape

    func run(_ pipeline: CompiledPipeline) -> [Spanset] {
        run(pipeline, Spanset(rows: shape.order))
    }

    private func run(_ pipeline: CompiledPipeline, _ input: Spanset) -> [Spanset] {
        var sets = [input]
        for stage in pipeline.stages {
            switch stage {
            case .spanset(let expression):
                sets = sets.compactMap { set in
                    let rows = rows(expression, set)
                    return rows.isEmpty ? nil : Spanset(rows: rows, attributes: set.attributes)
                }
            case .scalarFilter(let operation, let left, let right):
                sets = sets.compactMap { filtered($0, operation, left, right) }
            case .group(let expression, let name):
                sets = sets.flatMap { grouped($0, expression, name) }
            case .coalesce:
                let rows = union(of: sets)
                sets = rows.isEmpty ? [] : [Spanset(rows: rows)]
            }
            if sets.isEmpty { break }
        }
        return sets
    }

    // MARK: spansets

    private func rows(_ expression: CompiledSpanset, _ set: Spanset) -> [Int] {
        switch expression {
        case .everything: return set.rows
        case .filter(let condition):
            return set.rows.filter { reader.value(condition, $0).isTrue }
        case .pipeline(let pipeline): return union(of: run(pipeline, set))
        case .binary(let operation, let left, let right):
            let a = rows(left, set), b = rows(right, set)
            switch operation {
            case .and: return a.isEmpty || b.isEmpty ? [] : union(a, b)
            case .or: return union(a, b)
            default: return Structure(shape: shape).apply(operation, a, b)
            }
        }
    }

    private func union(of sets: [Spanset]) -> [Int] {
        sets.count == 1 ? sets[0].rows : sets.reduce([]) { union($0, $1.rows) }
    }

    private func union(_ a: [Int], _ b: [Int]) -> [Int] {
        if a.isEmpty || b.isEmpty { return a.isEmpty ? b : a }
        var isMember = [Bool](repeating: false, count: reader.batch.rowCount)
        for row in a { isMember[row] = true }
        for row in b { isMember[row] = true }
        return shape.order.filter { isMember[$0] }
    }

    // MARK: groups

    /// One spanset per value, in order of the first span with it.
    private func grouped(
        _ set: Spanset, _ expression: CompiledExpression, _ name: String
    ) -> [Spanset] {
        var table = GroupTable()
        var key = ByteWriter()
        var groups: [Spanset] = []
        for row in set.rows {
            let value = reader.value(expression, row)
            key.bytes.removeAll(keepingCapacity: true)
            value.encode(into: &key)
            let group = table.number(of: key.bytes)
            if group == groups.count {
                groups.append(
                    Spanset(
                        rows: [row], attributes: set.attributes + [(name, value.attributeValue)]))
            } else {
                groups[group].rows.append(row)
            }
        }
        return groups
    }

    // MARK: numbers

    /// The set, when the comparison holds, with what its aggregates are. Where numbers come from
    /// pipelines of their own the spans of these stand for it.
    private func filtered(
        _ set: Spanset, _ operation: FieldOperator, _ left: CompiledScalar, _ right: CompiledScalar
    ) -> Spanset? {
        var kept = set
        var rows: [Int]?
        guard let a = number(left, set, &kept.attributes, &rows),
            let b = number(right, set, &kept.attributes, &rows),
            SpanValue.compare(operation, SpanValue(a, text: nil), SpanValue(b, text: nil), nil)
        else { return nil }
        if let rows {
            if rows.isEmpty { return nil }
            kept.rows = rows
        }
        return kept
    }

    /// - Parameters:
    ///   - shown: gets the aggregates over the set itself.
    ///   - rows: gets the spans of pipelines.
    private func number(
        _ scalar: CompiledScalar, _ set: Spanset,
        _ shown: inout [(name: String, value: AttributeValue)], _ rows: inout [Int]?
    ) -> Static? {
        switch scalar {
        case .constant(let value): return value
        case .aggregate(let aggregate, let expression, let name):
            guard let value = number(aggregate, expression, set.rows) else { return nil }
            if !shown.contains(where: { $0.name == name }) {
                shown.append((name, SpanValue(value, text: nil).attributeValue))
            }
            return value
        case .pipeline(let pipeline, let last):
            let found = Spanset(rows: union(of: run(pipeline, set)))
            rows = union(rows ?? [], found.rows)
            var inner: [(name: String, value: AttributeValue)] = []
            return number(last, found, &inner, &rows)
        case .binary(let operation, let left, let right):
            let a = number(left, set, &shown, &rows), b = number(right, set, &shown, &rows)
            guard let a, let b else { return nil }
            return Arithmetic.apply(operation, a, b)
        }
    }

    /// The aggregate over the numbers that spans have; nil when none has one. Whole numbers are
    /// added exactly while they fit.
    private func number(
        _ aggregate: SpanAggregate, _ expression: CompiledExpression?, _ rows: [Int]
    ) -> Static? {
        guard aggregate != .count, let expression else { return .int(Int64(rows.count)) }
        var total = RunningTotal(aggregate)
        for row in rows {
            switch reader.value(expression, row) {
            case .list(let items):
                for item in items { if let number = item.numeric { total.add(number) } }
            case let value: if let number = value.numeric { total.add(number) }
            }
        }
        return total.result
    }
}

/// Folds numbers of any types.
private struct RunningTotal {
    private let aggregate: SpanAggregate
    private var extreme: Static?
    private var whole: Int64? = 0
    private var real = 0.0
    private var count = 0
    private var isDuration = true

    init(_ aggregate: SpanAggregate) { self.aggregate = aggregate }

    mutating func add(_ number: Static) {
        guard let value = Arithmetic.number(number), !value.isNaN else { return }
        count += 1
        real += value
        if number.type != .duration { isDuration = false }
        switch number {
        case .int(let next), .duration(let next):
            whole = whole.flatMap {
                let (sum, overflow) = $0.addingReportingOverflow(next)
                return overflow ? nil : sum
            }
        default: whole = nil
        }
        guard let held = extreme else {
            extreme = number
            return
        }
        let operation: FieldOperator = aggregate == .min ? .less : .greater
        if SpanValue.compare(
            operation, SpanValue(number, text: nil), SpanValue(held, text: nil), nil)
        {
            extreme = number
        }
    }

    var result: Static? {
        if count == 0 { return nil }
        switch aggregate {
        case .min, .max: return extreme
        case .sum, .count:
            guard let whole else { return .float(real) }
            return isDuration ? .duration(whole) : .int(whole)
        case .avg:
            let mean = (whole.map(Double.init) ?? real) / Double(count)
            if isDuration, let nanos = Int64(exactly: mean.rounded()) { return .duration(nanos) }
            return .float(mean)
        }
    }
}
