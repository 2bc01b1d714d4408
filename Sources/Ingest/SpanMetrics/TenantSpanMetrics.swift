// SPDX-License-Identifier: Apache-2.0
// What is counted of one tenant's spans.

import Base
import Telemetry
import Wire

/// Series and waiting edges of one tenant.
struct TenantSpanMetrics: Sendable {
    private var spans: SpanSeriesTable
    private var graph: SpanSeriesTable
    /// Of `traces_target_info`: when a span came last.
    private var infos: [Labels: Int64] = [:]
    private(set) var open = OpenEdges()
    private var isDescribed = false

    /// Longest value of a label in bytes; longer ones are cut.
    private static let maxValueBytes = 1024

    init(_ plan: SpanMetricsPlan) {
        spans = SpanSeriesTable(plan.spans)
        graph = SpanSeriesTable(plan.graph)
    }

    var seriesCount: Int {
        spans.cellCount * spans.shape.seriesPerCell + graph.cellCount * graph.shape.seriesPerCell
            + infos.count
    }

    var isEmpty: Bool {
        spans.cellCount == 0 && graph.cellCount == 0 && infos.isEmpty && open.count == 0
    }

    // MARK: counting

    /// What is the same for all spans of a resource.
    private struct ResourceValues {
        var service: String
        /// Values of the first labels of a key.
        var prefix: [UInt8] = []
        var dimensions: AttributeFinder.Found = []
        var edges: AttributeFinder.Found = []
    }

    mutating func record(
        _ batch: SpanBatch, _ plan: SpanMetricsPlan, millis: Int64, nanos: Int64,
        _ counts: inout SpanMetrics.Counts
    ) {
        expire(plan, nanos: nanos, millis: millis, &counts)
        batch.arena.withUnsafeBytes { arena in
            func bytes(_ slice: ByteSlice) -> UnsafeRawBufferPointer {
                UnsafeRawBufferPointer(rebasing: arena[slice.range])
            }
            var resources = [ResourceValues?](repeating: nil, count: batch.resources.count)
            var key: [UInt8] = []
            var found: AttributeFinder.Found = []
            for row in 0..<batch.rowCount {
                let number = Int(batch.rowResources[row])
                let resource: ResourceValues
                if let known = resources[number] {
                    resource = known
                } else {
                    resource = values(batch.resources[number], batch, plan, bytes, millis, &counts)
                    resources[number] = resource
                }
                let span = CountedSpan(
                    batch, row, weight: SpanWeight.of(traceState: bytes(batch.traceStates[row])),
                    millis: millis)
                if plan.settings.spans.isEnabled {
                    found.removeAll(keepingCapacity: true)
                    if !plan.dimensions.isEmpty {
                        plan.dimensions.find(in: bytes(batch.attributes[row]), into: &found)
                    }
                    key.removeAll(keepingCapacity: true)
                    key += resource.prefix
                    makeKey(batch, row, resource, found, plan, bytes, &key)
                    count(span, key, batch, row, plan, &counts)
                }
                // Kinds from 2: server, client, producer, consumer.
                if plan.settings.graph.isEnabled, batch.kinds[row] >= 2, !resource.service.isEmpty {
                    plan.edges.find(in: bytes(batch.attributes[row]), into: &found)
                    addEdge(batch, row, span, resource, found, plan, nanos: nanos, &counts)
                }
            }
        }
    }

    private mutating func count(
        _ span: CountedSpan, _ key: [UInt8], _ batch: SpanBatch, _ row: Int,
        _ plan: SpanMetricsPlan, _ counts: inout SpanMetrics.Counts
    ) {
        let room = hasRoom(for: spans.shape, plan)
        let cell: Int
        if let known = spans.cell(key, millis: span.millis, hasRoom: room) {
            cell = known
        } else {
            counts.overflowed += 1
            cell = spans.overflowCell(millis: span.millis)
        }
        if let calls = plan.callCounter { spans.add(span.weight, counter: calls, of: cell) }
        if let size = plan.sizeCounter {
            let bytes = OTLPTraces.protobufSize(of: row, in: batch)
            spans.add(Double(bytes), counter: size, of: cell)
        }
        if plan.settings.spans.hasLatency {
            spans.observe(span.exemplar, weight: span.weight, histogram: 0, of: cell)
        }
    }

