// SPDX-License-Identifier: Apache-2.0
// HTTP as the laboratory needs it.

import AsyncHTTPClient
import Base
import NIOCore
import NIOHTTP1
import Shell

/// An answer, whole in memory.
struct LabAnswer: Sendable {
    var status: Int
    var headers: HTTPHeaders
    var body: [UInt8]

    var isSuccess: Bool { (200..<300).contains(status) }
    /// The body's first line, for messages.
    var text: String { String(decoding: body.prefix(300), as: UTF8.self) }
}

/// A client of one server. Answers of any status are returned; only a broken connection throws.
struct LabClient: Sendable {
    let client: HTTPClient
    /// Base address without a trailing slash.
    let url: String
    var timeoutSeconds: Int64 = 120
    private static let answerLimit = 1 << 30

    init(url: String, timeoutSeconds: Int64 = 120, client: HTTPClient = .lab) {
        self.url = url.hasSuffix("/") ? String(url.dropLast()) : url
        self.timeoutSeconds = timeoutSeconds
        self.client = client
    }

    func get(
        _ path: String, _ parameters: [(String, String)] = [], accept: String? = nil
    ) async throws -> LabAnswer {
        var text = url + path
        for (i, parameter) in parameters.enumerated() {
            text += (i == 0 ? "?" : "&") + encoded(parameter.0) + "=" + encoded(parameter.1)
        }
        var request = HTTPClientRequest(url: text)
        if let accept { request.headers.add(name: "Accept", value: accept) }
        return try await send(request)
    }

    func post(
        _ path: String, headers: [(String, String)], body: [UInt8]
    ) async throws -> LabAnswer {
        var request = HTTPClientRequest(url: url + path)
        request.method = .POST
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        request.body = .bytes(ByteBuffer(bytes: body))
        return try await send(request)
    }

    /// Body of a query's answer as a tree.
    func json(_ path: String, _ parameters: [(String, String)] = []) async throws -> JSONValue {
        let answer = try await get(path, parameters)
        guard answer.isSuccess else {
            throw LabError("\(path) \(parameters) answered \(answer.status): \(answer.text)")
        }
        return try JSONValue(parsing: answer.body)
    }

    private func send(_ request: HTTPClientRequest) async throws -> LabAnswer {
        let response = try await client.execute(request, timeout: .seconds(timeoutSeconds))
        let body = try await response.body.collect(upTo: Self.answerLimit)
        return LabAnswer(
            status: Int(response.status.code), headers: response.headers, body: Array(buffer: body))
    }
}

extension HTTPClient {
    /// The one client of the process: few connections, no redirects, no proxies.
    static let lab: HTTPClient = {
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
        configuration.httpVersion = .http1Only
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 16
        configuration.connectionPool.retryConnectionEstablishment = false
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()
}
