// SPDX-License-Identifier: Apache-2.0
// Searches and completion of Tempo's API, whichever door they come through.

import Base
import Telemetry
import TraceQL
import Wire

/// What Tempo's HTTP endpoints and its streaming querier both answer.
struct TempoQueries: Sendable {
    let service: QueryService

    /// Traces of an answer at most, and spans of a span set.
    static let maxCount = 10_000
    static let defaultTraces = 20
    static let defaultSpans = 3
    /// Values of an attribute when the request names no limit, and at most.
    static let defaultValues = 10_000
    static let maxValues = 1_000_000

    struct Search: Sendable {
        /// TraceQL.
        var text: String
        var range: NanosRange
        var limit = TempoQueries.defaultTraces
        /// 0 = all.
        var spansPerSpanSet = TempoQueries.defaultSpans
    }

    func search(_ wanted: Search, tenant: Tenant) async throws -> TempoSearchAnswer {
        let query = try parsed(wanted.text)
        let search = TraceSearch(
            query, tenant: tenant, range: wanted.range, limit: wanted.limit,
            spansPerSpanset: wanted.spansPerSpanSet)
        let spans = CountingSpans(service.traces)
        return try await service.run { context in
            let found = try refusing { try TraceQLEngine(reader: spans).search(search, context) }
            return TempoSearchAnswer(
                traces: found.map(TempoSearchAnswer.Trace.init),
                statistics: spans.statistics(context))
        }
    }

    /// - Throws: `APIError` with Tempo's words in front.
    func parsed(_ text: String) throws(APIError) -> TraceQLQuery {
        do {
            return try TraceQLParser.parse(text)
        } catch {
            throw APIError(.badData, "invalid TraceQL query: \(error)")
        }
    }

    // MARK: completion

    /// Scopes in the order of an answer; intrinsics have no attributes.
    enum TagScope: String, CaseIterable, Sendable {
        case resource, span, event, link, instrumentation, intrinsic

        var attributes: AttributeScope? {
            switch self {
            case .resource: .resource
            case .span: .span
            case .event: .event
            case .link: .link
            case .instrumentation: .instrumentation
            case .intrinsic: nil
            }
        }

        /// - Parameter text: a scope's name; nil, empty, `all` and `none` mean each.
        static func named(_ text: String?) throws(APIError) -> TagScope? {
            guard let text, !text.isEmpty, text != "all", text != "none" else { return nil }
            guard let scope = TagScope(rawValue: text) else {
                throw APIError(.badData, "invalid scope: \(text)")
            }
            return scope
        }
    }

    /// Names of properties that completion offers. Source: grafana/tempo `docs/…/api_docs`, "Search
    /// tags V2".
    static let intrinsics = [
        "duration", "event:name", "event:timeSinceStart", "instrumentation:name",
        "instrumentation:version", "kind", "name", "rootName", "rootServiceName", "span:duration",
        "span:kind", "span:name", "span:status", "span:statusMessage", "status", "statusMessage",
        "trace:duration", "trace:rootName", "trace:rootService", "traceDuration",
    ]

    struct Tags: Sendable {
        /// Nil = all.
        var scope: TagScope?
        /// A query that may be incomplete, or empty.
        var query = ""
        var range: NanosRange
        /// Names of a scope at most; 0 = all.
        var limit = 0
    }

    /// Attribute names by scope; scopes that have none are left out.
    func tags(_ wanted: Tags, tenant: Tenant) async throws -> TempoTagsAnswer {
        let spans = CountingSpans(service.traces)
        return try await service.run { context in
            var names: [AttributeScope: [String]] = [:]
            if wanted.scope != .intrinsic {
                names = try TraceQLEngine(reader: spans).tagNames(
                    where: wanted.query, tenant: tenant, range: wanted.range, context)
            }
            var scopes: [TempoTagsAnswer.Scope] = []
            for scope in TagScope.allCases where wanted.scope == nil || wanted.scope == scope {
                let all = scope.attributes.map { names[$0] ?? [] } ?? TempoQueries.intrinsics
                let shown = wanted.limit > 0 ? Array(all.prefix(wanted.limit)) : all
                if !shown.isEmpty { scopes.append(.init(name: scope.rawValue, tags: shown)) }
            }
            return TempoTagsAnswer(scopes: scopes, statistics: spans.statistics(context))
        }
    }

    struct TagValues: Sendable {
        /// As a query spells it, or a bare attribute name.
        var name: String
        /// A query that may be incomplete, or empty.
        var query = ""
        var range: NanosRange
        var limit = TempoQueries.defaultValues
    }

    /// Values of an attribute on spans that satisfy what is complete of the query.
    func tagValues(_ wanted: TagValues, tenant: Tenant) async throws -> TempoTagValuesAnswer {
        guard let attribute = TraceQLAutocomplete.attribute(named: wanted.name) else {
            throw APIError(.badData, "please provide a non-empty tagName")
        }
        let spans = CountingSpans(service.traces)
        return try await service.run { context in
            let values = try TraceQLEngine(reader: spans).tagValues(
                attribute, where: wanted.query, tenant: tenant, range: wanted.range,
                limit: wanted.limit, context)
            return TempoTagValuesAnswer(
                values: values.map { tagValue($0, of: attribute.intrinsic) },
                statistics: spans.statistics(context))
        }
    }
}

/// A value with its type as Tempo names it.
private func tagValue(
    _ value: AttributeValue, of intrinsic: Intrinsic?
) -> TempoTagValuesAnswer.Value {
    switch (intrinsic, value) {
    case (.status, .string(let text)), (.kind, .string(let text)):
        .init(type: "keyword", text: text)
    case (.duration, .int(let nanos)), (.traceDuration, .int(let nanos)),
        (.eventTimeSinceStart, .int(let nanos)):
        .init(type: "duration", text: goDurationText(nanos: nanos))
    case (_, .string(let text)): .init(type: "string", text: text)
    case (_, .bool(let flag)): .init(type: "bool", text: flag ? "true" : "false")
    case (_, .int(let number)): .init(type: "int", text: String(number))
    case (_, .double(let number)): .init(type: "float", text: floatText(number))
    case (_, .empty), (_, .bytes), (_, .array), (_, .map): .init(type: "string", text: "")
    }
}

/// Makes what a query cannot be an error of the request.
func refusing<T>(_ body: () throws -> T) throws -> T {
    do {
        return try body()
    } catch let error as TraceQLValidationError {
        throw APIError(.badData, "invalid TraceQL query: \(error)")
    }
}

extension TempoSearchAnswer.Trace {
    fileprivate init(_ trace: TraceSearchResult) {
        self.init(
            id: trace.traceID, rootServiceName: trace.rootServiceName,
            rootTraceName: trace.rootTraceName, startNanos: trace.startNanos,
            durationNanos: trace.durationNanos,
            spanSets: trace.spansets.map { set in
                TempoSearchAnswer.SpanSet(
                    spans: set.spans.map { span in
                        TempoSearchAnswer.Span(
                            id: span.spanID, name: span.name, startNanos: span.startNanos,
                            durationNanos: span.durationNanos, attributes: span.attributes)
                    }, matched: set.matched, attributes: set.attributes)
            },
            services: trace.services.sorted { $0.key < $1.key }.map {
                .init(name: $0.key, spanCount: $0.value.spanCount, errorCount: $0.value.errorCount)
            })
    }
}
