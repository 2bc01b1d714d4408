// SPDX-License-Identifier: Apache-2.0
// The Model Context Protocol, over HTTP.

import Base
import HTTPTypes

/// `POST /api/mcp`: JSON-RPC 2.0 messages of the Model Context Protocol's streamable HTTP transport,
/// one a request, each answered at once with JSON. No sessions and no streams: nothing is kept
/// between requests. Tools only read; each asks one of the server's routes, as the tenant of the
/// request and within the limits of that route.
///
/// Source: modelcontextprotocol.io, specification of 2025-06-18, "Transports", "Lifecycle", "Tools".
struct ModelContextEndpoint: Sendable {
    /// Versions of the protocol that are spoken, the newest first.
    static let versions = ["2025-11-25", "2025-06-18", "2025-03-26"]
    /// Largest message, and most bytes of a tool's answer.
    static let maxMessageBytes = 256 << 10
    static let maxAnswerBytes = 1 << 20

    private let handlers: [String: @Sendable (APIRequest) async throws -> APIResponse]

    /// - Parameter routes: where the tools' paths lead.
    init(routes: [Route]) {
        let paths = Set(ModelContextTool.all.map(\.path))
        handlers = Dictionary(
            routes.filter { paths.contains($0.path) }.map { ($0.path, $0.handler) },
            uniquingKeysWith: { first, _ in first })
    }

    func routes() -> [Route] {
        [Route([.post], "/api/mcp", .plain, bodyLimit: Self.maxMessageBytes, answer)]
    }

    /// A message that is answered with an error. Codes are JSON-RPC's.
    private struct Refusal: Error {
        var code: Int
        var message: String

        static func invalidParameters(_ message: String) -> Refusal {
            Refusal(code: -32602, message: message)
        }
    }

    private func answer(_ request: APIRequest) async throws -> APIResponse {
        if let origin = request.headers[.origin], !Self.isLocal(origin) {
            return .text("requests of pages of \(origin) are not taken\n", status: .forbidden)
        }
        if let name = HTTPField.Name("MCP-Protocol-Version"), let version = request.headers[name],
            !Self.versions.contains(version)
        {
            throw APIError(
                .badData,
                "MCP-Protocol-Version \"\(version)\" is none of "
                    + Self.versions.joined(separator: ", "))
        }
        let message: JSONValue
        do { message = try JSONValue(parsing: request.body) } catch {
            return reply(.null, Refusal(code: -32700, message: "parse error: \(error)"))
        }
        guard case .object = message, message["jsonrpc"].text == "2.0" else {
            return reply(
                .null,
                Refusal(code: -32600, message: "one JSON-RPC 2.0 message is expected"))
        }
        // Notifications and answers are taken note of.
        if message["id"].isNull || message["method"].isNull {
            return APIResponse(.accepted)
        }
        do {
            return try await reply(message["id"], call(message, request))
        } catch let refusal as Refusal {
            return reply(message["id"], refusal)
        }
    }

    /// Pages of other sites must not reach a server on the reader's machine.
    private static func isLocal(_ origin: String) -> Bool {
        guard let scheme = origin.firstRange(of: "://") else { return false }
        let host = origin[scheme.upperBound...]
        return ["localhost", "127.0.0.1", "[::1]"].contains {
            host == $0 || host.hasPrefix($0 + ":")
        }
    }

