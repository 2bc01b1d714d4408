// SPDX-License-Identifier: Apache-2.0
// `info`: adds the labels of info metrics to other series.

import Base
import Telemetry

/// Labels by which a series finds its info metrics.
private let identifyingLabels = ["instance", "job"]

/// Source: prometheus/prometheus `promql/info.go`.
extension Evaluator {
    func info(_ node: Call, _ grid: StepGrid) throws -> any VectorOperator {
        let base = try collect(try vector(node.arguments[0], grid), grid)
        var matchers: [LabelMatcher] = [LabelMatcher(equal: Labels.metricName, "target_info")]
        if node.arguments.count > 1, case .selector(let selector) = node.arguments[1].unwrapped {
            matchers = selector.matchers
        }
        let nameMatchers = try effectiveNameMatchers(
            matchers.filter { $0.name == Labels.metricName })
        let dataMatchers = matchers.filter { $0.name != Labels.metricName }
        let isInfo = try base.map { item in
            try scope.context.check()
            let name = item.series.labels[Labels.metricName] ?? ""
            return nameMatchers.allSatisfy { $0.matches(name) }
        }
        let place = infoPlace(node.arguments[0])
        let lookup = SampleLookup(
            grid: grid, offset: place.offset, anchor: place.anchor,
            lookback: options.lookbackMillis)
        let infos = try infoSeries(base, isInfo, nameMatchers + dataMatchers, lookup)
        return try InfoJoin(
            base: base, isInfo: isInfo, infos: infos, dataMatchers: dataMatchers,
            steps: grid.count, scope: scope
        ).join()
    }

    private func collect(
        _ input: any VectorOperator, _ grid: StepGrid
    ) throws -> [InfoJoin.Element] {
        try input.series().map { series in
            try scope.context.check()
            try scope.context.reserve(StepColumn.byteCount(steps: grid.count))
            var column = StepColumn(steps: grid.count)
            try input.next(into: &column)
            return InfoJoin.Element(series: series, column: column)
        }
    }

    private func effectiveNameMatchers(_ given: [LabelMatcher]) throws -> [LabelMatcher] {
        if given.isEmpty { return [LabelMatcher(equal: Labels.metricName, "target_info")] }
        if given.contains(where: { $0.operation == .equal || $0.operation == .matches }) {
            return given
        }
        return [try LabelMatcher(Labels.metricName, .matches, ".+_info")] + given
    }

    /// Info metrics are looked up where the first selector of the argument looks.
    private func infoPlace(_ expression: Expression) -> (offset: Int64, anchor: Int64?) {
        func find(_ expression: Expression) -> (offset: Int64, anchor: Int64?)? {
            switch expression {
            case .selector(let node): return (node.offsetMillis, node.anchorMillis)
            case .subquery(let node):
                guard var place = find(node.expression) else { return nil }
                if place.anchor == nil {
                    place.offset &+= node.offsetMillis
                    if case .millis(let millis)? = node.anchor { place.anchor = millis }
                }
                return place
            default:
                for child in expression.children {
                    if let place = find(child) { return place }
                }
                return nil
            }
        }
        return find(expression) ?? (0, nil)
    }

    /// Info series that share identifying labels with a series that wants them; their values are
    /// the times of their samples.
    private func infoSeries(
        _ base: [InfoJoin.Element], _ isInfo: [Bool], _ matchers: [LabelMatcher],
        _ lookup: SampleLookup
    ) throws -> [InfoJoin.Element] {
        var wanted: [String: Set<String>] = [:]
        for (item, skip) in zip(base, isInfo) where !skip {
            try scope.context.check()
            for name in identifyingLabels {
                if let value = item.series.labels[name] { wanted[name, default: []].insert(value) }
            }
        }
        if wanted.isEmpty { return [] }
        let set = try select(matchers, lookup.range)
        var samples = SampleColumns()
        var result: [InfoJoin.Element] = []
        for index in 0..<set.count {
            try scope.context.check()
            let labels = set.labels(index)
            // The identifying labels are checked here, where they are sets, not patterns.
            let isWanted = wanted.allSatisfy { $0.value.contains(labels[$0.key] ?? "") }
            if !isWanted { continue }
            samples.removeAll()
            try set.read(index, into: &samples, scope.context)
            var column = StepColumn(steps: lookup.grid.count)
            lookup.fill(&column, from: samples, .value)
            scope.counts?.add(column)
            if column.kinds.contains(.histogram) {
                throw QueryError(
                    "this should be an info metric, with float samples: \(labels.description)")
            }
            column.clear()
            lookup.fill(&column, from: samples, .timestamp)
            if !column.isEmpty {
                result.append(InfoJoin.Element(series: OutputSeries(labels), column: column))
            }
        }
        return result
    }
}

