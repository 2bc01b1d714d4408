// SPDX-License-Identifier: Apache-2.0
// Numbers of evidence, as the query engines give them.

import Telemetry

/// Reads the numbers that queries of evidence give, from the stores and not from what was sampled
/// for the diagnosis, so that whoever runs the query sees the same.
struct EvidenceRunner {
    let sources: SignalSources
    let tenant: Tenant
    let context: ReadContext

    /// The length of a range vector over a stretch, in milliseconds.
    static func rangeMillis(_ range: NanosRange) -> Int64 {
        let (length, overflow) = range.last.rawValue.subtractingReportingOverflow(
            range.first.rawValue)
        return overflow ? 1 : max(1, length / 1_000_000)
    }

    /// Log lines of the selected streams that contain a text, in the range vector that ends with the
    /// stretch.
    func lines(_ matchers: [LabelMatcher], _ text: String, _ range: NanosRange) throws -> Double {
        let end = range.last.rawValue
        let start = end &- EvidenceRunner.rangeMillis(range) &* 1_000_000 &+ 1
        let exact = NanosRange(first: Nanos(start), last: range.last)
        let request = LogRequest(
            tenant: tenant, matchers: matchers, range: exact,
            filters: [LineFilter(.contains, text)])
        let wanted = Array(text.utf8)
        var count = 0
        try sources.logs.read(request, context) { batch in
            try context.check()
            let isSelected = batch.streams.map { matchers.match(batch.arena.labels($0)) }
            for row in 0..<batch.rowCount
            where exact.contains(batch.nanos[row]) && isSelected[Int(batch.rowStreams[row])] {
                let isFound = batch.arena.withSlice(batch.lines[row]) { line in
                    contains(wanted, line)
                }
                if isFound { count += 1 }
            }
            return true
        }
        return Double(count)
    }

    /// Spans that satisfy conditions and start in the stretch, its first nanosecond left out as metrics
    /// of spans leave it out; each once. Regular expressions are of `service.name` alone.
    func spans(_ conditions: [SpanCondition], _ stretch: NanosRange) throws -> Double {
        let after = stretch.first.rawValue.addingReportingOverflow(1)
        let range = NanosRange(
            first: after.overflow ? stretch.first : Nanos(after.partialValue), last: stretch.last)
        let request = SpanRequest(tenant: tenant, range: range, conditions: conditions)
        var seen: Set<SpanKey> = []
        let services = try conditions.compactMap { condition throws -> LabelMatcher? in
            guard condition.operation == .matches, case .string(let pattern) = condition.value
            else { return nil }
            return try LabelMatcher("service.name", .matches, pattern)
        }
        let others = conditions.filter { $0.operation != .matches }
        try sources.spans.search(request, context) { batch in
            try context.check()
            let isWanted = batch.resources.map { resource in
                batch.arena.withSlice(resource.serviceName) { name in
                    services.allSatisfy { $0.matches(name) }
                }
            }
            for row in 0..<batch.rowCount where range.contains(batch.startNanos[row]) {
                guard isWanted[Int(batch.rowResources[row])],
                    try others.allSatisfy({ try holds($0, row, batch) })
                else { continue }
                seen.insert(
                    SpanKey(
                        trace: batch.traceIDs[row], span: batch.spanIDs[row],
                        kind: batch.kinds[row]))
            }
            return true
        }
        return Double(seen.count)
    }

    private struct SpanKey: Hashable {
        var trace: TraceID
        var span: SpanID
        var kind: UInt8
    }

    /// - Throws: for attributes that cannot be read: a number without them would not be the query's.
    private func holds(
        _ condition: SpanCondition, _ row: Int, _ batch: SpanBatch
    ) throws -> Bool {
        switch (condition.subject, condition.value) {
        case (.attribute(.resource, "service.name"), .string(let name)):
            return batch.arena.text(batch.resources[Int(batch.rowResources[row])].serviceName)
                == name
        case (.intrinsic(.name), .string(let name)):
            return batch.arena.text(batch.names[row]) == name
        case (.intrinsic(.status), .int(let code)): return Int64(batch.statusCodes[row]) == code
        case (.intrinsic(.kind), .int(let kind)): return Int64(batch.kinds[row]) == kind
        case (.intrinsic(.duration), .int(let nanos)):
            // Durations are only compared with a lower bound here.
            let (length, overflow) = batch.endNanos[row].subtractingReportingOverflow(
                batch.startNanos[row])
            return overflow || length > nanos
        case (.attribute(.resource, let key), .string(let value)):
            let resource = batch.resources[Int(batch.rowResources[row])]
            let pairs = try batch.arena.withSlice(resource.attributes) {
                try AttributeCoding.decodeList($0)
            }
            return pairs.contains { $0.key == key && $0.value == .string(value) }
        default: return false
        }
    }

    /// Greatest of a series' samples, or what it grew by, in the range vector that ends one scrape after
    /// the stretch.
    func samples(
        _ labels: Labels, isCounter: Bool, _ range: NanosRange
    ) throws -> Double? {
        let late = SignalReader.scrapeNanos / 1_000_000
        let end = range.millis.last.rawValue &+ late
        let start = end &- (EvidenceRunner.rangeMillis(range) + late) &+ 1
        let matchers = labels.pairs.map { LabelMatcher(equal: $0.name, $0.value) }
        let request = SeriesRequest(
            tenant: tenant, matchers: matchers,
            range: MillisRange(first: Millis(start), last: Millis(end)))
        let set = try sources.metrics.select(request, context)
        var columns = SampleColumns()
        for index in 0..<set.count where set.labels(index) == labels {
            try set.read(index, into: &columns, context)
        }
        let values = (0..<columns.count).filter {
            !columns.isStale($0) && start <= columns.millis[$0] && columns.millis[$0] <= end
        }.map { columns.values[$0] }
        guard let least = values.min(), let most = values.max() else { return nil }
        return isCounter ? most - least : most
    }
}