    private func hasRoom(for shape: SpanSeriesShape, _ plan: SpanMetricsPlan) -> Bool {
        seriesCount + shape.seriesPerCell <= plan.settings.maxSeries
    }

    // MARK: labels of spans

    private mutating func values(
        _ resource: SpanBatch.Resource, _ batch: SpanBatch, _ plan: SpanMetricsPlan,
        _ bytes: (ByteSlice) -> UnsafeRawBufferPointer, _ millis: Int64,
        _ counts: inout SpanMetrics.Counts
    ) -> ResourceValues {
        let name = bytes(resource.serviceName)
        var values = ResourceValues(service: String(decoding: name, as: UTF8.self))
        let settings = plan.settings.spans
        if settings.isEnabled {
            if settings.hasService { append(name, to: &values.prefix) }
            if settings.hasTargetInfo {
                let job = job(resource, bytes)
                job.withUnsafeBytes { append($0, to: &values.prefix) }
                if settings.hasInstance {
                    append(bytes(resource.serviceInstance), to: &values.prefix)
                }
                note(resource, job: job, plan, bytes, millis, &counts)
            }
            plan.dimensions.find(in: bytes(resource.attributes), into: &values.dimensions)
        }
        if plan.settings.graph.isEnabled {
            plan.edges.find(in: bytes(resource.attributes), into: &values.edges)
        }
        return values
    }

    /// `namespace/name`, as Prometheus' `job`; without a name empty.
    private func job(
        _ resource: SpanBatch.Resource, _ bytes: (ByteSlice) -> UnsafeRawBufferPointer
    ) -> [UInt8] {
        if resource.serviceName.isEmpty { return [] }
        if resource.serviceNamespace.isEmpty { return Array(bytes(resource.serviceName)) }
        return Array(bytes(resource.serviceNamespace)) + [UInt8(ascii: "/")]
            + Array(bytes(resource.serviceName))
    }

    private func makeKey(
        _ batch: SpanBatch, _ row: Int, _ resource: ResourceValues,
        _ found: AttributeFinder.Found, _ plan: SpanMetricsPlan,
        _ bytes: (ByteSlice) -> UnsafeRawBufferPointer, _ key: inout [UInt8]
    ) {
        let settings = plan.settings.spans
        if !plan.dimensions.isEmpty {
            func value(_ name: String) -> UnsafeRawBufferPointer? {
                guard let number = plan.dimensions.number(of: name) else { return nil }
                return resource.dimensions[number] ?? found[number]
            }
            var text: [UInt8] = []
            for name in settings.dimensions {
                text.removeAll(keepingCapacity: true)
                if let value = value(name) { AttributeFinder.append(value, to: &text) }
                text.withUnsafeBytes { append($0, to: &key) }
            }
            for mapping in settings.mappings {
                text.removeAll(keepingCapacity: true)
                for source in mapping.sources {
                    guard let value = value(source) else { continue }
                    let start = text.count
                    if start > 0 { text += Array(mapping.join.utf8) }
                    let joined = text.count
                    AttributeFinder.append(value, to: &text)
                    // An empty value is as none.
                    if text.count == joined { text.removeSubrange(start...) }
                }
                text.withUnsafeBytes { append($0, to: &key) }
            }
        }
        if settings.hasSpanName { append(bytes(batch.names[row]), to: &key) }
        if settings.hasSpanKind {
            append(SpanTexts.kinds[min(Int(batch.kinds[row]), 5)].bytes, to: &key)
        }
        if settings.hasStatusCode {
            append(SpanTexts.statuses[min(Int(batch.statusCodes[row]), 2)].bytes, to: &key)
        }
        if settings.hasStatusMessage { append(bytes(batch.statusMessages[row]), to: &key) }
    }

    private func append(_ value: UnsafeRawBufferPointer, to key: inout [UInt8]) {
        let value = UnsafeRawBufferPointer(rebasing: value.prefix(Self.maxValueBytes))
        if value.count < 0x80 {
            key.append(UInt8(value.count))
        } else {
            key.append(UInt8(value.count & 0x7f) | 0x80)
            key.append(UInt8(value.count >> 7))
        }
        key.append(contentsOf: value)
    }

