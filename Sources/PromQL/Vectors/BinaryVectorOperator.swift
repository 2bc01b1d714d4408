// SPDX-License-Identifier: Apache-2.0
// Arithmetic and comparison between two vectors.

import Telemetry

/// Joins two vectors on labels. The "one" side is held in memory, the other streams through.
///
/// Source: prometheus/prometheus `promql/engine.go`, `VectorBinop`.
package final class BinaryVectorOperator: VectorOperator {
    private struct Output {
        var series: OutputSeries
        /// "Many" series that must have been consumed before the output is complete.
        var inputsNeeded: Int
        var contributors = 0
    }
    /// The "one" series of a match group, merged: at most one has a sample at each step.
    private struct OneSide {
        var members: [Int] = []
        var column: StepColumn?
        /// Which member the sample of a step belongs to; empty while there is one member.
        var owner: [Int32] = []
        /// Steps at which a "many" sample met the group.
        var matched: [Bool] = []
    }
    private let many: any VectorOperator
    private let one: any VectorOperator
    private let arithmetic: SampleArithmetic
    private let matching: VectorMatching
    private let returnBool: Bool
    private let steps: Int
    private let scope: EvaluationScope
    private let swapped: Bool

    private var manySeries: [OutputSeries] = []
    private var oneSeries: [OutputSeries] = []
    private var manyGroups: [Int] = []
    private var manyPerGroup: [Int] = []
    private var groups: [OneSide] = []
    private var outputs: [Output] = []
    private var outputOfPair: [PairKey: Int] = [:]
    private var pending: [Int: Partial] = [:]
    private var duplicates: [Int: QueryError] = [:]
    private var consumed = 0
    private var produced = 0
    private var scratch: StepColumn

    private struct PairKey: Hashable {
        var many: Int32
        var one: Int32
    }
    /// An output under construction.
    private struct Partial {
        var column: StepColumn
        /// Group that contributed at a step, −1 none; only with several contributors.
        var touched: [Int32]
    }

    package init(
        _ left: any VectorOperator, _ operation: BinaryOperator, _ right: any VectorOperator,
        matching: VectorMatching, returnBool: Bool, steps: Int, scope: EvaluationScope,
        at position: SourceRange = SourceRange(0, 0)
    ) {
        swapped = matching.cardinality == .oneToMany
        many = swapped ? right : left
        one = swapped ? left : right
        arithmetic = SampleArithmetic(
            operation: operation, annotations: scope.annotations, position: position)
        self.matching = matching
        self.returnBool = returnBool
        self.steps = steps
        self.scope = scope
        scratch = StepColumn(steps: steps)
    }

    // Fill values are taken by the position of the operands, before sides are swapped.
    private var manyFill: Double? { matching.fillLeft }
    private var oneFill: Double? { matching.fillRight }
    private var hasFill: Bool { manyFill != nil || oneFill != nil }

    package func series() throws -> [OutputSeries] {
        manySeries = try many.series()
        oneSeries = try one.series()
        var known: [Labels: Int] = [:]
        func group(_ labels: Labels) -> Int {
            let key = matching.signature(labels)
            if let existing = known[key] { return existing }
            known[key] = groups.count
            groups.append(OneSide())
            return groups.count - 1
        }
        manyGroups = manySeries.map { group($0.labels) }
        let oneGroups = oneSeries.map { group($0.labels) }
        manyPerGroup = [Int](repeating: 0, count: groups.count)
        for index in manyGroups { manyPerGroup[index] += 1 }
        try readOneSide(oneGroups)
        planOutputs()
        return outputs.map(\.series)
    }

    private func readOneSide(_ oneGroups: [Int]) throws {
        for index in oneSeries.indices {
            try scope.context.check()
            try one.next(into: &scratch)
            let group = oneGroups[index]
            // Nothing on the other side: only its duplicates could matter.
            if scratch.isEmpty { continue }
            if groups[group].column == nil {
                try scope.context.reserve(StepColumn.byteCount(steps: steps))
                groups[group].column = scratch
                groups[group].members = [index]
                continue
            }
            try merge(index, scratch, into: group)
        }
        for group in groups.indices where groups[group].column != nil {
            if matching.cardinality == .oneToOne && manyPerGroup[group] > 1 || manyFill != nil {
                groups[group].matched = [Bool](repeating: false, count: steps)
            }
        }
    }

    private func merge(_ index: Int, _ column: StepColumn, into group: Int) throws {
        guard var merged = groups[group].column else { return }
        groups[group].column = nil
        if groups[group].owner.isEmpty {
            groups[group].owner = [Int32](
                repeating: Int32(groups[group].members[0]), count: steps)
        }
        groups[group].members.append(index)
        for step in 0..<steps {
            guard let value = column[step] else { continue }
            if merged.kinds[step] != .none, duplicates[step] == nil {
                let earlier = Int(groups[group].owner[step])
                duplicates[step] = duplicateError(earlier, index)
            }
            merged.set(step, value)
            groups[group].owner[step] = Int32(index)
        }
        groups[group].column = merged
        if hasFill, let first = duplicates.min(by: { $0.key < $1.key }) { throw first.value }
    }

    private func duplicateError(_ a: Int, _ b: Int) -> QueryError {
        let first = metricText(oneSeries[a].labels), second = metricText(oneSeries[b].labels)
        let match = matching.matchLabels(oneSeries[b].labels)
        return QueryError(
            "found duplicate series for the match group \(match.description) on the "
                + "\(swapped ? "left" : "right") hand-side of the operation: "
                + "[\(min(first, second)), \(max(first, second))];many-to-many matching not "
                + "allowed: matching labels must be unique on one side")
    }

    private func metricText(_ labels: Labels) -> String { labels.description }

    // MARK: Outputs

    private func planOutputs() {
        var known: [Labels: Int] = [:]
        func add(_ many: Int, _ one: Int, _ labels: Labels, needs: Int) {
            let output: Int
            if let existing = known[labels] {
                output = existing
                outputs[output].inputsNeeded = max(outputs[output].inputsNeeded, needs)
            } else {
                output = outputs.count
                known[labels] = output
                outputs.append(
                    Output(
                        series: OutputSeries(labels, dropName: returnBool),
                        inputsNeeded: needs))
            }
            outputs[output].contributors += 1
            outputOfPair[PairKey(many: Int32(many), one: Int32(one))] = output
        }
        for (index, item) in manySeries.enumerated() {
            let group = groups[manyGroups[index]]
            for member in group.members {
                add(
                    index, member, resultLabels(item.labels, oneSeries[member].labels),
                    needs: index + 1)
            }
            if oneFill != nil {
                let labels = resultLabels(item.labels, matching.matchLabels(item.labels))
                add(index, -1, labels, needs: index + 1)
            }
        }
        guard manyFill != nil else { return }
        for group in groups {
            for member in group.members {
                let labels = oneSeries[member].labels
                add(
                    -1, member, resultLabels(matching.matchLabels(labels), labels),
                    needs: manySeries.count + 1)
            }
        }
    }

    private func resultLabels(_ many: Labels, _ one: Labels) -> Labels {
        var result = many
        let dropsName = !scope.delayedNameRemoval && returnBool
        if dropsName || arithmetic.operation.changesMetric { result = result.withoutName }
        if matching.cardinality == .oneToOne {
            result =
                matching.isOn ? result.keeping(matching.labels) : result.without(matching.labels)
        }
        for name in matching.include { result = result.setting(name, one[name] ?? "") }
        return result
    }

    // MARK: Samples

    package func next(into column: inout StepColumn) throws {
        let index = produced
        produced += 1
        while consumed < outputs[index].inputsNeeded {
            try scope.context.check()
            if consumed < manySeries.count {
                try many.next(into: &scratch)
                try consume(consumed, scratch)
            } else {
                try fillUnmatched()
            }
            consumed += 1
        }
        if let partial = pending.removeValue(forKey: index) {
            column = partial.column
        } else {
            column.clear()
        }
    }

    private func consume(_ index: Int, _ column: StepColumn) throws {
        if !duplicates.isEmpty {
            for step in duplicates.keys.sorted() where column.kinds[step] != .none {
                if let error = duplicates[step] { throw error }
            }
        }
        let group = manyGroups[index]
        let side = groups[group].column
        if side == nil, oneFill == nil { return }
        for step in 0..<steps {
            guard let sample = column[step] else { continue }
            let other: SampleValue
            let member: Int32
            if let side, let value = side[step] {
                other = value
                member =
                    groups[group].owner.isEmpty
                    ? Int32(groups[group].members[0]) : groups[group].owner[step]
            } else if let oneFill {
                other = .float(oneFill)
                member = -1
            } else {
                continue
            }
            try contribute(
                PairKey(many: Int32(index), one: member), sample, other, group, step)
        }
    }

    /// The operation with the fill value for what found no partner.
    private func fillUnmatched() throws {
        guard let manyFill else { return }
        for group in groups.indices {
            guard let column = groups[group].column else { continue }
            for step in 0..<steps {
                guard let value = column[step], !groups[group].matched[step] else { continue }
                let member =
                    groups[group].owner.isEmpty
                    ? Int32(groups[group].members[0]) : groups[group].owner[step]
                try contribute(
                    PairKey(many: -1, one: member), .float(manyFill), value, group, step)
            }
        }
    }

    private func contribute(
        _ pair: PairKey, _ manySample: SampleValue, _ oneSample: SampleValue, _ group: Int,
        _ step: Int
    ) throws {
        let result =
            swapped
            ? arithmetic.apply(oneSample, manySample) : arithmetic.apply(manySample, oneSample)
        guard let result, let output = outputOfPair[pair] else { return }
        if !groups[group].matched.isEmpty {
            if matching.cardinality == .oneToOne, groups[group].matched[step] {
                throw QueryError(
                    "multiple matches for labels: many-to-one matching must be explicit "
                        + "(group_left/group_right)")
            }
            groups[group].matched[step] = true
        }
        var partial =
            pending.removeValue(forKey: output)
            ?? Partial(
                column: StepColumn(steps: steps),
                touched: outputs[output].contributors > 1
                    ? [Int32](repeating: -1, count: steps) : [])
        defer { pending[output] = partial }
        if !partial.touched.isEmpty {
            if partial.touched[step] == Int32(group), matching.cardinality != .oneToOne {
                throw QueryError(
                    "multiple matches for labels: grouping labels must ensure unique matches")
            }
            partial.touched[step] = Int32(group)
        }
        if !result.keep, !returnBool { return }
        if partial.column.kinds[step] != .none { throw QueryError.sameLabelset }
        if returnBool {
            partial.column.set(step, result.keep ? 1 : 0)
        } else {
            partial.column.set(step, result.value)
        }
    }
}
