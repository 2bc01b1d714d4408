// SPDX-License-Identifier: Apache-2.0
// Pipelines over a trace, told plainly.

import Telemetry

indirect enum NaiveSpanset {
    case filter(NaiveExpression?)
    case binary(String, NaiveSpanset, NaiveSpanset)
    case pipeline([NaiveStage])

    var text: String {
        switch self {
        case .filter(nil): "{ }"
        case .filter(let condition?): "{ " + condition.text + " }"
        case .pipeline(let stages): "(" + naiveText(stages) + ")"
        case .binary(let operation, let left, let right):
            "(" + left.text + ") " + operation + " (" + right.text + ")"
        }
    }
}

indirect enum NaiveScalar {
    case constant(NaiveValue, text: String)
    case aggregate(String, NaiveExpression?)
    case pipeline([NaiveStage], NaiveScalar)
    case binary(String, NaiveScalar, NaiveScalar)

    var text: String {
        switch self {
        case .constant(_, let text): text
        case .aggregate(let name, let inner): "\(name)(\(inner?.text ?? ""))"
        case .pipeline(let stages, let last): "(" + naiveText(stages) + " | " + last.text + ")"
        case .binary(let operation, let left, let right):
            "(" + left.text + " " + operation + " " + right.text + ")"
        }
    }
}

enum NaiveStage {
    case spanset(NaiveSpanset)
    case by(NaiveExpression)
    case coalesce
    case select([NaiveAttribute])
    case scalar(String, NaiveScalar, NaiveScalar)

    var text: String {
        switch self {
        case .spanset(let spanset): spanset.text
        case .by(let expression): "by(" + expression.text + ")"
        case .coalesce: "coalesce()"
        case .select(let attributes):
            "select(" + attributes.map(\.text).joined(separator: ", ") + ")"
        case .scalar(let operation, let left, let right):
            left.text + " " + operation + " " + right.text
        }
    }
}

func naiveText(_ stages: [NaiveStage]) -> String {
    stages.map(\.text).joined(separator: " | ")
}

/// A set of spans, by index, and the values of its groups in order.
struct NaiveSet {
    var spans: Set<Int>
    var groups: [NaiveValue] = []
}

extension NaiveTrace {
    func run(_ stages: [NaiveStage]) -> [NaiveSet] {
        run(stages, NaiveSet(spans: Set(spans.indices)))
    }

    private func run(_ stages: [NaiveStage], _ input: NaiveSet) -> [NaiveSet] {
        var sets = [input]
        for stage in stages {
            switch stage {
            case .spanset(let spanset):
                sets = sets.map { NaiveSet(spans: matching(spanset, $0.spans), groups: $0.groups) }
            case .by(let expression): sets = sets.flatMap { grouped($0, expression) }
            case .coalesce:
                sets = [NaiveSet(spans: sets.reduce(into: []) { $0.formUnion($1.spans) })]
            case .select: continue
            case .scalar(let operation, let left, let right):
                sets = sets.compactMap { filtered($0, operation, left, right) }
            }
            sets.removeAll { $0.spans.isEmpty }
        }
        return sets
    }

    private func grouped(_ set: NaiveSet, _ expression: NaiveExpression) -> [NaiveSet] {
        var groups: [NaiveSet] = []
        for i in set.spans.sorted() {
            var value = expression.value(self, i)
            if value == .other { value = .null }
            let known = groups.firstIndex { "\($0.groups.last ?? .null)" == "\(value)" }
            if let known {
                groups[known].spans.insert(i)
            } else {
                groups.append(NaiveSet(spans: [i], groups: set.groups + [value]))
            }
        }
        return groups
    }

    // MARK: spansets

    private func matching(_ spanset: NaiveSpanset, _ input: Set<Int>) -> Set<Int> {
        switch spanset {
        case .filter(nil): return input
        case .filter(let condition?): return input.filter { condition.value(self, $0).isTrue }
        case .pipeline(let stages):
            return run(stages, NaiveSet(spans: input)).reduce(into: []) { $0.formUnion($1.spans) }
        case .binary(let operation, let left, let right):
            let a = matching(left, input), b = matching(right, input)
            switch operation {
            case "&&": return a.isEmpty || b.isEmpty ? [] : a.union(b)
            case "||": return a.union(b)
            default: return related(operation, a, b)
            }
        }
    }

