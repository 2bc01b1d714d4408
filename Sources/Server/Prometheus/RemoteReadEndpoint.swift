// SPDX-License-Identifier: Apache-2.0
// POST /api/v1/read.

import Base
import HTTPTypes
import PromQL
import Telemetry
import Wire

/// Remote read. Source: prometheus/prometheus `storage/remote/read_handler.go`.
struct RemoteReadEndpoint: Sendable {
    let service: QueryService
    let externalLabels: @Sendable () -> [(name: String, value: String)]

    /// Bytes of a request, packed and unpacked. Source: Prometheus' `decodeReadLimit`.
    private static let requestLimit = 32 << 20

    func read(_ request: APIRequest) async throws -> APIResponse {
        let plain: [UInt8]
        do {
            plain = try request.body.withUnsafeBytes {
                try Snappy.decompress($0, limit: Self.requestLimit)
            }
        } catch { throw APIError(.badData, "request body: \(error)") }
        let asked: RemoteRead.Request
        do {
            asked = try plain.withUnsafeBytes { try RemoteRead.decode($0) }
        } catch { throw APIError(.badData, "\(error)") }
        guard let type = asked.responseType else {
            throw APIError(
                .badData,
                "server does not support any of the requested response types: "
                    + "\(asked.acceptedTypes); supported: SAMPLES, STREAMED_XOR_CHUNKS")
        }
        let work = RemoteReadWork(
            request: asked, tenant: request.tenant, reader: service.metrics,
            externals: externalLabels())
        return try await service.run(wording: prometheusWording) { context in
            type == .streamedXORChunks ? try work.chunks(context) : try work.samples(context)
        }
    }
}

private struct RemoteReadWork: Sendable {
    let request: RemoteRead.Request
    let tenant: Tenant
    let reader: any SeriesReading
    let externals: [(name: String, value: String)]

    func samples(_ context: ReadContext) throws -> APIResponse {
        var writer = ProtobufWriter()
        for query in request.queries {
            let mark = writer.begin(1)
            var held = writer.count
            try forEachSeries(of: query, context) { labels, columns in
                RemoteRead.writeSeries(labels, columns, into: &writer)
                try context.reserve(writer.count - held)
                held = writer.count
            }
            writer.end(mark)
        }
        var answer = APIResponse(
            .ok, contentType: "application/x-protobuf", body: Snappy.compress(writer.bytes))
        answer.headers[.contentEncoding] = "snappy"
        return answer
    }

    func chunks(_ context: ReadContext) throws -> APIResponse {
        var body: [UInt8] = []
        for (index, query) in request.queries.enumerated() {
            try forEachSeries(of: query, context) { labels, columns in
                let before = body.count
                try RemoteRead.appendFrames(labels, columns, queryIndex: index, into: &body)
                try context.reserve(body.count - before)
            }
        }
        var answer = APIResponse(
            .ok,
            contentType: "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse",
            body: body)
        // Frames are not to be packed again: the protocol says so.
        answer.isPlain = true
        return answer
    }

    private func forEachSeries(
        of query: RemoteRead.Query, _ context: ReadContext,
        _ body: (Labels, SampleColumns) throws -> Void
    ) throws {
        guard query.startMillis <= query.endMillis else { return }
        // Series carry no external label, so a condition on one asks for its absence.
        let matchers = query.matchers.map { matcher in
            matcher.operation == .equal
                && externals.contains { $0.name == matcher.name && $0.value == matcher.value }
                ? LabelMatcher(equal: matcher.name, "") : matcher
        }
        let set = try reader.select(
            SeriesRequest(
                tenant: tenant, matchers: matchers,
                range: MillisRange(first: Millis(query.startMillis), last: Millis(query.endMillis))),
            context)
        var columns = SampleColumns()
        for index in 0..<set.count {
            try context.check()
            columns.removeAll()
            try set.read(index, into: &columns, context)
            if columns.count == 0 { continue }
            try body(merged(set.labels(index)), columns)
        }
    }

    private func merged(_ labels: Labels) -> Labels {
        if externals.isEmpty { return labels }
        return Labels(externals.filter { labels[$0.name] == nil } + labels.pairs)
    }
}