    // MARK: target info

    private mutating func note(
        _ resource: SpanBatch.Resource, job: [UInt8], _ plan: SpanMetricsPlan,
        _ bytes: (ByteSlice) -> UnsafeRawBufferPointer, _ millis: Int64,
        _ counts: inout SpanMetrics.Counts
    ) {
        let settings = plan.settings.spans
        var pairs: [(name: String, value: String)] = []
        try? AttributeCoding.forEach(in: bytes(resource.attributes)) { key, value in
            let name = String(decoding: key, as: UTF8.self)
            guard let first = key.first, !(UInt8(ascii: "0")...UInt8(ascii: "9") ~= first),
                name != "service.name", name != "service.namespace", name != "service.instance.id",
                !settings.targetInfoExcluded.contains(name)
            else { return }
            let label = SpanLabelName.clean(name, taken: SpanLabelName.ofTargetInfo)
            let text = AttributeFinder.text(value)
            if !text.isEmpty, !pairs.contains(where: { $0.name == label }) {
                pairs.append((label, text))
            }
        }
        let attributes = pairs.count
        if !job.isEmpty { pairs.append(("job", String(decoding: job, as: UTF8.self))) }
        if settings.hasInstance, !resource.serviceInstance.isEmpty {
            pairs.append(
                ("instance", String(decoding: bytes(resource.serviceInstance), as: UTF8.self)))
        }
        // It is to join attributes to series: it needs both.
        guard attributes > 0, pairs.count > attributes else { return }
        let labels = Labels(pairs + [("__name__", SpanTexts.targetInfo)])
        if infos[labels] == nil, seriesCount >= plan.settings.maxSeries {
            counts.overflowed += 1
            return
        }
        infos[labels] = millis
    }

    // MARK: edges

    private mutating func addEdge(
        _ batch: SpanBatch, _ row: Int, _ span: CountedSpan, _ resource: ResourceValues,
        _ found: AttributeFinder.Found, _ plan: SpanMetricsPlan, nanos: Int64,
        _ counts: inout SpanMetrics.Counts
    ) {
        let side = EdgeSide(batch, row, span, resource.service, resource.edges, found, plan)
        let settings = plan.settings.graph
        let shared = side.sharedKey.flatMap { open.hasClient($0) ? $0 : nil }
        let result = open.add(
            shared ?? side.key, deadlineNanos: nanos &+ Int64(settings.waitSeconds * 1e9),
            limit: settings.maxWaiting
        ) { side.fill(&$0) }
        if result.isFull { counts.droppedEdges += 1 }
        if let edge = result.complete {
            counts.pairedEdges += 1
            count(edge, plan, span.millis, &counts)
        }
    }

    /// Ends edges that have waited long enough: the other side may be one that sends no spans.
    private mutating func expire(
        _ plan: SpanMetricsPlan, nanos: Int64, millis: Int64, _ counts: inout SpanMetrics.Counts
    ) {
        var virtual: [SpanEdge] = []
        open.expire(nowNanos: nanos) { edge in
            counts.expiredEdges += 1
            var edge = edge
            edge.connection = .virtualNode
            if edge.client.isEmpty {
                // Somebody outside called: a browser, a person.
                guard edge.isRoot else { return }
                edge.client = edge.peer.isEmpty ? "user" : edge.peer
                edge.virtualSide = "client"
            } else {
                guard !edge.peer.isEmpty else { return }
                edge.server = edge.peer
                edge.virtualSide = "server"
            }
            virtual.append(edge)
        }
        for edge in virtual { count(edge, plan, millis, &counts) }
    }

