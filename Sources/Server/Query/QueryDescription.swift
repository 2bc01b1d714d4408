// SPDX-License-Identifier: Apache-2.0
// Which query a request is.

import Base
import HTTPTypes
import Telemetry

/// A query as its client sent it, for the active-query log and the query log.
package struct QueryDescription: Sendable {
    package enum Family: String, Sendable {
        case promql, logql, traceql
        /// Questions without a language: their text is what was asked, as in a URL.
        case correlation, jaeger, zipkin
    }
    package var family: Family
    package var text: String
    package var tenant: Tenant
    package var method: String
    package var path: String
    /// Times and step as sent; nil where the request has none.
    package var start: String?
    package var end: String?
    package var step: String?
    /// What the client says of the query, such as `Source=logvolhist`; at most 256 bytes.
    /// Source: grafana/loki `pkg/util/httpreq` (`X-Query-Tags`).
    package var tags: String?

    /// The query that the current task answers; nil for other requests.
    @TaskLocal package static var current: QueryDescription?

    package init(
        _ family: Family, _ text: String, tenant: Tenant, method: String = "", path: String = ""
    ) {
        self.family = family
        self.text = text
        self.tenant = tenant
        self.method = method
        self.path = path
    }

    /// Nil when the request carries no query of one of the three languages and is none of the questions
    /// that may read much: of the correlation API, and searches of traces.
    package init?(_ request: APIRequest) {
        let path = request.path
        let family: Family
        if path.hasPrefix("/loki/api/v1/") {
            family = .logql
        } else if path.hasPrefix("/api/v1/query") || path == "/api/v1/explain" {
            family = .promql
        } else if path.hasPrefix("/api/search") || path.hasPrefix("/api/metrics/")
            || path.hasPrefix("/api/v2/search")
        {
            family = .traceql
        } else if let family = QueryDescription.question(request) {
            self.init(
                family, QueryDescription.asked(request), tenant: request.tenant,
                method: request.method.rawValue, path: path)
            start = request.nonEmpty("start")
            end = request.nonEmpty("end")
            tags = QueryDescription.tags(of: request)
            return
        } else {
            return nil
        }
        guard let text = request.nonEmpty(family == .traceql ? "q" : "query") else { return nil }
        self.init(
            family, text, tenant: request.tenant, method: request.method.rawValue, path: path)
        let time = request.nonEmpty("time")
        start = request.nonEmpty("start") ?? time
        end = request.nonEmpty("end") ?? time
        step = request.nonEmpty("step")
        tags = QueryDescription.tags(of: request)
    }

    private static func tags(of request: APIRequest) -> String? {
        request.headers[.queryTags].map { ActiveQueryLog.shortened($0, 256) }
    }

    private static func question(_ request: APIRequest) -> Family? {
        guard request.method == .get else { return nil }
        let path = request.path
        if path.hasPrefix("/api/v1/correlate/") { return .correlation }
        if path == "/api/traces" || path == "/api/dependencies" || path == "/api/v3/traces"
            || path == "/api/v3/dependencies"
        {
            return .jaeger
        }
        if path == "/api/v2/traces" || path == "/api/v2/traceMany" || path == "/api/v2/dependencies"
        {
            return .zipkin
        }
        return nil
    }

    /// The last name of the path and the parameters, in the order in which they came.
    private static func asked(_ request: APIRequest) -> String {
        let name =
            request.path.hasPrefix("/api/v1/correlate/")
            ? request.path.dropFirst("/api/v1/correlate/".count)
            : request.path.split(separator: "/").last ?? ""
        let parameters = request.parameters.map { $0.name + "=" + $0.value }
        return name + (parameters.isEmpty ? "" : "?" + parameters.joined(separator: "&"))
    }
}

extension HTTPField.Name {
    static let queryTags = HTTPField.Name("X-Query-Tags").unsafelyUnwrapped
}
