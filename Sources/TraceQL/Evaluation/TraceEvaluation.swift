// SPDX-License-Identifier: Apache-2.0
// Runs a pipeline over one whole trace.

import Base
import Telemetry

/// Spans that belong together, by rows of the trace's batch.
struct Spanset {
    /// Ascending.
    var rows: [Int]
    /// What groups and filters found out: `by(…)`, `count()`, …
    var attributes: [(name: String, value: AttributeValue)] = []
}

/// A pipeline whose expressions are compiled.
indirect enum CompiledSpanset {
    case everything
    case filter(CompiledExpression)
    case pipeline(CompiledPipeline)
    case binary(SpansetOperator, CompiledSpanset, CompiledSpanset)

    init(_ expression: SpansetExpression) throws {
        switch expression {
        case .filter(nil): self = .everything
        case .filter(let condition?): self = .filter(try CompiledExpression(condition))
        case .pipeline(let pipeline): self = .pipeline(try CompiledPipeline(pipeline))
        case .binary(let operation, let left, let right):
            self = .binary(operation, try CompiledSpanset(left), try CompiledSpanset(right))
        }
    }
}

struct CompiledPipeline {
    enum Stage {
        case spanset(CompiledSpanset)
        case scalarFilter(FieldOperator, SpanAggregate, CompiledExpression?, Static, name: String)
        case group(CompiledExpression, name: String)
        case coalesce
    }
    let stages: [Stage]
    /// Attributes to show with the spans.
    let selected: [(attribute: Attribute, name: SharedBytes)]

    init(_ pipeline: SpansetPipeline) throws {
        var stages: [Stage] = []
        for stage in pipeline.stages {
            switch stage {
            case .spanset(let expression): stages.append(.spanset(try CompiledSpanset(expression)))
            case .scalarFilter(let operation, .aggregate(let aggregate, let expression), let right):
                guard let constant = right.constant else {
                    throw TraceQLValidationError.unsupported("scalar filter without a number")
                }
                stages.append(
                    .scalarFilter(
                        operation, aggregate, try expression.map(CompiledExpression.init), constant,
                        name: "\(aggregate.rawValue)(\(expression?.text ?? ""))"))
            case .scalarFilter, .scalar:
                throw TraceQLValidationError.unsupported("scalar filter without one aggregate")
            case .group(let expression):
                stages.append(
                    .group(try CompiledExpression(expression), name: "by(\(expression.text))"))
            case .coalesce: stages.append(.coalesce)
            case .select: continue
            }
        }
        self.stages = stages
        selected = pipeline.shownAttributes.map { ($0, SharedBytes(Array($0.name.utf8))) }
    }
}

extension SpansetPipeline {
    /// Attributes that the query reads or selects, each once.
    fileprivate var shownAttributes: [Attribute] {
        var result: [Attribute] = []
        func add(_ attributes: [Attribute], selected: Bool = false) {
            for attribute in attributes where !result.contains(attribute) {
                if selected || attribute.intrinsic == nil { result.append(attribute) }
            }
        }
        func visit(_ expression: SpansetExpression) {
            switch expression {
            case .filter(let condition): add(condition?.attributes ?? [])
            case .pipeline(let inner): add(inner.shownAttributes, selected: true)
            case .binary(_, let left, let right):
                visit(left)
                visit(right)
            }
        }
        for stage in stages {
            switch stage {
            case .spanset(let expression): visit(expression)
            case .scalarFilter(_, .aggregate(_, let expression?), _): add(expression.attributes)
            case .group(let expression): add(expression.attributes)
            case .select(let attributes): add(attributes, selected: true)
            default: continue
            }
        }
        return result
    }
}

struct TraceEvaluation {
    let reader: SpanReader
    let shape: TraceShape

    func run(_ pipeline: CompiledPipeline) -> [Spanset] {
        run(pipeline, [Spanset(rows: Array(0..<reader.batch.rowCount))])
    }

    private func run(_ pipeline: CompiledPipeline, _ input: [Spanset]) -> [Spanset] {
        var sets = input
        for stage in pipeline.stages {
            switch stage {
            case .spanset(let expression):
                sets = sets.compactMap { set in
                    let rows = rows(expression, set)
                    return rows.isEmpty ? nil : Spanset(rows: rows, attributes: set.attributes)
                }
            case .scalarFilter(let operation, let aggregate, let expression, let limit, let name):
                sets = sets.compactMap { set in
                    guard let value = number(aggregate, expression, set),
                        SpanValue.compare(operation, value, SpanValue(limit, text: nil), nil)
                    else { return nil }
                    var kept = set
                    kept.attributes.append((name, value.attributeValue))
                    return kept
                }
            case .group(let expression, let name):
                sets = sets.flatMap { grouped($0, expression, name) }
            case .coalesce:
                let rows = Set(sets.flatMap(\.rows)).sorted()
                sets = rows.isEmpty ? [] : [Spanset(rows: rows)]
            }
            if sets.isEmpty { break }
        }
        return sets
    }

    private func rows(_ expression: CompiledSpanset, _ set: Spanset) -> [Int] {
        switch expression {
        case .everything: return set.rows
        case .filter(let condition):
            return set.rows.filter { reader.value(condition, $0).isTrue }
        case .pipeline(let pipeline):
            return Set(run(pipeline, [set]).flatMap(\.rows)).sorted()
        case .binary(let operation, let left, let right):
            let a = rows(left, set), b = rows(right, set)
            switch operation {
            case .and: return a.isEmpty || b.isEmpty ? [] : Set(a).union(b).sorted()
            case .or: return Set(a).union(b).sorted()
            default: return Structure(shape: shape).apply(operation, a, b)
            }
        }
    }

    /// The aggregate over the spans that have the number; nil when none has.
    private func number(
        _ aggregate: SpanAggregate, _ expression: CompiledExpression?, _ set: Spanset
    ) -> SpanValue? {
        guard aggregate != .count, let expression else { return .int(Int64(set.rows.count)) }
        var isDuration = true, isWhole = true
        var numbers: [Double] = []
        for row in set.rows {
            guard let value = reader.value(expression, row).numeric,
                let number = Arithmetic.number(value)
            else { continue }
            numbers.append(number)
            if value.type != .duration { isDuration = false }
            if value.type == .float { isWhole = false }
        }
        guard let first = numbers.first else { return nil }
        let result: Double
        switch aggregate {
        case .min: result = numbers.reduce(first, min)
        case .max: result = numbers.reduce(first, max)
        case .sum, .count: result = numbers.reduce(0, +)
        case .avg:
            result = numbers.reduce(0, +) / Double(numbers.count)
            isWhole = isDuration
        }
        if isWhole, let whole = Int64(exactly: result.rounded()) {
            return isDuration ? .duration(whole) : .int(whole)
        }
        return .float(result)
    }

    /// One spanset per value, in order of the first span with it.
    private func grouped(
        _ set: Spanset, _ expression: CompiledExpression, _ name: String
    ) -> [Spanset] {
        var groups: [(value: AttributeValue, rows: [Int])] = []
        var known: [String: Int] = [:]
        for row in set.rows {
            let value = reader.value(expression, row).attributeValue
            let key = "\(value)"
            if let i = known[key] {
                groups[i].rows.append(row)
            } else {
                known[key] = groups.count
                groups.append((value, [row]))
            }
        }
        return groups.map { group in
            Spanset(rows: group.rows, attributes: set.attributes + [(name, group.value)])
        }
    }
}