    private mutating func count(
        _ edge: SpanEdge, _ plan: SpanMetricsPlan, _ millis: Int64,
        _ counts: inout SpanMetrics.Counts
    ) {
        let key = key(edge, plan)
        let room = hasRoom(for: graph.shape, plan)
        let cell: Int
        if let known = graph.cell(key, millis: millis, hasRoom: room) {
            cell = known
        } else {
            counts.overflowed += 1
            cell = graph.overflowCell(millis: millis)
        }
        graph.add(edge.weight, counter: 0, of: cell)
        if edge.isFailed { graph.add(edge.weight, counter: 1, of: cell) }
        func observe(_ seconds: Double?, _ histogram: Int) {
            guard let seconds else { return }
            let exemplar = SpanExemplar(traceID: edge.traceID, seconds: seconds, millis: millis)
            graph.observe(exemplar, weight: edge.weight, histogram: histogram, of: cell)
        }
        observe(edge.serverSeconds, 0)
        observe(edge.clientSeconds, 1)
        if plan.settings.graph.hasMessagingLatency, edge.connection == .messaging,
            edge.serverStartNanos > edge.clientEndNanos
        {
            observe(Double(edge.serverStartNanos - edge.clientEndNanos) / 1e9, 2)
        }
    }

    private func key(_ edge: SpanEdge, _ plan: SpanMetricsPlan) -> [UInt8] {
        var key: [UInt8] = []
        func add(_ text: String) {
            var text = text
            text.withUTF8 { append(UnsafeRawBufferPointer($0), to: &key) }
        }
        add(edge.client)
        add(edge.server)
        append(edge.connection.text.bytes, to: &key)
        if plan.settings.graph.hasVirtualNodeLabel { append(edge.virtualSide.bytes, to: &key) }
        for index in plan.settings.graph.dimensions.indices {
            let client = edge.clientDimensions.isEmpty ? "" : edge.clientDimensions[index]
            let server = edge.serverDimensions.isEmpty ? "" : edge.serverDimensions[index]
            if plan.settings.graph.hasSidePrefix {
                add(client)
                add(server)
            } else {
                add(server.isEmpty ? client : server)
            }
        }
        return key
    }

    // MARK: writing

    /// Writes all series, and ends edges that have waited long enough.
    mutating func write(
        to writer: inout SpanSampleWriter, _ plan: SpanMetricsPlan, nanos: Int64,
        _ counts: inout SpanMetrics.Counts
    ) {
        let millis = writer.nowMillis
        expire(plan, nanos: nanos, millis: millis, &counts)
        if !isDescribed {
            isDescribed = true
            describe(plan, &writer)
        }
        let staleBefore = millis - Int64(plan.settings.staleSeconds * 1000)
        writer.write(&spans, staleBefore: staleBefore)
        writer.write(&graph, staleBefore: staleBefore)
        for (labels, touched) in infos.sorted(by: { $0.key < $1.key }) {
            writer.write(info: labels, isStale: touched < staleBefore)
            if touched < staleBefore { infos[labels] = nil }
        }
        writer.finish()
    }

    private func describe(_ plan: SpanMetricsPlan, _ writer: inout SpanSampleWriter) {
        var shapes: [SpanSeriesShape] = []
        if plan.settings.spans.isEnabled { shapes.append(spans.shape) }
        if plan.settings.graph.isEnabled { shapes.append(graph.shape) }
        for shape in shapes {
            for family in shape.counters { writer.describe(family, .counter) }
            for family in shape.histograms { writer.describe(family, .histogram) }
        }
        if plan.settings.spans.isEnabled, plan.settings.spans.hasTargetInfo {
            writer.describe(
                SpanSeriesShape.Family(
                    name: SpanTexts.targetInfo, help: "Attributes of the resources of spans"),
                .gauge)
        }
    }

    mutating func unwrite(round: UInt64) {
        spans.unwrite(round: round)
        graph.unwrite(round: round)
        isDescribed = false
    }
}

/// A span's share of its series.
struct CountedSpan {
    var exemplar: SpanExemplar
    var weight: Double

    var millis: Int64 { exemplar.millis }

    init(_ batch: SpanBatch, _ row: Int, weight: Double, millis: Int64) {
        let (nanos, overflow) = batch.endNanos[row].subtractingReportingOverflow(
            batch.startNanos[row])
        exemplar = SpanExemplar(
            traceID: batch.traceIDs[row], seconds: overflow ? 0 : Double(max(0, nanos)) / 1e9,
            millis: millis)
        self.weight = weight
    }
}

/// Texts of labels.
enum SpanTexts {
    static let kinds: [StaticString] = [
        "SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT",
        "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER",
    ]
    static let statuses: [StaticString] = [
        "STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR",
    ]
    static let targetInfo = "traces_target_info"
}
