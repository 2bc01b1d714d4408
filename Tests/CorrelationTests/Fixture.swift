// SPDX-License-Identifier: Apache-2.0
// A small world of two services, and a shelf for parts.

import Base
import Correlation
import Storage
import Telemetry

let noon: Int64 = 1_700_000_000_000_000_000
let traceA = TraceID(high: 0xabc, low: 1)
let traceB = TraceID(high: 0xabc, low: 2)
let frontSeries = Labels([
    ("__name__", "http_requests_total"), ("job", "shop/front"), ("instance", "front-0:80"),
])
let frontStream = Labels([("service_name", "front"), ("pod", "front-0")])

func metricBatch(value: Double = 1, millis: Int64 = noon / 1_000_000) -> MetricBatch {
    var batch = MetricBatch()
    let series = batch.addSeries(frontSeries)
    let nameless = batch.addSeries(Labels([("__name__", "up")]))
    batch.addSample(series: series, millis: millis, value: value)
    batch.addSample(series: nameless, millis: millis, value: value)
    let labels = Labels([("traceID", "ABC0000000000000001")])
    batch.exemplarLabels.append(labels.bytes.withUnsafeBytes { batch.arena.keep($0) })
    batch.exemplarSeries.append(series)
    batch.exemplarMillis.append(millis)
    batch.exemplarValues.append(value)
    return batch
}

func logBatch(nanos: Int64 = noon) -> LogBatch {
    var batch = LogBatch()
    let stream = batch.addStream(frontStream)
    let line = batch.arena.keep("it broke")
    let level = Labels([("detected_level", "error")])
    let metadata = level.bytes.withUnsafeBytes { batch.arena.keep($0) }
    batch.addRow(stream: stream, nanos: nanos, line: line, metadata: metadata, traceID: traceA)
    batch.addRow(stream: stream, nanos: nanos + 1, line: line, traceID: traceB)
    batch.addRow(stream: stream, nanos: nanos + 2, line: line)
    return batch
}

struct TestSpan {
    var service = ""
    var name = "GET /"
    var trace = traceA
    var id: UInt64 = 1
    var parent: UInt64 = 0
    var kind: UInt8 = 2
    var start = noon
    var duration: Int64 = 1_000_000
    var isError = false
    var attributes: [(String, String)] = []
    var version = ""
}

func spanBatch(_ spans: [TestSpan]) -> SpanBatch {
    var batch = SpanBatch()
    batch.scopes.append(SpanBatch.Scope())
    for span in spans {
        var resource = SpanBatch.Resource()
        if !span.service.isEmpty { resource.serviceName = batch.arena.keep(span.service) }
        if !span.version.isEmpty {
            resource.attributes = batch.keepAttributes([("service.version", span.version)])
        }
        batch.resources.append(resource)
        var row = SpanRow()
        row.resource = UInt32(batch.resources.count - 1)
        row.traceID = span.trace
        row.spanID = SpanID(span.id)
        row.parentID = SpanID(span.parent)
        row.name = batch.arena.keep(span.name)
        row.kind = span.kind
        row.startNanos = span.start
        row.endNanos = span.start &+ span.duration
        row.statusCode = span.isError ? 2 : 0
        row.attributes = batch.keepAttributes(span.attributes)
        batch.add(row)
    }
    return batch
}

extension SpanBatch {
    fileprivate mutating func keepAttributes(_ pairs: [(String, String)]) -> ByteSlice {
        var writer = ByteWriter()
        for (key, value) in pairs { AttributeCoding.encode(key, .string(value), into: &writer) }
        return writer.bytes.withUnsafeBytes { arena.keep($0) }
    }
}

/// The front calls the back (both sides traced) and a database (one side).
let frontSpans = [
    TestSpan(service: "front", id: 1, version: "1.2"),
    TestSpan(service: "front", name: "call", id: 2, parent: 1, kind: 3, duration: 800_000),
]
let backSpans = [
    TestSpan(service: "back", name: "work", id: 3, parent: 2, duration: 600_000, isError: true),
    TestSpan(
        service: "back", name: "select", id: 4, parent: 3, kind: 3,
        attributes: [("db.system", "postgresql"), ("server.address", "db-1")]),
]

let tenant = Tenant.anonymous

/// Parts with ids.
struct Shelf {
    private(set) var handles: [PartHandle] = []
    private var nextID: UInt64 = 1

    mutating func add(_ drafts: [PartDraft]) throws -> [PartHandle] {
        let added = try drafts.map { draft in
            let reader = try PartReader(SharedBytes(draft.bytes), name: "part-\(nextID)")
            let descriptor = PartDescriptor(
                id: nextID, signal: reader.signal, tenant: draft.tenant, day: draft.day, level: 0,
                minNanos: draft.minNanos, maxNanos: draft.maxNanos, rowCount: draft.rowCount,
                byteCount: UInt64(draft.bytes.count), lastSequence: 0)
            nextID += 1
            return PartHandle(descriptor: descriptor, reader: reader)
        }
        handles += added
        return added
    }
}

/// All that the index answers, for comparing.
struct Everything: Equatable {
    var refs: [TraceRefs]
    var services: [ServiceSummary]
    var details: [ServiceDetail?]
    var streams: [Labels]
    var hashes: [UInt64]

    init(_ index: Correlation) {
        refs = [traceA, traceB, TraceID(high: 1, low: 1)].map {
            index.traceRefs($0, tenant: tenant)
        }
        services = index.services(tenant: tenant, range: .all)
        details = ["front", "back", "absent"].map {
            index.service($0, tenant: tenant, range: .all)
        }
        streams = index.streams(ofService: "front", tenant: tenant)
        hashes = index.seriesHashes(ofService: "front", tenant: tenant)
    }
}
