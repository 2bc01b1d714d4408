// SPDX-License-Identifier: Apache-2.0
// Reads metrics of resources, and versions.

import Correlation
import Telemetry

extension SignalReader {
    /// How far before the window the past of a metric is looked at: metrics come once or twice a
    /// minute, so the window's own length is too little to know what is usual.
    static let historyNanos: Int64 = 15 * 60 * 1_000_000_000

    /// Between two scrapes; Prometheus' default.
    static let scrapeNanos: Int64 = 60 * 1_000_000_000

    mutating func readSeries() throws {
        let window = request.window
        let start = window.first.rawValue.subtractingReportingOverflow(SignalReader.historyNanos)
        let history = NanosRange(
            first: Nanos(start.overflow ? .min : start.partialValue),
            last: Nanos(window.first.rawValue &- 1))
        try readSeries(history) { $0.history += $1 }
        if !request.baseline.overlaps(first: history.first.rawValue, last: history.last.rawValue) {
            try readSeries(request.baseline) { $0.history += $1 }
        }
        // A scraped value tells of the time before it, so the first ones after the end count.
        let (end, overflow) = window.last.rawValue.addingReportingOverflow(
            SignalReader.scrapeNanos)
        try readSeries(
            NanosRange(first: window.first, last: Nanos(overflow ? .max : end))
        ) { $0.window += $1 }
        found.series.removeAll { $0.window.isEmpty }
        seriesNumbers = [:]
        readVersions()
    }

    private mutating func readSeries(
        _ range: NanosRange, _ take: (inout ResourceSeries, [Double]) -> Void
    ) throws {
        let matcher = try LabelMatcher("__name__", .matches, MetricKind.pattern)
        let wanted = SeriesRequest(
            tenant: request.tenant, matchers: [matcher], range: range.millis)
        let set = try sources.metrics.select(wanted, context)
        var columns = SampleColumns()
        for index in 0..<set.count {
            let labels = set.labels(index)
            guard let name = labels["__name__"], let kind = MetricKind(name: name),
                let service = sources.index.serviceName(
                    ofSeries: labels, tenant: request.tenant)
            else { continue }
            if index % 256 == 0 { try context.check() }
            columns.removeAll()
            try set.read(index, into: &columns, context)
            let values = SignalReader.values(columns, kind)
            if values.isEmpty { continue }
            let number: Int
            if let known = seriesNumbers[labels] {
                number = known
            } else {
                guard found.series.count < limits.series else {
                    note("more than \(limits.series) series of resources: the rest is left out")
                    continue
                }
                number = found.series.count
                found.series.append(
                    ResourceSeries(
                        labels: labels, service: found.services.add(service),
                        resource: kind.resource, capacity: kind.capacity,
                        isCounter: kind.isCounter, isShared: kind.isShared))
                seriesNumbers[labels] = number
            }
            take(&found.series[number], values)
        }
    }

    private mutating func note(_ text: String) {
        if !found.notes.contains(text) { found.notes.append(text) }
    }

    /// Values of a gauge, or rates per second between the samples of a counter.
    private static func values(_ columns: SampleColumns, _ kind: MetricKind) -> [Double] {
        var result: [Double] = []
        var previous: Int?
        for i in 0..<columns.count where !columns.isStale(i) {
            if !columns.histograms.isEmpty, columns.histograms[i] != nil { continue }
            let value = columns.values[i]
            guard value.isFinite else { continue }
            if kind.isCounter {
                if let previous, columns.millis[i] > columns.millis[previous],
                    value >= columns.values[previous]
                {
                    let seconds = Double(columns.millis[i] - columns.millis[previous]) / 1000
                    result.append((value - columns.values[previous]) / seconds)
                }
                previous = i
            } else {
                result.append(value)
            }
        }
        return result
    }

    /// Versions that were first seen after the baseline began, of services that had another one.
    private mutating func readVersions() {
        let range = NanosRange(
            first: min(request.baseline.first, request.window.first), last: request.window.last)
        for name in found.services.names {
            guard let service = found.services.number(of: name),
                let last = sources.index.versions(
                    ofService: name, tenant: request.tenant, range: range
                ).dropFirst().last, last.firstSeenNanos > range.first.rawValue
            else { continue }
            found.versions.append(
                NewVersion(
                    service: service, version: last.version,
                    firstSeenNanos: last.firstSeenNanos))
        }
    }
}

extension NanosRange {
    /// The milliseconds that lie in the range.
    var millis: MillisRange {
        func floor(_ nanos: Int64) -> Int64 {
            nanos / 1_000_000 - (nanos % 1_000_000 < 0 ? 1 : 0)
        }
        let first = floor(self.first.rawValue)
        let isExact = self.first.rawValue % 1_000_000 == 0
        return MillisRange(
            first: Millis(isExact || self.first.rawValue == .min ? first : first + 1),
            last: Millis(floor(last.rawValue)))
    }
}