/// Joins series with info series, step by step.
struct InfoJoin {
    struct Element {
        var series: OutputSeries
        var column: StepColumn
    }
    let base: [Element]
    /// Base series that are info metrics themselves pass unchanged.
    let isInfo: [Bool]
    let infos: [Element]
    let dataMatchers: [LabelMatcher]
    let steps: Int
    let scope: EvaluationScope

    private struct Key: Hashable {
        var name: String
        var identity: Labels
    }

    func join() throws -> any VectorOperator {
        var byKey: [Key: [Int]] = [:]
        var names: Set<String> = []
        for (index, info) in infos.enumerated() {
            if index & 255 == 255 { try scope.context.check() }
            let name = info.series.labels[Labels.metricName] ?? ""
            names.insert(name)
            let identity = info.series.labels.keeping(identifyingLabels)
            byKey[Key(name: name, identity: identity), default: []].append(index)
        }
        let sortedNames = names.sorted()
        var outputs: [OutputSeries] = []
        var columns: [StepColumn] = []
        var known: [Labels: Int] = [:]
        for (item, skip) in zip(base, isInfo) {
            try scope.context.check()
            let identity = item.series.labels.keeping(identifyingLabels)
            let candidates = sortedNames.compactMap { byKey[Key(name: $0, identity: identity)] }
            for step in 0..<steps {
                if step & 255 == 255 { try scope.context.check() }
                guard let value = item.column[step] else { continue }
                var labels = item.series.labels
                if !skip {
                    guard let joined = try join(labels, candidates, step) else { continue }
                    labels = joined
                }
                let output = known[labels] ?? outputs.count
                if output == outputs.count {
                    known[labels] = output
                    try scope.context.reserve(StepColumn.byteCount(steps: steps))
                    outputs.append(OutputSeries(labels, dropName: item.series.dropName))
                    columns.append(StepColumn(steps: steps))
                }
                if columns[output].kinds[step] != .none { throw QueryError.sameLabelset }
                columns[output].set(step, value)
            }
        }
        return ColumnsOperator(outputs, columns)
    }

    /// The labels of a series with those of its info series at one step; nil when it must have some
    /// and has none.
    private func join(_ labels: Labels, _ candidates: [[Int]], _ step: Int) throws -> Labels? {
        var added = LabelsBuilder()
        var found = false
        for group in candidates {
            guard let info = try latest(group, step) else { continue }
            found = true
            for pair in infos[info].series.labels.pairs where pair.name != Labels.metricName {
                if !dataMatchers.isEmpty, !dataMatchers.contains(where: { $0.name == pair.name }) {
                    continue
                }
                if let earlier = added[pair.name], earlier != pair.value {
                    throw QueryError("conflicting label: \(pair.name)")
                }
                if labels[pair.name] == nil { added.set(pair.name, pair.value) }
            }
        }
        if !found, !dataMatchers.allSatisfy(\.matchesEmpty) { return nil }
        var result = LabelsBuilder(labels)
        for pair in added.labels().pairs { result.set(pair.name, pair.value) }
        return result.labels()
    }

    /// Of several info series with the same identity the one with the newest sample.
    private func latest(_ group: [Int], _ step: Int) throws -> Int? {
        var best: Int?
        for index in group where infos[index].column.kinds[step] != .none {
            guard let current = best else {
                best = index
                continue
            }
            let a = infos[current].column.values[step], b = infos[index].column.values[step]
            if a == b {
                let existing = infos[current].series.labels, new = infos[index].series.labels
                throw QueryError(
                    "found duplicate series for info metric: existing \(existing.description) @ "
                        + "\(Int64(a * 1000)), new \(new.description) @ \(Int64(b * 1000))")
            }
            if b > a { best = index }
        }
        return best
    }
}
