// SPDX-License-Identifier: Apache-2.0
// Answers in Elasticsearch's form.

import Base
import HTTPTypes
import Wire

extension HTTPField.Name {
    static let elasticProduct = Self("X-Elastic-Product").unsafelyUnwrapped
    static let warning = Self("Warning").unsafelyUnwrapped
}

extension APIResponse {
    /// Clients check the product on every answer, and take the media type they asked for.
    func fromElasticsearch(to request: APIRequest) -> APIResponse {
        var answer = self
        answer.headers[.elasticProduct] = "Elasticsearch"
        let asked = (request.headers[.accept] ?? "") + "," + (request.headers[.contentType] ?? "")
        if answer.headers[.contentType] == "application/json",
            let version = asked.split(separator: "compatible-with=").dropFirst().first?
                .prefix(while: \.isNumber), !version.isEmpty
        {
            answer.headers[.contentType] =
                "application/vnd.elasticsearch+json;compatible-with=\(version)"
        }
        return answer
    }
}

/// An error as Elasticsearch reports it.
func elasticsearchError(_ error: APIError, to request: APIRequest) -> APIResponse {
    let type =
        switch error.kind {
        case .notFound: "resource_not_found_exception"
        case .tooManyRequests: "es_rejected_execution_exception"
        case .unavailable, .timeout: "unavailable_shards_exception"
        case .unauthorized: "security_exception"
        default: error.status.code < 500 ? "illegal_argument_exception" : "exception"
        }
    func write(_ json: inout JSONWriter) {
        json.member("type", type)
        json.member("reason", error.message)
    }
    var json = JSONWriter()
    json.beginObject()
    json.key("error")
    json.beginObject()
    json.key("root_cause")
    json.beginArray()
    json.beginObject()
    write(&json)
    json.endObject()
    json.endArray()
    write(&json)
    json.endObject()
    json.member("status", error.status.code)
    json.endObject()
    var answer = APIResponse.json(json.bytes, status: error.status).fromElasticsearch(to: request)
    if request.method == .head { answer.body = [] }
    return answer
}

enum ElasticAnswers {
    /// Release whose requests are understood; clients choose their requests by it.
    static let version = "8.17.0"

    /// What there is none of, with its path.
    static let absentKinds: [(name: String, path: String)] = [
        ("index template", "/_index_template/{name}"), ("index template", "/_template/{name}"),
        ("component template", "/_component_template/{name}"),
        ("lifecycle policy", "/_ilm/policy/{name}"), ("pipeline", "/_ingest/pipeline/{name}"),
    ]

    private static func object(_ write: (inout JSONWriter) -> Void) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        write(&json)
        json.endObject()
        return json.bytes
    }

    static func root(_ request: APIRequest) -> APIResponse {
        .json(
            object { json in
                json.member("name", "tern")
                json.member("cluster_name", "tern")
                json.key("version")
                json.beginObject()
                json.member("number", version)
                json.member("build_flavor", "default")
                json.member("build_snapshot", false)
                json.member("minimum_wire_compatibility_version", "7.17.0")
                json.member("minimum_index_compatibility_version", "7.0.0")
                json.endObject()
                // Some clients take this line for the proof of the product.
                json.member("tagline", "You Know, for Search")
            })
    }

    /// One node without shards, which is up when it answers.
    static func health(_ request: APIRequest) -> APIResponse {
        .json(
            object { json in
                json.member("cluster_name", "tern")
                json.member("status", "green")
                json.member("timed_out", false)
                json.member("number_of_nodes", 1)
                json.member("number_of_data_nodes", 1)
            })
    }

    /// The licence that grants nothing beyond the basic features.
    static func license(_ request: APIRequest) -> APIResponse {
        .json(
            object { json in
                json.key("license")
                json.beginObject()
                json.member("status", "active")
                json.member("type", "basic")
                json.member("mode", "basic")
                json.endObject()
            })
    }

    /// - Parameter kind: what was put.
    static func acknowledged(_ kind: String) -> APIResponse {
        var answer = APIResponse.json(object { $0.member("acknowledged", true) })
        // RFC 7234's form, in which Elasticsearch warns: clients show it.
        answer.headers[.warning] =
            "299 Tern-\(version) \"there are no indices here: the \(kind) has no effect\""
        return answer
    }

    // MARK: items

    static func bulk(_ items: [ElasticBulk.Item], tookMillis: Int) -> [UInt8] {
        var hasErrors = false
        for item in items {
            if case .refused = item.outcome { hasErrors = true }
        }
        var json = JSONWriter(reserving: 64 + 96 * items.count)
        json.beginObject()
        json.member("took", tookMillis)
        json.member("errors", hasErrors)
        json.key("items")
        json.beginArray()
        for item in items {
            json.beginObject()
            json.key(item.action.rawValue)
            json.beginObject()
            write(item, into: &json)
            json.endObject()
            json.endObject()
        }
        json.endArray()
        json.endObject()
        return json.bytes
    }

    static func document(_ item: ElasticBulk.Item) -> [UInt8] {
        object { write(item, into: &$0) }
    }

    private static func write(_ item: ElasticBulk.Item, into json: inout JSONWriter) {
        if !item.index.isEmpty { json.member("_index", item.index) }
        if !item.id.isEmpty { json.member("_id", item.id) }
        switch item.outcome {
        case .row:
            json.member("result", "created")
            json.member("status", 201)
        case .refused(let type, let reason):
            json.member("status", type == ElasticBulk.overload ? 429 : 400)
            json.key("error")
            json.beginObject()
            json.member("type", type)
            json.member("reason", reason)
            json.endObject()
        }
    }
}
