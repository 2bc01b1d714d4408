// SPDX-License-Identifier: Apache-2.0
// Which requests become WebSockets.

import Base
import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOWebSocket
import Telemetry

/// A path on which a connection can become a WebSocket. The route of the same path answers requests
/// that are not accepted, and says why.
struct SocketRoute: Sendable {
    var path: String
    /// As of routes.
    var takesTenants = false
    /// Looks at a request's head: the work for it, or nil. Runs on an event loop: quick.
    var accept: @Sendable (APIRequest) -> SocketCall?
}

/// An accepted request.
struct SocketCall: Sendable {
    /// Talks until either side has enough, and closes the socket.
    var serve: @Sendable (WebSocket) async -> Void
}

/// Decides whether the first request of a connection becomes a WebSocket, and takes the `Upgrade`
/// header off all others: NIO's upgrade handler answers nothing at all to an upgrade that nobody
/// accepts, and Java's HTTP client asks for `h2c` by habit. Confined to the event loop.
final class UpgradeFilter: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let endpoint: HTTPEndpoint
    private var sawHead = false
    let accepted: NIOLoopBoundBox<SocketCall?>

    /// Call on the event loop.
    init(endpoint: HTTPEndpoint, on loop: any EventLoop) {
        self.endpoint = endpoint
        accepted = NIOLoopBoundBox(nil, eventLoop: loop)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(var head) = unwrapInboundIn(data), head.headers.contains(name: "Upgrade")
        else {
            sawHead = true
            context.fireChannelRead(data)
            return
        }
        if !sawHead, Self.asksForSocket(head) { accepted.value = endpoint.socketCall(head) }
        sawHead = true
        if accepted.value == nil {
            // The route tells by these that a socket was asked for.
            head.headers.remove(name: "Upgrade")
        }
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }

    private static func asksForSocket(_ head: HTTPRequestHead) -> Bool {
        head.method == .GET && head.version == .http1_1
            && head.headers[canonicalForm: "Upgrade"].contains { $0.lowercased() == "websocket" }
            && head.headers[canonicalForm: "Connection"].contains {
                $0.lowercased() == "upgrade"
            }
            && head.headers.first(name: "Sec-WebSocket-Version") == "13"
            && head.headers[canonicalForm: "Sec-WebSocket-Key"].count == 1
    }

    /// Bytes that are no request, where nobody else is there to answer yet.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard !sawHead, error is HTTPParserError else { return context.fireErrorCaught(error) }
        sawHead = true
        let headers: HTTPHeaders = ["Connection": "close", "Content-Length": "0"]
        let head = HTTPResponseHead(version: .http1_1, status: .badRequest, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        // The guard closes the connection behind an answer to a request that is not whole.
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    /// The server ends: a connection without a request has nothing to wait for.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent, !sawHead { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }
}

/// Says goodbye to the client of a socket when the server ends. Confined to the event loop.
final class SocketQuiescing: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame
    typealias InboundOut = WebSocketFrame
    typealias OutboundOut = WebSocketFrame

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent {
            context.writeAndFlush(
                wrapOutboundOut(closeFrame(.goingAway, "the server is stopping")), promise: nil)
            context.close(promise: nil)
        }
        context.fireUserInboundEventTriggered(event)
    }
}

/// A frame that ends a socket. A reason has at most 123 bytes; more is cut off.
func closeFrame(_ code: WebSocketErrorCode, _ reason: String) -> WebSocketFrame {
    var data = ByteBuffer()
    data.write(webSocketErrorCode: code)
    var text = Substring(reason)
    while text.utf8.count > 123 { text = text.dropLast() }
    data.writeString(String(text))
    return WebSocketFrame(fin: true, opcode: .connectionClose, data: data)
}

extension HTTPEndpoint {
    /// Who takes a request that asks for a WebSocket, if somebody does.
    func socketCall(_ head: HTTPRequestHead) -> SocketCall? {
        let parts = head.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let (path, prefix) = HTTPEndpoint.split(String(parts[0]))
        guard let route = socketRoute(path) else { return nil }
        var headers = HTTPFields()
        for (name, value) in head.headers {
            if let name = HTTPField.Name(name) {
                headers.append(HTTPField(name: name, value: value))
            }
        }
        guard let tenant = tenant(of: headers, takesSeveral: route.takesTenants) else {
            return nil
        }
        var call = APIRequest(method: .get, path: path, headers: headers, tenant: tenant)
        call.prefix = prefix
        call.parameters = decodeForm(parts.count > 1 ? parts[1] : "")
        return route.accept(call)
    }
}
