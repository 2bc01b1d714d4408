// SPDX-License-Identifier: Apache-2.0
// A kernel with the four real stores, and what was promised to its clients.

import Base
import Correlation
import Ingest
import LogStore
import MetricStore
import Storage
import Synchronization
import Telemetry
import TestKit
import TraceStore

/// What one commit holds for a key: a sample, a line and a span that can be told from all others,
/// in one log record; or the metadata of a family alone.
struct Promise: Sendable, Equatable {
    var key: UInt64
    var tenant: String
    var nanos: Int64
    var isMetadata = false
    /// Length of the line.
    var padding = 0

    var id: TraceID { TraceID(high: 7, low: key) }
    var series: Labels {
        Labels([("__name__", "m"), ("job", "shop"), ("s", "\(key % 5)")])
    }
    var stream: Labels { Labels([("service_name", "shop"), ("s", "\(key % 3)")]) }
    var line: String {
        var random = SplitMix64(seed: key)
        let noise = (0..<(padding / 16)).map { _ in hex(random.next()) }.joined()
        return "key=\(key) \(noise)"
    }
    var millis: Int64 { nanos / 1_000_000 }

    private func hex(_ word: UInt64) -> String { String(word, radix: 16) }

    func add(to batch: inout MetricBatch) {
        if isMetadata {
            batch.metadata.append(
                MetricBatch.Metadata(
                    family: batch.arena.keep("family_\(key)"), type: .gauge,
                    help: batch.arena.keep("help \(key)"), unit: .empty))
        } else {
            batch.addSample(
                series: batch.addSeries(series), millis: millis, value: Double(key))
        }
    }

    func add(to batch: inout LogBatch) {
        if isMetadata { return }
        let stream = batch.addStream(stream)
        batch.addRow(stream: stream, nanos: nanos, line: batch.arena.keep(line), traceID: id)
    }

    func add(to batch: inout SpanBatch) {
        if isMetadata { return }
        if batch.resources.isEmpty {
            var resource = SpanBatch.Resource()
            var attributes = ByteWriter()
            AttributeCoding.encode("service.name", .string("shop"), into: &attributes)
            resource.attributes = attributes.bytes.withUnsafeBytes { batch.arena.keep($0) }
            resource.serviceName = batch.arena.keep("shop")
            batch.resources.append(resource)
            batch.scopes.append(SpanBatch.Scope())
        }
        var row = SpanRow()
        row.traceID = id
        row.spanID = SpanID(key)
        row.name = batch.arena.keep("pay \(key % 4)")
        row.startNanos = nanos
        row.endNanos = nanos + 1000
        batch.add(row)
    }
}

/// The batches of some promises.
struct PromisedBatches {
    var metrics = MetricBatch()
    var logs = LogBatch()
    var spans = SpanBatch()

    init(_ promises: [Promise]) {
        for promise in promises {
            promise.add(to: &metrics)
            promise.add(to: &logs)
            promise.add(to: &spans)
        }
    }

    var sections: [CommitSection] {
        var sections: [CommitSection] = []
        func add(_ signal: Signal, _ encode: (inout ByteWriter) -> Void) {
            var writer = ByteWriter()
            encode(&writer)
            sections.append(CommitSection(signal: signal, payload: writer.bytes))
        }
        if !metrics.isEmpty { add(.metrics) { metrics.encode(into: &$0) } }
        if logs.rowCount > 0 { add(.logs) { logs.encode(into: &$0) } }
        if spans.rowCount > 0 { add(.traces) { spans.encode(into: &$0) } }
        return sections
    }
}

/// The real stores on a kernel.
final class WholeServer: Sendable {
    let kernel: Kernel
    let metrics: MetricStore
    let logs: LogStore
    let traces = TraceStore()
    let correlation = Correlation()

    init(
        _ files: any FileSystem, clock: any Clock = ManualClock(), seed: UInt64 = 7,
        path: String = "/data", retentionClassOfLogs: UInt8 = 0,
        retention: [MetricRetention] = [],
        change: (inout KernelConfiguration) -> Void = { _ in }
    ) throws {
        var configuration = KernelConfiguration(path: path, retentionSeconds: 0)
        configuration.minFreeBytes = 0
        configuration.retentionRules = retention.map(\.rule)
        var metricOptions = MetricStoreConfiguration()
        metricOptions.retention = retention
        metrics = MetricStore(metricOptions)
        change(&configuration)
        var options = LogStoreConfiguration()
        options.retentionClass = { _, _ in retentionClassOfLogs }
        logs = LogStore(options)
        kernel = try Kernel.open(
            configuration, files: files, clock: clock, random: SeededRandom(seed: seed),
            stores: [metrics, logs, traces, correlation])
    }

    func pipeline(_ clock: any Clock) -> IngestPipeline {
        IngestPipeline(
            kernel: kernel, metrics: metrics, logs: logs, traces: traces,
            observers: [correlation], clock: clock, limits: IngestLimits())
    }

