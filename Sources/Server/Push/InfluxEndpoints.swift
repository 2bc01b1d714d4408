// SPDX-License-Identifier: Apache-2.0
// /write, /api/v2/write, /ping and /query of InfluxDB.

import Base
import HTTPTypes
import Ingest
import Telemetry
import Wire

/// InfluxDB's ways in, for what writes line protocol. Source: InfluxDB 1.x "HTTP API reference",
/// 2.x "Write data with the API".
struct InfluxEndpoints: Sendable {
    let pipeline: IngestPipeline
    let queries: QueryService
    let clock: any Clock
    let counters: LineCounters
    /// Bytes of a body after decompression.
    static let bodyLimit = 64 << 20

    private enum Version: Sendable { case one, two }

    func routes() -> [Route] {
        let limit = Self.bodyLimit
        return ["", "/influx"].flatMap { prefix in
            [
                Route([.post], prefix + "/write", .plain, bodyLimit: limit) {
                    try await write($0, .one)
                },
                Route([.post], prefix + "/api/v2/write", .plain, bodyLimit: limit) {
                    try await write($0, .two)
                },
                Route.open([.get, .head], prefix + "/ping") { _ in Self.ping },
                Route([.get, .post], prefix + "/query", .plain, query),
            ]
        }
    }

    /// Clients take the version for what the server can.
    private static var ping: APIResponse {
        var response = APIResponse.noContent
        response.headers[.influxVersion] = "1.8.0"
        return response
    }

    // MARK: write

    private func write(_ request: APIRequest, _ version: Version) async throws -> APIResponse {
        do {
            return try await pipeline.perform(bytes: request.body.count) {
                try await take(request, version)
            }
        } catch let error as IngestError { throw APIError(error) }
    }

    private func take(_ request: APIRequest, _ version: Version) async throws -> APIResponse {
        var options = InfluxLines.Options(nowMillis: clock.wallNanos / 1_000_000)
        // 2.x calls it bucket.
        options.database = request.nonEmpty("db") ?? request.nonEmpty("bucket") ?? ""
        options.extraLabels = try request.extraLabels()
        if let text = request.nonEmpty("precision") {
            guard let precision = InfluxLines.Precision(parameter: text) else {
                return refusal(
                    "invalid precision \(quotedText(text)); use ns, us, ms or s", version)
            }
            options.precision = precision
        }
        let plain = try request.plainBody(
            accepting: [.identity, .gzip, .deflate, .zstd], limit: Self.bodyLimit)
        let decoded = plain.withUnsafeBytes { InfluxLines.decode($0, options) }
        let report = try await pipeline.write(metrics: decoded.batch, tenant: request.tenant)
        LineCounters.add(report.samples, to: counters.influxFields)
        LineCounters.add(
            decoded.rejectedLines + report.refusals.count, to: counters.influxRejected)
        LineCounters.add(decoded.skippedTexts, to: counters.influxTexts)
        let problems = [decoded.message, report.refusals.summary].filter { !$0.isEmpty }
        if problems.isEmpty { return .noContent }
        return refusal(
            "partial write: \(problems.joined(separator: "; ")) "
                + "dropped=\(decoded.rejectedLines + report.refusals.count)", version)
    }

    /// A 400 in the shape of the version. Clients do not send it again.
    private func refusal(_ message: String, _ version: Version) -> APIResponse {
        var json = JSONWriter()
        json.beginObject()
        switch version {
        case .one: json.member("error", message)
        case .two:
            json.member("code", "invalid")
            json.member("message", message)
        }
        json.endObject()
        var response = APIResponse.json(json.bytes, status: .badRequest)
        response.headers[.influxVersion] = "1.8.0"
        return response
    }

    // MARK: query

    /// The two statements that writers send before they write. A database is the value of the label
    /// `db`: it is there once something was written, and needs no creation.
    private func query(_ request: APIRequest) async throws -> APIResponse {
        let text = trimmed(request.parameter("q") ?? "")
        let words = text.split { $0 == " " || $0 == ";" }.map { $0.uppercased() }
        switch words.prefix(2) {
        case ["SHOW", "DATABASES"]: return try await databases(request)
        case ["CREATE", "DATABASE"]: return result(databases: nil)
        default:
            return refusal(
                "only SHOW DATABASES and CREATE DATABASE are answered here: ask /api/v1/query in "
                    + "PromQL", .one)
        }
    }

    private func databases(_ request: APIRequest) async throws -> APIResponse {
        let reader = queries.metrics
        let wanted = SeriesRequest(tenant: request.tenant, matchers: [], range: .all)
        let names = try await queries.run { try reader.labelValues("db", wanted, $0) }
        return result(databases: names)
    }

    private func result(databases: [String]?) -> APIResponse {
        var json = JSONWriter()
        json.beginObject()
        json.key("results")
        json.beginArray()
        json.beginObject()
        json.member("statement_id", 0)
        if let databases {
            json.key("series")
            json.beginArray()
            json.beginObject()
            json.member("name", "databases")
            json.key("columns")
            json.beginArray()
            json.string("name")
            json.endArray()
            json.key("values")
            json.beginArray()
            for name in databases {
                json.beginArray()
                json.string(name)
                json.endArray()
            }
            json.endArray()
            json.endObject()
            json.endArray()
        }
        json.endObject()
        json.endArray()
        json.endObject()
        var response = APIResponse.json(json.bytes)
        response.headers[.influxVersion] = "1.8.0"
        return response
    }
}

extension APIRequest {
    /// `extra_label=NAME=VALUE`, repeatable, as VictoriaMetrics' ways in have it.
    func extraLabels() throws(APIError) -> [(name: String, value: String)] {
        var result: [(name: String, value: String)] = []
        for text in parameters(named: "extra_label") {
            guard let equal = text.firstIndex(of: "="), equal > text.startIndex else {
                throw APIError(.badData, "extra_label takes NAME=VALUE, not \(quotedText(text))")
            }
            let name = String(text[..<equal])
            let value = String(text[text.index(after: equal)...])
            if let known = result.firstIndex(where: { $0.name == name }) {
                result[known].value = value
            } else {
                result.append((name, value))
            }
        }
        return result
    }
}

extension HTTPField.Name {
    static let influxVersion = Self("X-Influxdb-Version").unsafelyUnwrapped
}
