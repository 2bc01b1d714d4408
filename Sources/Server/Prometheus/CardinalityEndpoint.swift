// SPDX-License-Identifier: Apache-2.0
// status/tsdb.

import Base
import FoundationEssentials
import Telemetry

/// Which names, labels and values have the most series. `limit` is Prometheus' parameter; `match[]`,
/// `focusLabel`, `topN` and `date` are VictoriaMetrics'.
///
/// Source: prometheus/prometheus `web/api/v1/api.go`, `serveTSDBStatus`;
/// VictoriaMetrics/VictoriaMetrics `app/vmselect/prometheus/prometheus.go`, `TSDBStatusHandler`.
struct CardinalityEndpoint: Sendable {
    let service: QueryService

    /// Series count as current when they have a sample this recent: Prometheus' head holds two to
    /// three hours.
    private static let recentMillis: Int64 = 7_200_000

    /// Cardinality of the tenant's series with samples of the last two hours, or of a UTC day,
    /// counted now. O(series) time, O(labels) memory, counted as a query's.
    func answer(_ request: APIRequest) async throws -> APIResponse {
        let parameter = request.nonEmpty("limit") == nil ? "topN" : "limit"
        let limit = Int(request.nonEmpty(parameter) ?? "10") ?? 0
        guard limit >= 1 else {
            throw APIError(.badData, "\(parameter) must be a positive number")
        }
        guard limit <= 10_000 else {
            throw APIError(.badData, "\(parameter) must not exceed 10000")
        }
        let range = try range(request)
        let selections = try request.selectors(place: "invalid parameter \"match[]\": ")
        let tenant = request.tenant
        let focus = request.nonEmpty("focusLabel")
        let reader = service.metrics
        return try await service.run(wording: prometheusWording) { context in
            var counts = Cardinality(focus: focus)
            var seen: Set<Labels> = []
            for matchers in selections.isEmpty ? [[]] : selections {
                let set = try reader.select(
                    SeriesRequest(tenant: tenant, matchers: matchers, range: range), context)
                for index in 0..<set.count {
                    if index % 1024 == 0 { try context.check() }
                    let labels = set.labels(index)
                    // Several selectors may have series in common.
                    if selections.count > 1 {
                        guard seen.insert(labels).inserted else { continue }
                        try context.reserve(labels.bytes.count + 64)
                    }
                    counts.add(labels)
                }
            }
            return counts.answer(range, limit: limit)
        }
    }

    private func range(_ request: APIRequest) throws -> MillisRange {
        guard let text = request.nonEmpty("date") else {
            let now = service.clock.wallNanos / 1_000_000
            return MillisRange(first: Millis(now - Self.recentMillis), last: Millis(now))
        }
        guard let day = parseRFC3339(text + "T00:00:00Z") else {
            throw APIError(.badData, "date must be YYYY-MM-DD, not \(quotedText(text))")
        }
        let first = day.seconds * 1000
        return MillisRange(first: Millis(first), last: Millis(first + 86_399_999))
    }
}

/// Series by name, label and value.
private struct Cardinality {
    private let focus: String?
    private var series = 0
    private var byName: [String: Int] = [:]
    private var byLabel: [String: Int] = [:]
    private var byPair: [String: Int] = [:]
    private var byFocus: [String: Int] = [:]
    private var valuesByLabel: [String: Set<String>] = [:]
    private var bytesByLabel: [String: Int] = [:]

    init(focus: String?) { self.focus = focus }

    mutating func add(_ labels: Labels) {
        series += 1
        for (name, value) in labels.pairs {
            if name == "__name__" { byName[value, default: 0] += 1 }
            if name == focus { byFocus[value, default: 0] += 1 }
            byLabel[name, default: 0] += 1
            byPair[name + "=" + value, default: 0] += 1
            if valuesByLabel[name, default: []].insert(value).inserted {
                bytesByLabel[name, default: 0] += value.utf8.count
            }
        }
    }

    func answer(_ range: MillisRange, limit: Int) -> APIResponse {
        prometheusSuccess { json in
            json.beginObject()
            json.key("headStats")
            json.beginObject()
            json.member("numSeries", series)
            json.member("numLabelPairs", byPair.count)
            // Samples lie in columns here, not in chunks.
            json.member("chunkCount", 0)
            json.member("minTime", Int(range.first.rawValue))
            json.member("maxTime", Int(range.last.rawValue))
            json.endObject()
            var lists = [
                ("seriesCountByMetricName", byName),
                ("labelValueCountByLabelName", valuesByLabel.mapValues(\.count)),
                ("memoryInBytesByLabelName", bytesByLabel), ("seriesCountByLabelValuePair", byPair),
                ("seriesCountByLabelName", byLabel),
            ]
            if focus != nil { lists.append(("seriesCountByFocusLabelValue", byFocus)) }
            for (name, counts) in lists { write(name, counts, limit, into: &json) }
            json.member("totalSeries", series)
            json.member("totalLabelValuePairs", byLabel.values.reduce(0, +))
            json.endObject()
        }
    }

    private func write(
        _ name: String, _ counts: [String: Int], _ limit: Int, into json: inout JSONWriter
    ) {
        let order = counts.sorted { $0.value == $1.value ? $0.key < $1.key : $0.value > $1.value }
        json.key(name)
        json.beginArray()
        for (name, count) in order.prefix(limit) {
            json.beginObject()
            json.member("name", name)
            json.member("value", count)
            json.endObject()
        }
        json.endArray()
    }
}