    /// Commits the promises, all of one tenant, in one record.
    func commit(_ promises: [Promise]) async throws(CommitError) {
        guard let name = promises.first?.tenant else { return }
        let tenant = Tenant(name)
        let batches = PromisedBatches(promises)
        let ticket = try await kernel.commit(tenant: name, sections: batches.sections)
        let (generation, sequence) = (ticket.generation, ticket.sequence)
        metrics.append(
            batches.metrics, tenant: tenant, generation: generation, sequence: sequence)
        correlation.record(metrics: batches.metrics, tenant: tenant, generation: generation)
        logs.append(batches.logs, tenant: tenant, generation: generation, sequence: sequence)
        correlation.record(logs: batches.logs, tenant: tenant, generation: generation)
        traces.append(batches.spans, tenant: tenant, generation: generation, sequence: sequence)
        correlation.record(spans: batches.spans, tenant: tenant, generation: generation)
        kernel.applied(ticket)
    }

    /// How often each key shows in each store, and what has other content than promised.
    struct Visible: Equatable {
        var samples: [UInt64: Int] = [:]
        var lines: [UInt64: Int] = [:]
        var spans: [UInt64: Int] = [:]
        var families: Set<UInt64> = []
        var warnings: [String] = []
    }

    func visible(_ tenant: String) throws -> Visible {
        var visible = Visible()
        let context = ReadContext()
        let tenant = Tenant(tenant)
        let set = try metrics.select(
            SeriesRequest(tenant: tenant, matchers: [], range: .all), context)
        for index in 0..<set.count {
            var columns = SampleColumns()
            try set.read(index, into: &columns, context)
            for value in columns.values { visible.samples[UInt64(value), default: 0] += 1 }
        }
        for (family, _) in try metrics.metadata(tenant, family: nil) {
            if let key = UInt64(family.dropFirst("family_".count)) { visible.families.insert(key) }
        }
        try logs.read(LogRequest(tenant: tenant, matchers: [], range: .all), context) { batch in
            for line in batch.lines {
                let text = String(decoding: batch.arena[line.range], as: UTF8.self)
                if let key = UInt64(text.dropFirst("key=".count).prefix { $0 != " " }) {
                    visible.lines[key, default: 0] += 1
                }
            }
            return true
        }
        try traces.search(SpanRequest(tenant: tenant, range: .all), context) { batch in
            for id in batch.traceIDs { visible.spans[id.low, default: 0] += 1 }
            return true
        }
        visible.warnings = context.warnings
        return visible
    }

    /// What is wrong with a promise that must be kept, or nil.
    func breach(_ promise: Promise, _ visible: Visible) throws -> String? {
        let key = promise.key
        if promise.isMetadata {
            return visible.families.contains(key) ? nil : "metadata \(key) is lost"
        }
        let counts = (
            visible.samples[key] ?? 0, visible.lines[key] ?? 0, visible.spans[key] ?? 0
        )
        guard counts == (1, 1, 1) else { return "key \(key) shows \(counts) times" }
        let tenant = Tenant(promise.tenant)
        let context = ReadContext()
        let spans = try traces.trace(promise.id, tenant: tenant, context)
        guard spans.rowCount == 1, spans.startNanos == [promise.nanos] else {
            return "trace \(key) has \(spans.rowCount) spans"
        }
        let refs = correlation.traceRefs(promise.id, tenant: tenant)
        guard refs.logs.count == 1, let ref = refs.logs.first, refs.faults.isEmpty else {
            return "trace \(key) leads to \(refs.logs.count) lines"
        }
        let rows = try logs.rows(
            tenant: tenant, streamHash: ref.streamHash, range: ref.range, context)
        let texts = rows.lines.map { String(decoding: rows.arena[$0.range], as: UTF8.self) }
        return texts.contains(promise.line) ? nil : "the line of trace \(key) is not where it was"
    }

    /// What is wrong with all of these promises, and anything that was not promised.
    func breaches(_ promises: [Promise], tenants: [String] = ["t"]) throws -> [String] {
        var problems: [String] = []
        for tenant in tenants {
            let own = promises.filter { $0.tenant == tenant }
            let visible = try visible(tenant)
            problems += try own.compactMap { try breach($0, visible) }
            problems += visible.warnings
            let keys = Set(own.map(\.key))
            let strangers = Set(visible.samples.keys).union(visible.lines.keys)
                .union(visible.spans.keys).union(visible.families).subtracting(keys)
            if !strangers.isEmpty { problems.append("not promised: \(strangers.sorted())") }
        }
        return problems
    }

    func parts(_ signal: Signal) -> Int { kernel.status.parts[signal]?.count ?? 0 }

    static func fresh() -> [Signal: any SignalStore] {
        [
            .metrics: MetricStore(MetricStoreConfiguration()), .logs: LogStore(),
            .traces: TraceStore(), .correlation: Correlation(),
        ]
    }
}
