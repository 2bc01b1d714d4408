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
        let names = matching.names
        var known = LabelsTable()
        var grouped = 0
        func group(_ series: OutputSeries) throws -> Int {
            grouped += 1
            if grouped & 1023 == 0 { try scope.context.check() }
            let number = known.number(of: series.labels, names)
            if number == groups.count { groups.append(OneSide()) }
            return number
        }
        manyGroups = try manySeries.map(group)
        let oneGroups = try oneSeries.map(group)
        manyPerGroup = [Int](repeating: 0, count: groups.count)
        for index in manyGroups { manyPerGroup[index] += 1 }
        try readOneSide(oneGroups)
        try planOutputs()
        if outputs.isEmpty { try drain() }
        return outputs.map(\.series)
    }

    /// Evaluates what is left of the "many" side: it may still fail or have something to say.
    private func drain() throws {
        while consumed < manySeries.count {
            try scope.context.check()
            try many.next(into: &scratch)
            try consume(consumed, scratch)
            consumed += 1
        }
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
            if group & 127 == 127 { try scope.context.check() }
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

    private func planOutputs() throws {
        var known = LabelsTable(minimumCapacity: manySeries.count)
        var pairs = 0
        func add(_ many: Int, _ one: Int, _ labels: Labels, needs: Int) throws {
            pairs += 1
            if pairs & 127 == 0 { try scope.context.check() }
            let output = known.number(of: labels)
            if output < outputs.count {
                outputs[output].inputsNeeded = max(outputs[output].inputsNeeded, needs)
            } else {
                try scope.reserveLabels(
                    labels.bytes.count + OutputSeries.overheadBytes
                        + MemoryLayout<PairKey>.stride * 4)
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
                try add(
                    index, member, resultLabels(item.labels, oneSeries[member].labels),
                    needs: index + 1)
            }
            if oneFill != nil {
                let labels = resultLabels(item.labels, matching.matchLabels(item.labels))
                try add(index, -1, labels, needs: index + 1)
            }
        }
        guard manyFill != nil else { return }
        for group in groups {
            for member in group.members {
                let labels = oneSeries[member].labels
                try add(
                    -1, member, resultLabels(matching.matchLabels(labels), labels),
                    needs: manySeries.count + 1)
            }
        }
    }

    /// What stays in the labels of a pair of one and one.
    private lazy var pairNames =
        matching.isOn
        ? LabelNameSet(keeping: matching.labels) : LabelNameSet(leavingOut: matching.labels)

    private func resultLabels(_ many: Labels, _ one: Labels) -> Labels {
        var result = many
        let dropsName = !scope.delayedNameRemoval && returnBool
        if dropsName || arithmetic.operation.changesMetric { result = result.withoutName }
        if matching.cardinality == .oneToOne { result = pairNames.apply(result) }
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
        if produced == outputs.count { try drain() }
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
        if let side, try consumeFloats(index, column, group, side) { return }
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

    /// The common case: floats on both sides, one series each, nothing to fill in or to check.
    /// Returns whether it was that case.
    private func consumeFloats(
        _ index: Int, _ column: StepColumn, _ group: Int, _ side: StepColumn
    ) throws -> Bool {
        let operation = arithmetic.operation
        guard column.histograms.isEmpty, side.histograms.isEmpty, oneFill == nil,
            groups[group].owner.isEmpty, groups[group].matched.isEmpty,
            operation != .trimLower, operation != .trimUpper,
            let output = outputOfPair[
                PairKey(many: Int32(index), one: Int32(groups[group].members[0]))],
            outputs[output].contributors == 1
        else { return false }
        var result = column
        let isComparison = operation.isComparison
        for step in 0..<steps where result.kinds[step] == .float {
            guard side.kinds[step] == .float else {
                result.kinds[step] = .none
                continue
            }
            let a = swapped ? side.values[step] : column.values[step]
            let b = swapped ? column.values[step] : side.values[step]
            if !isComparison {
                result.values[step] = floatArithmetic(operation, a, b)
                continue
            }
            let holds = compare(operation, a, b)
            if returnBool {
                result.values[step] = holds ? 1 : 0
            } else if holds {
                result.values[step] = a
            } else {
                result.kinds[step] = .none
            }
        }
        pending[output] = Partial(column: result, touched: [])
        return true
    }

    /// The operation with the fill value for what found no partner.
    private func fillUnmatched() throws {
        guard let manyFill else { return }
        for group in groups.indices {
            guard let column = groups[group].column else { continue }
            try scope.context.check()
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
