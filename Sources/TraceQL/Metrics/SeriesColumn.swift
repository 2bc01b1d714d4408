// SPDX-License-Identifier: Apache-2.0
// Series between the stages of a metrics query.

import Base
import Telemetry

/// Counts spans of a first stage.
protocol SpanCounting {
    /// Counts a span, which `spans` has read; true when it was counted at all.
    mutating func observe(_ spans: SpanReader, _ row: Int, _ context: ReadContext) throws -> Bool
    func series(_ context: ReadContext) throws -> [SeriesColumn]
}

/// A series and what stages need to know of it.
struct SeriesColumn {
    struct Exemplar {
        var traceID: TraceID
        var spanID: SpanID
        var nanos: Int64
        /// Nil stands for the value of the sample, whatever later stages make of it.
        var value: Double?

        init(_ pick: ExemplarPicker.Pick) {
            traceID = pick.traceID
            spanID = pick.spanID
            nanos = pick.nanos
            value = pick.value
        }
    }

    var labels: [MetricsLabel]
    /// One per interval, NaN where there is none.
    var values: [Double]
    var exemplars: [Exemplar]
    /// Stays in the answer without samples: it says something by its labels.
    var isMarker = false

    init(_ labels: [MetricsLabel], _ values: [Double], _ exemplars: [Exemplar]) {
        self.labels = labels
        self.values = values
        self.exemplars = exemplars
    }

    /// What series of two queries must have in common to meet: all labels but the name, in any
    /// order.
    var matchingKey: [UInt8] {
        var writer = ByteWriter()
        for label in labels.sorted(by: { $0.name < $1.name })
        where label.name != MetricsLabel.metricName {
            AttributeCoding.encode(label.name, label.value, into: &writer)
        }
        return writer.bytes
    }

    /// Order of answers: fewest labels first, then by names and values. Source:
    /// grafana/tempo:modules/frontend/combiner/metrics_query_range.go.
    static func sorted(_ series: [SeriesColumn]) -> [SeriesColumn] {
        let keys = series.map { column in
            column.labels.flatMap { [$0.name, $0.value.sortingText] }
        }
        return series.indices.sorted { a, b in
            keys[a].count == keys[b].count
                ? keys[a].lexicographicallyPrecedes(keys[b]) : keys[a].count < keys[b].count
        }.map { series[$0] }
    }
}

extension AttributeValue {
    /// For ordering answers: the type, then the value.
    var sortingText: String {
        switch self {
        case .empty: "0"
        case .string(let text): "1" + text
        case .bool(let flag): flag ? "2t" : "2f"
        case .int(let number): "3" + String(number)
        case .double(let number): "4\(number)"
        case .bytes(let bytes): "5\(bytes)"
        case .array(let items): "6" + items.map(\.sortingText).joined(separator: "\u{0}")
        case .map(let pairs):
            "7" + pairs.map { $0.key + "\u{0}" + $0.value.sortingText }.joined(separator: "\u{0}")
        }
    }
}
