// SPDX-License-Identifier: Apache-2.0
// The chart of a metric answer.

import Base

/// Times of a range query.
struct ChartTimes: Sendable, Equatable {
    var startNanos: Int64
    var endNanos: Int64
    var stepSeconds: Double
    /// Points of a series; at most what the server gives.
    var count: Int {
        guard stepSeconds > 0 else { return 1 }
        let steps = Double(endNanos.subtractingClamping(startNanos)) / 1e9 / stepSeconds
        return max(1, min(20_000, Int(clamping: min(20_000, steps.rounded(.down))) + 1))
    }

    /// Index of a time in seconds, nil when it is none of the steps.
    func index(_ seconds: Double) -> Int? {
        guard seconds.isFinite, stepSeconds > 0 else { return nil }
        let place = (seconds - Double(startNanos) / 1e9) / stepSeconds
        guard place > -0.6, place < Double(count) else { return nil }
        return min(count - 1, max(0, Int(place.rounded())))
    }
}

/// Draws an answer: lines for series over time, a heat map for histograms, native ones or classic
/// ones by their `le`, and bars for values at one moment.
func metricChart(
    _ data: JSONValue, _ times: ChartTimes, _ zone: ShownZone, _ terminal: TerminalTraits
) -> [StyledText] {
    let items = data["result"].items
    guard data["resultType"].text == "matrix" else {
        return ValueBars(
            values: items.map { (seriesText($0["metric"]), $0["value"][1].double) }
        ).lines(terminal)
    }
    if let first = items.first(where: { !$0["histograms"].items.isEmpty }) {
        var lines = [StyledText(seriesText(first["metric"]), .bold, terminal)]
        lines += HeatMap(
            buckets: nativeBuckets(first["histograms"].items, times), startNanos: times.startNanos,
            endNanos: times.endNanos, zone: zone
        ).lines(terminal)
        let others = items.filter { !$0["histograms"].items.isEmpty }.count - 1
        if others > 0 {
            lines.append(StyledText("and \(others) more histograms", .dim, terminal))
        }
        return lines
    }
    if let buckets = classicBuckets(items, times) {
        return HeatMap(
            buckets: buckets, startNanos: times.startNanos, endNanos: times.endNanos, zone: zone
        ).lines(terminal)
    }
    return LineChart(
        series: items.map {
            ChartSeries(name: seriesText($0["metric"]), values: values($0, times))
        }, startNanos: times.startNanos, endNanos: times.endNanos, zone: zone
    ).lines(terminal)
}

private func values(_ series: JSONValue, _ times: ChartTimes) -> [Double] {
    var out = [Double](repeating: .nan, count: times.count)
    for point in series["values"].items {
        if let index = times.index(point[0].double) { out[index] = point[1].double }
    }
    return out
}

/// Buckets of series that differ in `le` alone; nil when these are not that. Counts of a bucket
/// are what it has more than the one below.
func classicBuckets(_ items: [JSONValue], _ times: ChartTimes) -> [HeatMap.Bucket]? {
    guard items.count >= 2 else { return nil }
    var bounds: [(upper: Double, item: JSONValue)] = []
    var rest: [JSONMember]?
    for item in items {
        let members = item["metric"].members
        let others = members.filter { $0.name != "le" }.sorted { $0.name < $1.name }
        guard let le = members.first(where: { $0.name == "le" })?.value.text,
            let upper = le == "+Inf" ? .infinity : Double(le), rest == nil || rest == others
        else { return nil }
        rest = others
        bounds.append((upper, item))
    }
    bounds.sort { $0.upper < $1.upper }
    var below = [Double](repeating: 0, count: times.count)
    var lower = -Double.infinity
    return bounds.map { upper, item in
        let counts = values(item, times)
        let own = zip(counts, below).map { max(0, $0 - ($1.isFinite ? $1 : 0)) }
        below = counts
        defer { lower = upper }
        return HeatMap.Bucket(lower: lower, upper: upper, counts: own)
    }
}

/// Buckets of native histograms, as many as the points have among them, 1,000 at most.
func nativeBuckets(_ points: [JSONValue], _ times: ChartTimes) -> [HeatMap.Bucket] {
    var buckets: [Double: HeatMap.Bucket] = [:]
    for point in points {
        guard let index = times.index(point[0].double) else { continue }
        for bucket in point[1]["buckets"].items {
            let upper = bucket[2].double
            guard !upper.isNaN, buckets[upper] != nil || buckets.count < 1000 else { continue }
            var entry =
                buckets[upper]
                ?? HeatMap.Bucket(
                    lower: bucket[1].double, upper: upper,
                    counts: [Double](repeating: 0, count: times.count))
            entry.counts[index] += bucket[3].double
            buckets[upper] = entry
        }
    }
    return buckets.values.sorted { $0.upper < $1.upper }
}
