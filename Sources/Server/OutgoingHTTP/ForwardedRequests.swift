// SPDX-License-Identifier: Apache-2.0
// Requests in the form that a proxy takes them in.

import NIOCore
import NIOHTTP1

/// Puts scheme and host in front of a request's path (RFC 9112 section 3.2.2): the connection leads
/// to a proxy, which finds the server there. The HTTP client library can only tunnel.
final class ForwardedRequests: ChannelOutboundHandler {
    typealias OutboundIn = HTTPClientRequestPart
    typealias OutboundOut = HTTPClientRequestPart

    /// Adds the handler to a connection that the library has set up.
    static func add(to channel: any Channel) -> EventLoopFuture<Void> {
        channel.eventLoop.submit {
            let pipeline = channel.pipeline.syncOperations
            let encoder = try pipeline.handler(type: HTTPRequestEncoder.self)
            try pipeline.addHandler(ForwardedRequests(), position: .after(encoder))
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        var part = unwrapOutboundIn(data)
        if case .head(var head) = part, head.uri.hasPrefix("/"),
            let host = head.headers.first(name: "Host")
        {
            head.uri = "http://" + host + head.uri
            part = .head(head)
        }
        context.write(wrapOutboundOut(part), promise: promise)
    }
}