    private func related(_ operation: String, _ a: Set<Int>, _ b: Set<Int>) -> Set<Int> {
        let relation = operation.filter { $0 != "!" && $0 != "&" }
        func stands(_ left: Int, _ right: Int) -> Bool {
            switch relation {
            case ">": parents[right] == left
            case "<": parents[left] == right
            case ">>": isAncestor(left, of: right)
            case "<<": isAncestor(right, of: left)
            default:
                left != right && parents[left] != nil && parents[left] == parents[right]
            }
        }
        let partnered = b.filter { right in a.contains { stands($0, right) } }
        if operation.hasPrefix("!") { return b.subtracting(partnered) }
        guard operation.hasPrefix("&") else { return partnered }
        return partnered.union(a.filter { left in b.contains { stands(left, $0) } })
    }

    // MARK: numbers

    private func filtered(
        _ set: NaiveSet, _ operation: String, _ left: NaiveScalar, _ right: NaiveScalar
    ) -> NaiveSet? {
        let a = number(left, set.spans), b = number(right, set.spans)
        guard naiveHolds(operation, a, b) else { return nil }
        var result = set
        if let spans = pipelineSpans(left, set.spans, or: pipelineSpans(right, set.spans, or: nil))
        {
            result.spans = spans
        }
        return result
    }

    private func pipelineSpans(
        _ scalar: NaiveScalar, _ input: Set<Int>, or other: Set<Int>?
    ) -> Set<Int>? {
        switch scalar {
        case .constant, .aggregate: return other
        case .pipeline(let stages, _):
            let found = run(stages, NaiveSet(spans: input)).reduce(into: Set<Int>()) {
                $0.formUnion($1.spans)
            }
            return found.union(other ?? [])
        case .binary(_, let left, let right):
            return pipelineSpans(left, input, or: pipelineSpans(right, input, or: other))
        }
    }

    private func number(_ scalar: NaiveScalar, _ input: Set<Int>) -> NaiveValue {
        switch scalar {
        case .constant(let value, _): return value
        case .binary(let operation, let left, let right):
            return naiveArithmetic(operation, number(left, input), number(right, input))
        case .pipeline(let stages, let last):
            let found = run(stages, NaiveSet(spans: input)).reduce(into: Set<Int>()) {
                $0.formUnion($1.spans)
            }
            return number(last, found)
        case .aggregate("count", _): return .int(Int64(input.count))
        case .aggregate(let name, let expression):
            let values = input.sorted().flatMap {
                expression?.value(self, $0).items ?? []
            }.filter { $0.number.map { !$0.isNaN } ?? false }
            return aggregate(name, values)
        }
    }

    private func aggregate(_ name: String, _ values: [NaiveValue]) -> NaiveValue {
        if values.isEmpty { return .null }
        switch name {
        case "max":
            return values.dropFirst().reduce(values[0]) { naiveHolds(">", $1, $0) ? $1 : $0 }
        case "min":
            return values.dropFirst().reduce(values[0]) { naiveHolds("<", $1, $0) ? $1 : $0 }
        default: break
        }
        let isDuration = values.allSatisfy { if case .duration = $0 { true } else { false } }
        let isWhole = values.allSatisfy { if case .float = $0 { false } else { true } }
        let wholes = values.compactMap { value -> Int64? in
            switch value {
            case .int(let number), .duration(let number): number
            default: nil
            }
        }
        var exact: Int64? = isWhole ? 0 : nil
        for number in wholes {
            exact = exact.flatMap {
                let (sum, overflow) = $0.addingReportingOverflow(number)
                return overflow ? nil : sum
            }
        }
        let sum = exact.map(Double.init) ?? values.compactMap(\.number).reduce(0, +)
        if name == "sum" {
            guard let exact else { return .float(sum) }
            return isDuration ? .duration(exact) : .int(exact)
        }
        let mean = sum / Double(values.count)
        return isDuration ? .duration(Int64(mean.rounded())) : .float(mean)
    }
}
