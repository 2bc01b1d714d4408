// SPDX-License-Identifier: Apache-2.0
// /api/search and completion.

import Base
import HTTPTypes
import Telemetry
import Wire

/// Tempo's search with the fields its strict clients know, and no others; JSON, or protobuf by
/// `Accept`.
struct SearchEndpoint: Sendable {
    let queries: TempoQueries

    func routes() -> [Route] {
        [
            Route([.get], "/api/search", .plain, search),
            Route([.get], "/api/search/tags", .plain, tags),
            Route([.get], "/api/v2/search/tags", .plain, tagsV2),
            Route([.get], "/api/search/tag/{name}/values", .plain, tagValues),
            Route([.get], "/api/v2/search/tag/{name}/values", .plain, tagValuesV2),
        ]
    }

    private func search(_ request: APIRequest) async throws -> APIResponse {
        let wanted = TempoQueries.Search(
            text: try queryText(request), range: try request.tempoRange(),
            limit: try request.tempoCount(
                "limit", default: TempoQueries.defaultTraces, 1...TempoQueries.maxCount),
            spansPerSpanSet: try request.tempoCount(
                "spss", default: TempoQueries.defaultSpans, 0...TempoQueries.maxCount))
        let answer = try await queries.search(wanted, tenant: request.tenant)
        return request.wantsProtobuf ? .protobuf(try answer.protobuf()) : .json(try answer.json())
    }

    /// The TraceQL text: `q`, or what `tags`, `minDuration` and `maxDuration` say.
    private func queryText(_ request: APIRequest) throws -> String {
        let tags = TagSearch(
            tags: request.nonEmpty("tags"), minDuration: request.nonEmpty("minDuration"),
            maxDuration: request.nonEmpty("maxDuration"))
        guard let text = request.nonEmpty("q") else { return try tags.query() }
        guard tags.isEmpty else {
            throw APIError(
                .badData,
                "q cannot be combined with tags, minDuration or maxDuration: "
                    + "write {.key=\"value\" && traceDuration > 10ms} in q")
        }
        return text
    }

    // MARK: completion

    /// Names of all scopes in one list, without intrinsics unless they are asked for.
    private func tags(_ request: APIRequest) async throws -> APIResponse {
        var answer = try await tagNames(request)
        if request.nonEmpty("scope") != TempoQueries.TagScope.intrinsic.rawValue {
            answer.scopes.removeAll { $0.name == TempoQueries.TagScope.intrinsic.rawValue }
        }
        return request.wantsProtobuf ? .protobuf(answer.protobuf()) : .json(answer.json())
    }

    /// Names by scope.
    private func tagsV2(_ request: APIRequest) async throws -> APIResponse {
        let answer = try await tagNames(request)
        return request.wantsProtobuf ? .protobuf(answer.protobufV2()) : .json(answer.jsonV2())
    }

    private func tagNames(_ request: APIRequest) async throws -> TempoTagsAnswer {
        let wanted = TempoQueries.Tags(
            scope: try .named(request.nonEmpty("scope")), query: request.nonEmpty("q") ?? "",
            range: try request.tempoRange(),
            limit: try request.tempoCount("limit", default: 0, 0...TempoQueries.maxValues))
        return try await queries.tags(wanted, tenant: request.tenant)
    }

    private func tagValues(_ request: APIRequest) async throws -> APIResponse {
        let answer = try await values(request)
        return request.wantsProtobuf ? .protobuf(answer.protobuf()) : .json(answer.json())
    }

    /// With types.
    private func tagValuesV2(_ request: APIRequest) async throws -> APIResponse {
        let answer = try await values(request)
        return request.wantsProtobuf ? .protobuf(answer.protobufV2()) : .json(answer.jsonV2())
    }

    private func values(_ request: APIRequest) async throws -> TempoTagValuesAnswer {
        let limit = try request.tempoCount("limit", default: 0, 0...TempoQueries.maxValues)
        let wanted = TempoQueries.TagValues(
            name: request.pathParameters["name"] ?? "", query: request.nonEmpty("q") ?? "",
            range: try request.tempoRange(),
            limit: limit == 0 ? TempoQueries.defaultValues : limit)
        return try await queries.tagValues(wanted, tenant: request.tenant)
    }
}
