// SPDX-License-Identifier: Apache-2.0
// `facets`: what the lines are made of, at a glance.

import Base
import PromQL
import Telemetry

/// Labels with more values than this tell lines apart instead of grouping them.
private let maxDistinctValues = 1000

extension LogQLEngine {
    /// The most frequent values of each label of the lines, each with its number of lines: series
    /// `count{field=…, value=…}`, by field, then most lines first.
    ///
    /// Costs a hash per label and line. Labels with more than 1,000 values are named in a warning.
    func facets(
        _ query: AnalysisQuery, values limit: Int, _ context: ReadContext
    ) throws -> MetricResult {
        var statistics = LogQLStatistics()
        let pipeline = try Pipeline(query.analysis.selector.stages, nowNanos: clock.wallNanos)
        var table = LabelSetTable()
        var counts: [Int] = []
        var fields = LabelSetTable()
        var distinct: [Int] = []
        /// The field of each (field, value).
        var fieldOf: [Int] = []
        var writer = ByteWriter()
        try pipeline.run(
            query.request(pipeline.pushedFilters), on: reader, context, &statistics
        ) { state, _, _, _ in
            for entry in state.entries where !entry.value.isEmpty {
                writer.bytes.removeAll(keepingCapacity: true)
                writer.lengthPrefixed(entry.name)
                let nameEnd = writer.bytes.count
                // The key of a field is a label without a value.
                writer.varint(0)
                let field = fields.index(of: writer.bytes)
                writer.bytes.removeSubrange(nameEnd...)
                if field == distinct.count { distinct.append(0) }
                if distinct[field] > maxDistinctValues { continue }
                writer.lengthPrefixed(entry.value)
                let index = table.index(of: writer.bytes)
                if index == counts.count {
                    try context.reserve(writer.bytes.count + 64)
                    counts.append(0)
                    fieldOf.append(field)
                    distinct[field] += 1
                }
                counts[index] += 1
            }
            return true
        }
        let left = counts.indices.filter { distinct[fieldOf[$0]] <= maxDistinctValues }
        let many = Set(fieldOf).filter { distinct[$0] > maxDistinctValues }
            .flatMap { fields.labels($0).pairs.map(\.name) }.sorted()
        if !many.isEmpty {
            context.warn(
                "left out, as they have more than \(maxDistinctValues) values: "
                    + many.joined(separator: ", "))
        }
        return MetricResult(
            value: .series(rows(left, table, counts, limit: limit)),
            steps: EvaluationSteps(instant: query.endNanos), statistics: statistics)
    }

    private func rows(
        _ left: [Int], _ table: LabelSetTable, _ counts: [Int], limit: Int
    ) -> [MetricSeries] {
        let rows = left.compactMap { index -> (name: String, value: String, count: Int)? in
            table.labels(index).pairs.first.map { ($0.name, $0.value, counts[index]) }
        }.sorted { a, b in
            if a.name != b.name { return a.name < b.name }
            return a.count == b.count ? a.value < b.value : a.count > b.count
        }
        var result: [MetricSeries] = []
        var taken = 0
        for (i, row) in rows.enumerated() {
            taken = i > 0 && rows[i - 1].name == row.name ? taken + 1 : 0
            if taken >= limit { continue }
            var column = StepColumn(steps: 1)
            column.set(0, Double(row.count))
            let labels = Labels([
                ("__name__", "count"), ("field", row.name), ("value", row.value),
            ])
            result.append(MetricSeries(labels: labels, column: column))
        }
        return result
    }
}
