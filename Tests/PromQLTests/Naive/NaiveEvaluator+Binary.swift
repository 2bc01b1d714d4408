// SPDX-License-Identifier: Apache-2.0
// Binary operators of the naive evaluator.

import Glibc
import Telemetry

@testable import PromQL

extension NaiveEvaluator {
    func binary(_ node: BinaryExpression, at t: Int64) throws -> Result {
        let left = try evaluate(node.left, at: t), right = try evaluate(node.right, at: t)
        switch (left, right) {
        case (.scalar(let a), .scalar(let b)):
            if node.operation.isComparison {
                return .scalar(holds(node.operation, a, b) ? 1 : 0)
            }
            return .scalar(arithmetic(node.operation, a, b))
        case (.vector(let vector), .scalar(let scalar)):
            return .vector(try withScalar(node, vector, scalar, isSwapped: false))
        case (.scalar(let scalar), .vector(let vector)):
            return .vector(try withScalar(node, vector, scalar, isSwapped: true))
        case (.vector(let a), .vector(let b)):
            return .vector(
                node.operation.isSet ? try set(node, a, b) : try matched(node, a, b))
        default: throw NaiveFailure(reason: "an operator on a string")
        }
    }

    private func arithmetic(_ operation: BinaryOperator, _ a: Double, _ b: Double) -> Double {
        switch operation {
        case .add: a + b
        case .subtract: a - b
        case .multiply: a * b
        case .divide: a / b
        case .modulo: fmod(a, b)
        case .power: pow(a, b)
        case .atan2: Glibc.atan2(a, b)
        default: .nan
        }
    }

    private func holds(_ operation: BinaryOperator, _ a: Double, _ b: Double) -> Bool {
        switch operation {
        case .equal: a == b
        case .notEqual: a != b
        case .greater: a > b
        case .less: a < b
        case .greaterOrEqual: a >= b
        case .lessOrEqual: a <= b
        default: false
        }
    }

    /// The value of `a op b`, nil when there is none.
    private func combined(
        _ operation: BinaryOperator, _ a: NaiveValue, _ b: NaiveValue
    ) -> NaiveValue? {
        switch (a, b) {
        case (.float(let a), .float(let b)):
            return .float(arithmetic(operation, a, b))
        case (.histogram(let a), .histogram(let b)):
            switch operation {
            case .add: return a.combined(b, sign: 1).map(NaiveValue.histogram)
            case .subtract: return a.combined(b, sign: -1).map(NaiveValue.histogram)
            default: return nil
            }
        case (.histogram(let a), .float(let b)):
            switch operation {
            case .multiply: return .histogram(a.scaled { $0 * b })
            case .divide:
                var result = a.scaled { $0 / b }
                if b == 0 {
                    result.positive = [:]
                    result.negative = [:]
                }
                return .histogram(result)
            default: return nil
            }
        case (.float(let a), .histogram(let b)):
            return operation == .multiply ? .histogram(b.scaled { $0 * a }) : nil
        }
    }

    /// Whether a comparison holds, nil when the values cannot be compared.
    private func compared(
        _ operation: BinaryOperator, _ a: NaiveValue, _ b: NaiveValue
    ) -> Bool? {
        switch (a, b) {
        case (.float(let a), .float(let b)): return holds(operation, a, b)
        case (.histogram(let a), .histogram(let b)):
            switch operation {
            case .equal: return a == b
            case .notEqual: return a != b
            default: return nil
            }
        default: return nil
        }
    }

    private func withScalar(
        _ node: BinaryExpression, _ vector: NaiveVector, _ scalar: Double, isSwapped: Bool
    ) throws -> NaiveVector {
        var result: NaiveVector = []
        for (tags, value) in vector {
            let other = NaiveValue.float(scalar)
            let (a, b) = isSwapped ? (other, value) : (value, other)
            if node.operation.isComparison {
                guard let holds = compared(node.operation, a, b) else { continue }
                if node.returnBool {
                    result.append((unnamed(tags), .float(holds ? 1 : 0)))
                } else if holds {
                    result.append((tags, value))
                }
            } else if let combined = combined(node.operation, a, b) {
                result.append((unnamed(tags), combined))
            }
        }
        return try unique(result)
    }

    // MARK: Vectors

    private func signature(_ tags: Tags, _ matching: VectorMatching) -> Tags {
        matching.isOn
            ? tags.filter { matching.labels.contains($0.key) }
            : tags.filter { !matching.labels.contains($0.key) && $0.key != "__name__" }
    }

    private func set(
        _ node: BinaryExpression, _ a: NaiveVector, _ b: NaiveVector
    ) throws -> NaiveVector {
        let matching = node.matching ?? VectorMatching()
        let inA = Set(a.map { signature($0.tags, matching) })
        let inB = Set(b.map { signature($0.tags, matching) })
        switch node.operation {
        case .and: return a.filter { inB.contains(signature($0.tags, matching)) }
        case .unless: return a.filter { !inB.contains(signature($0.tags, matching)) }
        default:
            return try unique(a + b.filter { !inA.contains(signature($0.tags, matching)) })
        }
    }

    private func matched(
        _ node: BinaryExpression, _ left: NaiveVector, _ right: NaiveVector
    ) throws -> NaiveVector {
        let matching = node.matching ?? VectorMatching()
        if left.isEmpty || right.isEmpty { return [] }
        let isSwapped = matching.cardinality == .oneToMany
        let (many, one) = isSwapped ? (right, left) : (left, right)
        var bySignature: [Tags: (tags: Tags, value: NaiveValue)] = [:]
        for sample in one {
            let key = signature(sample.tags, matching)
            if bySignature[key] != nil {
                throw NaiveFailure(reason: "several series on the one side")
            }
            bySignature[key] = sample
        }
        var result: NaiveVector = []
        var used: Set<Tags> = []
        for sample in many {
            let key = signature(sample.tags, matching)
            guard let other = bySignature[key] else { continue }
            let (a, b) =
                isSwapped ? (other.value, sample.value) : (sample.value, other.value)
            var value: NaiveValue?
            if node.operation.isComparison {
                guard let holds = compared(node.operation, a, b) else { continue }
                if node.returnBool { value = .float(holds ? 1 : 0) } else if holds { value = a }
            } else {
                value = combined(node.operation, a, b)
                if value == nil { continue }
            }
            // Also a pair that a comparison leaves out takes its place in the match.
            let tags = resultTags(node, matching, sample.tags, other.tags)
            let place = matching.cardinality == .oneToOne ? key : tags
            if !used.insert(place).inserted {
                throw NaiveFailure(reason: "several matches")
            }
            if let value { result.append((tags, value)) }
        }
        return try unique(result)
    }

    private func resultTags(
        _ node: BinaryExpression, _ matching: VectorMatching, _ many: Tags, _ one: Tags
    ) -> Tags {
        var tags = many
        if node.operation.changesMetric || node.returnBool { tags["__name__"] = nil }
        if matching.cardinality == .oneToOne {
            tags =
                matching.isOn
                ? tags.filter { matching.labels.contains($0.key) }
                : tags.filter { !matching.labels.contains($0.key) }
        }
        for name in matching.include { tags[name] = one[name] }
        return tags
    }
}
