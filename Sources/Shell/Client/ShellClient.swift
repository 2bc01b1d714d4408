// SPDX-License-Identifier: Apache-2.0
// Talking to a server.

import AsyncHTTPClient
import Base
import NIOCore
import NIOHTTP1
import Synchronization

/// A connection to one server. Cancelling the task that waits for an answer closes the request, and
/// the server stops working on it.
package struct ShellClient: Sendable {
    /// Base address, without a trailing slash.
    package let url: String
    package var tenant: String?
    /// Told of bytes as they arrive.
    package var received: ReceivedBytes?
    /// What the server is to know the queries by, so that it can be asked how they get on.
    package var tags: String?
    /// Most bytes of an answer.
    static let answerLimit = 256 << 20

    /// Lives as long as the process. A server that is not there is said at once, not tried again.
    private static let client: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.timeout.connect = .seconds(10)
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    package init(url: String, tenant: String? = nil) {
        var url = url
        while url.hasSuffix("/") { url.removeLast() }
        self.url = url.contains("://") ? url : "http://" + url
        self.tenant = tenant
    }

    /// Asks for a page and parses its JSON.
    ///
    /// - Throws: `ShellError` with the server's own text when it refuses.
    package func get(
        _ path: String, _ parameters: [(String, String)] = []
    ) async throws -> JSONValue {
        let body = try await bytes(path, parameters)
        do {
            return try JSONValue(parsing: body)
        } catch {
            throw ShellError("\(url) answered something that is not JSON: \(error)")
        }
    }

    /// Posts a body and parses the JSON of the answer.
    ///
    /// - Throws: `ShellError` with the server's own text when it refuses.
    package func post(
        _ path: String, _ parameters: [(String, String)], _ type: String, _ body: [UInt8]
    ) async throws -> JSONValue {
        let answer = try await bytes(path, parameters, posting: (type, body))
        do {
            return try JSONValue(parsing: answer)
        } catch {
            throw ShellError("\(url) answered something that is not JSON: \(error)")
        }
    }

    /// Asks for a page and returns its body.
    ///
    /// - Parameter posting: media type and bytes of a body to send.
    package func bytes(
        _ path: String, _ parameters: [(String, String)] = [],
        posting: (type: String, body: [UInt8])? = nil
    ) async throws -> [UInt8] {
        let query = parameters.map { encoded($0.0) + "=" + encoded($0.1) }.joined(separator: "&")
        var request = HTTPClientRequest(url: url + path + (query.isEmpty ? "" : "?" + query))
        if let tenant { request.headers.add(name: "X-Scope-OrgID", value: tenant) }
        if let tags { request.headers.add(name: "X-Query-Tags", value: tags) }
        if let posting {
            request.method = .POST
            request.headers.add(name: "Content-Type", value: posting.type)
            request.body = .bytes(ByteBuffer(bytes: posting.body))
        }
        let response: HTTPClientResponse
        let body: [UInt8]
        do {
            response = try await ShellClient.client.execute(request, timeout: .minutes(5))
            body = try await collected(response.body)
        } catch is CancellationError {
            throw ShellError("cancelled", .cancelled)
        } catch let error as HTTPClientError where error == .cancelled {
            throw ShellError("cancelled", .cancelled)
        } catch let error as ShellError {
            throw error
        } catch {
            throw ShellError("cannot reach \(url): \(error)")
        }
        guard (200..<300).contains(Int(response.status.code)) else {
            throw ShellClient.refusal(Int(response.status.code), body)
        }
        return body
    }

    private func collected(_ body: HTTPClientResponse.Body) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        for try await part in body {
            guard bytes.count + part.readableBytes <= Self.answerLimit else {
                throw ShellError(
                    "the answer is larger than \(Self.answerLimit) bytes: ask for less")
            }
            bytes.append(contentsOf: part.readableBytesView)
            received?.add(part.readableBytes)
        }
        return bytes
    }

    /// The server's own words, out of whichever error shape its family uses.
    static func refusal(_ status: Int, _ body: [UInt8]) -> ShellError {
        var text = String(decoding: body.prefix(4096), as: UTF8.self)
        while let last = text.last, last.isNewline { text.removeLast() }
        if let json = try? JSONValue(parsing: body) {
            for name in ["error", "message"] where !json[name].text.isEmpty {
                text = json[name].text
            }
        }
        if text.isEmpty { text = "status \(status)" }
        return ShellError(text, status == 401 || status == 403 ? .authentication : .failure)
    }
}

/// How far the queries of a client are, as the server says.
struct QueryProgress: Sendable, Equatable {
    /// Samples, lines or spans, and what they are.
    var read = 0
    var unit = ""
    var bytes = 0

    /// What is said of the queries with these tags in an answer of `status/active_queries`; nil when
    /// none of them runs.
    init?(_ answer: JSONValue, tags: String) {
        let own = answer["data"].items.filter { $0["tags"].text == tags }
        guard let first = own.first else { return nil }
        for query in own {
            read = max(read, Int(clamping: query["samplesRead"].int))
            bytes = max(bytes, Int(clamping: query["bytesRead"].int))
        }
        unit =
            ["promql": "samples", "logql": "lines", "traceql": "spans"][first["family"].text]
            ?? "rows"
    }

    var text: String {
        var text = ""
        if read > 0 { text += ", \(axisText(Double(read))) \(unit)" }
        if bytes > 0 { text += ", \(axisText(Double(bytes)))B read" }
        return text
    }
}

extension ShellClient {
    /// Tags that no other client has.
    package static func freshTags() -> String {
        "Source=tern,Id=" + String(UInt64.random(in: .min ... .max), radix: 16)
    }

    /// How the queries of this client get on; nil when none runs, or the server does not say.
    func progress() async -> QueryProgress? {
        guard let tags else { return nil }
        var asking = self
        asking.tags = nil
        asking.received = nil
        do {
            return QueryProgress(try await asking.get("/api/v1/status/active_queries"), tags: tags)
        } catch {
            // The query itself says what is wrong with the server.
            return nil
        }
    }
}

/// Bytes of answers that have arrived, for a line of progress.
package final class ReceivedBytes: Sendable {
    private let count = Atomic<Int>(0)

    package init() {}
    func add(_ bytes: Int) { count.wrappingAdd(bytes, ordering: .relaxed) }
    package var value: Int { count.load(ordering: .relaxed) }
}

/// Percent-encodes everything but unreserved characters.
package func encoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var out: [UInt8] = []
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"), UInt8(ascii: "~"):
            out.append(byte)
        default:
            out.append(contentsOf: [
                UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)],
            ])
        }
    }
    return String(decoding: out, as: UTF8.self)
}
