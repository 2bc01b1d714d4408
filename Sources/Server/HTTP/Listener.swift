// SPDX-License-Identifier: Apache-2.0
// One listening address.

import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPCompression
import NIOHTTPTypes
import NIOHTTPTypesHTTP1

/// HTTP/1.1 on a connection: limits on heads, compressed answers, no reader kept waiting for ever.
struct HTTPConnection: HTTPChannelHandler, ServerChildChannel {
    typealias Value = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

    let responder: HTTPChannelHandler.Responder

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let operations = channel.pipeline.syncOperations
            try operations.configureHTTPServerPipeline(
                withPipeliningAssistance: false, withErrorHandling: false,
                withOutboundHeaderValidation: false)
            try operations.addHandler(HeadDeadlineHandler(seconds: 30))
            try operations.addHandler(HTTPResponseCompressor())
            try operations.addHandler(HTTP1ToHTTPServerCodec(secure: false))
            try operations.addHandler(
                HTTPConnectionStateHandler(idleTimeout: .seconds(120), logger: logger))
            return try Value(
                wrappingChannelSynchronously: channel,
                configuration: .init(isOutboundHalfClosureEnabled: true))
        }
    }

    func handle(value: Value, logger: Logger) async {
        await handleHTTP(asyncChannel: value, logger: logger)
    }
}

/// Closes a connection whose first request head does not arrive in time: a client that sends its
/// head a byte a second holds a descriptor, not more.
final class HeadDeadlineHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart

    private let seconds: Int64
    private var timer: Scheduled<Void>?

    init(seconds: Int64) { self.seconds = seconds }

    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        timer = context.eventLoop.scheduleTask(in: .seconds(seconds)) {
            channel.close(mode: .all, promise: nil)
        }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        timer?.cancel()
        timer = nil
        context.fireChannelRead(data)
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
        context.fireChannelInactive()
    }
}

/// Makes the service that serves one address.
func makeListener(
    host: String, port: Int, endpoint: HTTPEndpoint, logger: Logger,
    onRunning: @escaping @Sendable (Int) async -> Void
) -> Application<HTTPEndpoint> {
    Application(
        responder: endpoint,
        server: HTTPServerBuilder { HTTPConnection(responder: $0) },
        configuration: .init(address: .hostname(host, port: port), serverName: "tern"),
        onServerRunning: { channel in
            await onRunning(channel.localAddress?.port ?? port)
        },
        logger: logger)
}
