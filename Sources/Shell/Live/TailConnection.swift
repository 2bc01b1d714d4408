// SPDX-License-Identifier: Apache-2.0
// Log lines as they come, over WebSocket.

import Base
import FoundationEssentials
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NIOWebSocket

/// What a frame of a tail brings.
struct TailFrame: Sendable, Equatable {
    var lines: [LogLine]
    /// Lines that the server had to leave out because this reader was slow.
    var dropped: Int

    init(lines: [LogLine], dropped: Int) {
        self.lines = lines
        self.dropped = dropped
    }

    /// - Throws: `ShellError` when it is no frame of a tail.
    init(parsing bytes: [UInt8]) throws {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: bytes)
        } catch {
            throw ShellError("the tail sent something that is not JSON: \(error)")
        }
        lines = logLines(
            .object([JSONMember(name: "result", value: value["streams"])]))
        dropped = value["dropped_entries"].items.count
    }
}

/// A live tail. The server is read no faster than `onFrame` takes frames; what that holds up the
/// server drops and reports.
struct TailConnection: Sendable {
    let client: ShellClient
    let query: String
    /// Where history begins, nanoseconds.
    let startNanos: Int64
    /// Lines of history.
    let limit: Int

    private typealias Socket = NIOAsyncChannel<WebSocketFrame, WebSocketFrame>
    private enum Upgrade: Sendable {
        case socket(Socket)
        case refused
    }
    /// Bytes of a message; the server's frames hold 100 lines.
    private static let messageBytes = 64 << 20

    /// Reads frames until the server ends the tail or the task is cancelled.
    ///
    /// - Throws: `ShellError` when the server refuses, with its own text, or can't be reached.
    func run(_ onFrame: @Sendable (TailFrame) async throws -> Void) async throws {
        guard case .socket(let socket) = try await connect() else {
            // The upgrade's answer is gone with its connection: the same request says why.
            _ = try await client.get("/loki/api/v1/tail", parameters)
            throw ShellError("\(client.url) does not serve tails")
        }
        do {
            try await socket.executeThenClose { inbound, outbound in
                for try await frame in inbound {
                    switch frame.opcode {
                    case .text, .binary:
                        try await onFrame(TailFrame(parsing: Array(buffer: frame.unmaskedData)))
                    case .ping:
                        try await outbound.write(
                            WebSocketFrame(
                                fin: true, opcode: .pong, maskKey: .random(),
                                data: frame.unmaskedData))
                    case .connectionClose: throw ShellError("the server ended the tail")
                    default: continue
                    }
                }
            }
        } catch let error as ShellError {
            throw error
        } catch is CancellationError {
            throw ShellError("cancelled", .cancelled)
        } catch {
            throw ShellError("the tail broke off: \(error)")
        }
        if Task.isCancelled { throw ShellError("cancelled", .cancelled) }
        throw ShellError("the server ended the tail")
    }

    private var parameters: [(String, String)] {
        [("query", query), ("start", String(startNanos)), ("limit", String(limit))]
    }

    private func connect() async throws -> Upgrade {
        guard let url = URL(string: client.url), let host = url.host() else {
            throw ShellError("\(client.url) is no address", .usage)
        }
        let isSecure = url.scheme == "https"
        let port = url.port ?? (isSecure ? 443 : 80)
        var headers = HTTPHeaders()
        headers.add(name: "Host", value: url.port == nil ? host : "\(host):\(port)")
        if let tenant = client.tenant { headers.add(name: "X-Scope-OrgID", value: tenant) }
        let query = parameters.map { encoded($0.0) + "=" + encoded($0.1) }.joined(separator: "&")
        var path = url.path()
        while path.hasSuffix("/") { path.removeLast() }
        let head = HTTPRequestHead(
            version: .http1_1, method: .GET, uri: path + "/loki/api/v1/tail?" + query,
            headers: headers)
        do {
            let tls = isSecure ? try NIOSSLContext(configuration: .makeClientConfiguration()) : nil
            let upgraded = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                .connectTimeout(.seconds(10))
                .connect(host: host, port: port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        if let tls {
                            try channel.pipeline.syncOperations.addHandler(
                                NIOSSLClientHandler(context: tls, serverHostname: host))
                        }
                        return try TailConnection.configure(channel, head)
                    }
                }
            return try await upgraded.get()
        } catch let error as ShellError {
            throw error
        } catch {
            throw ShellError("cannot reach \(client.url): \(error)")
        }
    }

    private static func configure(
        _ channel: any Channel, _ head: HTTPRequestHead
    ) throws -> EventLoopFuture<Upgrade> {
        let upgrader = NIOTypedWebSocketClientUpgrader<Upgrade>(maxFrameSize: messageBytes) {
            channel, _ in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(
                    NIOWebSocketFrameAggregator(
                        minNonFinalFragmentSize: 0, maxAccumulatedFrameCount: 4096,
                        maxAccumulatedFrameSize: messageBytes))
                return .socket(try Socket(wrappingChannelSynchronously: channel))
            }
        }
        let configuration = NIOTypedHTTPClientUpgradeConfiguration<Upgrade>(
            upgradeRequestHead: head, upgraders: [upgrader],
            notUpgradingCompletionHandler: { channel in
                channel.close(promise: nil)
                return channel.eventLoop.makeSucceededFuture(.refused)
            })
        return try channel.pipeline.syncOperations.configureUpgradableHTTPClientPipeline(
            configuration: .init(upgradeConfiguration: configuration))
    }
}
