// SPDX-License-Identifier: Apache-2.0
// Pipelines whose expressions are ready to be asked.

import Base
import Telemetry

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

/// A number made of spans.
indirect enum CompiledScalar {
    case constant(Static)
    case aggregate(SpanAggregate, CompiledExpression?, name: String)
    /// The number that a pipeline of its own ends with.
    case pipeline(CompiledPipeline, CompiledScalar)
    case binary(FieldOperator, CompiledScalar, CompiledScalar)

    init(_ expression: ScalarExpression) throws {
        switch expression {
        case .constant(let value): self = .constant(value)
        case .aggregate(let aggregate, let inner):
            self = .aggregate(
                aggregate, try inner.map(CompiledExpression.init),
                name: "\(aggregate.rawValue)(\(inner?.text ?? ""))")
        case .pipeline(let pipeline):
            guard case .scalar(let last)? = pipeline.stages.last else {
                throw TraceQLValidationError("a pipeline in arithmetic must end with a number")
            }
            self = .pipeline(
                try CompiledPipeline(SpansetPipeline(stages: pipeline.stages.dropLast())),
                try CompiledScalar(last))
        case .binary(let operation, let left, let right):
            self = .binary(operation, try CompiledScalar(left), try CompiledScalar(right))
        }
    }
}

struct CompiledPipeline {
    enum Stage {
        case spanset(CompiledSpanset)
        case scalarFilter(FieldOperator, CompiledScalar, CompiledScalar)
        case group(CompiledExpression, name: String)
        case coalesce
    }
    let stages: [Stage]
    /// Attributes to show with the spans.
    let selected: [CompiledAttribute]

    init(_ pipeline: SpansetPipeline) throws {
        var stages: [Stage] = []
        for stage in pipeline.stages {
            switch stage {
            case .spanset(let expression): stages.append(.spanset(try CompiledSpanset(expression)))
            case .scalarFilter(let operation, let left, let right):
                stages.append(
                    .scalarFilter(
                        operation, try CompiledScalar(left), try CompiledScalar(right)))
            case .scalar:
                throw TraceQLValidationError("a pipeline that ends with a number is no search")
            case .group(let expression):
                stages.append(
                    .group(try CompiledExpression(expression), name: "by(\(expression.text))"))
            case .coalesce: stages.append(.coalesce)
            case .select: continue
            }
        }
        self.stages = stages
        selected = pipeline.shownAttributes.map(CompiledAttribute.init)
    }
}

/// An attribute and its name's bytes.
struct CompiledAttribute {
    let attribute: Attribute
    let name: SharedBytes

    init(_ attribute: Attribute) {
        self.attribute = attribute
        name = SharedBytes(Array(attribute.name.utf8))
    }
}

extension SpansetPipeline {
    /// Attributes that the query reads or selects, each once. Intrinsics only where selected: most
    /// of them are part of every answer.
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
        func visit(_ expression: ScalarExpression) {
            switch expression {
            case .constant: return
            case .aggregate(_, let inner): add(inner?.attributes ?? [])
            case .pipeline(let inner): add(inner.shownAttributes, selected: true)
            case .binary(_, let left, let right):
                visit(left)
                visit(right)
            }
        }
        for stage in stages {
            switch stage {
            case .spanset(let expression): visit(expression)
            case .scalarFilter(_, let left, let right):
                visit(left)
                visit(right)
            case .scalar(let expression): visit(expression)
            case .group(let expression): add(expression.attributes)
            case .select(let attributes): add(attributes, selected: true)
            case .coalesce: continue
            }
        }
        return result
    }
}
