// SPDX-License-Identifier: Apache-2.0
// Loki's ruler API: rule groups that are posted.

import Base
import HTTPTypes
import Rules
import Telemetry
import Yams

/// `/loki/api/v1/rules…` and its older spelling. Source: grafana/loki
/// `docs/sources/reference/loki-http-api.md`, `pkg/ruler/base/api.go`. What is in force is shown at
/// `/prometheus/api/v1/rules`.
struct LokiRulerEndpoints: Sendable {
    let rules: RuleService

    func routes() -> [Route] {
        ["/loki/api/v1/rules", "/api/prom/rules"].flatMap { path in
            [
                route([.get], path, list),
                route([.get], path + "/{namespace}", list),
                route([.get], path + "/{namespace}/{group}", group),
                route([.post], path + "/{namespace}", post),
                route([.delete], path + "/{namespace}", delete),
                route([.delete], path + "/{namespace}/{group}", delete),
            ]
        }
    }

    /// A route whose errors are JSON.
    private func route(
        _ methods: [HTTPRequest.Method], _ path: String,
        _ handler: @escaping @Sendable (APIRequest) async throws -> APIResponse
    ) -> Route {
        Route(methods, path, .loki, bodyLimit: StoredRules.maxGroupBytes) { request in
            do { return try await handler(request) } catch let error as APIError {
                var response = Self.answer(error.status, error)
                if let seconds = error.retryAfterSeconds {
                    response.headers[.retryAfter] = String(seconds)
                }
                return response
            }
        }
    }

    private static func answer(
        _ status: HTTPResponse.Status, _ error: APIError? = nil
    ) -> APIResponse {
        var json = JSONWriter()
        json.beginObject()
        json.member("status", error == nil ? "success" : "error")
        json.key("data")
        json.null()
        json.member(
            "errorType",
            error.map { $0.status.kind == .clientError ? "bad_data" : "server_error" } ?? "")
        json.member("error", error?.message ?? "")
        json.endObject()
        return .json(json.bytes, status: status)
    }

    private static func yaml(_ node: Node) throws -> APIResponse {
        let text: String
        do { text = try Yams.serialize(node: node) } catch {
            throw APIError(.internal, "\(error)")
        }
        return APIResponse(.ok, contentType: "application/yaml", body: Array(text.utf8))
    }

    private func groups(_ request: APIRequest) throws -> [StoredGroup] {
        let stored = try rules.stored()
        let namespace = request.pathParameters["namespace"]
        return stored.groups.filter {
            $0.tenant == request.tenant.name && (namespace == nil || $0.namespace == namespace)
        }
    }

    // MARK: - Endpoints

    private func list(_ request: APIRequest) async throws -> APIResponse {
        let groups = try groups(request)
        guard !groups.isEmpty else { throw APIError(.notFound, "no rule groups found") }
        var pairs: [(Node, Node)] = []
        for namespace in Set(groups.map(\.namespace)).sorted() {
            let nodes = try groups.filter { $0.namespace == namespace }.map(node(of:))
            pairs.append((Node(namespace), Node(nodes)))
        }
        return try Self.yaml(Node(pairs))
    }

    private func group(_ request: APIRequest) async throws -> APIResponse {
        let name = request.pathParameters["group"]
        guard let group = try groups(request).first(where: { $0.name == name }) else {
            throw APIError(.notFound, "group does not exist")
        }
        return try Self.yaml(try node(of: group))
    }

    private func node(of group: StoredGroup) throws -> Node {
        guard let node = try Yams.compose(yaml: group.text) else {
            throw APIError(.internal, "rule group \(group.name) is empty")
        }
        return node
    }

    private func post(_ request: APIRequest) async throws -> APIResponse {
        let namespace = request.pathParameters["namespace"] ?? ""
        let text = String(decoding: request.body, as: UTF8.self)
        try rules.post(text, namespace: namespace, tenant: request.tenant)
        return Self.answer(.accepted)
    }

    private func delete(_ request: APIRequest) async throws -> APIResponse {
        let found = try rules.remove(
            namespace: request.pathParameters["namespace"] ?? "",
            name: request.pathParameters["group"], tenant: request.tenant)
        guard found else {
            throw APIError(
                .notFound,
                request.pathParameters["group"] == nil
                    ? "no rule groups found" : "group does not exist")
        }
        return Self.answer(.accepted)
    }
}