    /// The JSON of the result.
    private func call(_ message: JSONValue, _ request: APIRequest) async throws -> [UInt8] {
        var json = JSONWriter()
        switch message["method"].text {
        case "initialize":
            let wanted = message["params"]["protocolVersion"].text
            json.beginObject()
            json.member(
                "protocolVersion", Self.versions.contains(wanted) ? wanted : Self.versions[0])
            json.key("capabilities")
            json.raw(#"{"tools":{}}"#)
            json.key("serverInfo")
            json.beginObject()
            json.member("name", "tern")
            json.member("version", Base.version)
            json.endObject()
            json.endObject()
        case "ping": json.raw("{}")
        case "tools/list":
            json.beginObject()
            json.key("tools")
            json.beginArray()
            for tool in ModelContextTool.all {
                json.beginObject()
                json.member("name", tool.name)
                json.member("description", tool.description)
                json.key("inputSchema")
                tool.writeSchema(into: &json)
                json.key("annotations")
                json.raw(#"{"readOnlyHint":true}"#)
                json.endObject()
            }
            json.endArray()
            json.endObject()
        case "tools/call":
            let (text, isError) = try await use(message["params"], request)
            json.beginObject()
            json.key("content")
            json.beginArray()
            json.beginObject()
            json.member("type", "text")
            json.member("text", text)
            json.endObject()
            json.endArray()
            json.member("isError", isError)
            json.endObject()
        case let method:
            throw Refusal(code: -32601, message: "method \"\(method)\" is not offered")
        }
        return json.bytes
    }

    /// Asks the route of a tool; what the route refuses is told to the model, which may ask better.
    private func use(
        _ parameters: JSONValue, _ request: APIRequest
    ) async throws -> (text: String, isError: Bool) {
        let name = parameters["name"].text
        guard let tool = ModelContextTool.all.first(where: { $0.name == name }),
            let handler = handlers[tool.path]
        else { throw Refusal.invalidParameters("unknown tool \"\(name)\"") }
        let inner = try Self.request(tool, parameters["arguments"], from: request)
        do {
            let response = try await handler(inner)
            let body = try await Self.body(of: response)
            return (String(decoding: body, as: UTF8.self), response.status.kind != .successful)
        } catch let error as APIError {
            return (error.message, true)
        }
    }

    private static func request(
        _ tool: ModelContextTool, _ arguments: JSONValue, from outer: APIRequest
    ) throws -> APIRequest {
        if case .body = tool.sending {
            var json = JSONWriter()
            arguments.write(into: &json)
            return APIRequest(
                method: .post, path: tool.path, body: json.bytes, tenant: outer.tenant)
        }
        var inner = APIRequest(method: .get, path: tool.path, tenant: outer.tenant)
        for argument in arguments.members {
            guard tool.parameters.contains(where: { $0.name == argument.name }) else {
                throw Refusal.invalidParameters("\(tool.name) has no argument \"\(argument.name)\"")
            }
            let text = argument.value.text
            if tool.path.contains("{\(argument.name)}") {
                inner.pathParameters[argument.name] = text
            } else {
                inner.parameters.append((argument.name, text))
            }
        }
        for parameter in tool.parameters where parameter.isRequired {
            guard !arguments[parameter.name].text.isEmpty else {
                throw Refusal.invalidParameters("\(tool.name) needs \"\(parameter.name)\"")
            }
        }
        return inner
    }

    /// - Throws: `APIError` when the answer is too long.
    private static func body(of response: APIResponse) async throws -> [UInt8] {
        var body = response.body
        if let stream = response.stream {
            defer { stream.end() }
            while body.count <= maxAnswerBytes, let piece = try await stream.next() {
                body += piece
            }
        }
        guard body.count <= maxAnswerBytes else {
            throw APIError(
                .tooLarge,
                "the answer has more than \(maxAnswerBytes) bytes: "
                    + "ask for less by limit, start and end or a narrower query")
        }
        return body
    }

    private func reply(_ id: JSONValue, _ result: [UInt8]) -> APIResponse {
        reply(id) { json in
            json.key("result")
            json.raw(result)
        }
    }

    private func reply(_ id: JSONValue, _ refusal: Refusal) -> APIResponse {
        reply(id) { json in
            json.key("error")
            json.beginObject()
            json.member("code", refusal.code)
            json.member("message", refusal.message)
            json.endObject()
        }
    }

    private func reply(_ id: JSONValue, _ write: (inout JSONWriter) -> Void) -> APIResponse {
        var json = JSONWriter()
        json.beginObject()
        json.member("jsonrpc", "2.0")
        json.key("id")
        id.write(into: &json)
        write(&json)
        json.endObject()
        return .json(json.bytes)
    }
}
