// SPDX-License-Identifier: Apache-2.0
// _bulk and _doc of Elasticsearch, and what senders ask before they send.

import Base
import HTTPTypes
import Ingest
import Telemetry
import Wire

/// Elasticsearch's ways in for logs. Source: Elasticsearch, "REST APIs" (`docs/reference`), and the
/// public `rest-api-spec/api/*.json`.
///
/// Everything is also under `/elasticsearch` (a family prefix) and `/insert/elasticsearch`
/// (VictoriaLogs' path). There are no indices, templates, policies or pipelines: what is not there
/// is 404, and what a sender puts there is acknowledged with a warning that it has no effect, since
/// many do not begin to send otherwise.
struct ElasticEndpoints: Sendable {
    let writer: LogDoorWriter

    func routes() -> [Route] {
        let limit = LogDoorWriter.bodyLimit
        var routes: [Route] = []
        for base in ["", "/insert/elasticsearch"] {
            for path in ["/_bulk", "/{index}/_bulk"] {
                routes.append(
                    Route([.post, .put], base + path, .elasticsearch, bodyLimit: limit, bulk))
            }
            routes += [
                Route([.post], base + "/{index}/_doc", .elasticsearch, bodyLimit: limit) {
                    try await document($0, .index)
                },
                Route(
                    [.post, .put], base + "/{index}/_create/{id}", .elasticsearch, bodyLimit: limit
                ) { try await document($0, .create) },
                Route([.put], base + "/{index}/_doc/{id}", .elasticsearch, bodyLimit: limit) {
                    try await document($0, .index)
                },
                open([.get, .head], base + "/", ElasticAnswers.root),
                open([.get, .head], base + "/_cluster/health", ElasticAnswers.health),
                open([.get], base + "/_license", ElasticAnswers.license),
            ]
            for kind in ElasticAnswers.absentKinds {
                routes += [
                    open([.get, .head], base + kind.path) {
                        throw APIError(
                            .notFound, "\(kind.name) [\($0.pathParameters["name"] ?? "")] missing")
                    },
                    open([.put, .post], base + kind.path) { _ in
                        ElasticAnswers.acknowledged(kind.name)
                    },
                ]
            }
        }
        return routes
    }

    private func open(
        _ methods: [HTTPRequest.Method], _ path: String,
        _ handler: @escaping @Sendable (APIRequest) throws -> APIResponse
    ) -> Route {
        var route = Route(methods, path, .elasticsearch) { request in
            var answer = try handler(request)
            if request.method == .head { answer.body = [] }
            return answer.fromElasticsearch(to: request)
        }
        route.needsTenant = false
        return route
    }

    // MARK: documents

    private func bulk(_ request: APIRequest) async throws -> APIResponse {
        let start = writer.clock.monotonicNanos
        return try await writer.perform(request, overload: .tooManyRequests) {
            let mapping = try request.recordMapping()
            let plain = try request.plainBody(
                accepting: LogDoorWriter.codings, limit: LogDoorWriter.bodyLimit)
            var decoded: ElasticBulk.Request
            do {
                decoded = try plain.withUnsafeBytes {
                    try ElasticBulk.decode(
                        $0, index: request.pathParameters["index"] ?? "", mapping,
                        receivedNanos: writer.clock.wallNanos,
                        limits: writer.lineLimits.limits(of: request.tenant))
                }
            } catch let error as MalformedBulk {
                throw APIError(.badData, error.description)
            }
            let report = try await writer.write(decoded.logs, from: .elasticsearch, request.tenant)
            decoded.refuse(report)
            let millis = (writer.clock.monotonicNanos - start) / 1_000_000
            return APIResponse.json(ElasticAnswers.bulk(decoded.items, tookMillis: Int(millis)))
                .fromElasticsearch(to: request)
        }
    }

    private func document(
        _ request: APIRequest, _ action: ElasticBulk.Action
    ) async throws -> APIResponse {
        try await writer.perform(request, overload: .tooManyRequests) {
            let mapping = try request.recordMapping()
            var body = Array("{\"\(action.rawValue)\":{}}\n".utf8)
            let plain = try request.plainBody(
                accepting: LogDoorWriter.codings, limit: LogDoorWriter.bodyLimit)
            // Line ends inside a string are escaped, so those that stand are white space.
            body += plain.map { $0 == UInt8(ascii: "\n") ? UInt8(ascii: " ") : $0 }
            var decoded = try body.withUnsafeBytes {
                try ElasticBulk.decode(
                    $0, index: request.pathParameters["index"] ?? "", mapping,
                    receivedNanos: writer.clock.wallNanos, id: request.pathParameters["id"] ?? "",
                    limits: writer.lineLimits.limits(of: request.tenant))
            }
            let report = try await writer.write(decoded.logs, from: .elasticsearch, request.tenant)
            decoded.refuse(report)
            guard let item = decoded.items.first else {
                throw APIError(.badData, "request body is required")
            }
            if case .refused(_, let reason) = item.outcome { throw APIError(.badData, reason) }
            return APIResponse.json(ElasticAnswers.document(item), status: .created)
                .fromElasticsearch(to: request)
        }
    }
}

extension ElasticBulk.Request {
    /// Refuses the items whose rows were not taken.
    fileprivate mutating func refuse(_ report: LogWriteReport) {
        var refused = report.refusedRows[...]
        if refused.isEmpty { return }
        // Rows are numbered in the order of the items.
        for i in items.indices {
            guard case .row(let number) = items[i].outcome, number == refused.first?.row,
                let row = refused.popFirst()
            else { continue }
            items[i].outcome = .refused(
                type: row.isLimited ? ElasticBulk.overload : "illegal_argument_exception",
                reason: row.reason)
        }
    }
}
