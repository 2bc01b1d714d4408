// SPDX-License-Identifier: Apache-2.0
// One listening address.

import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1

/// HTTP/1.1 on a connection, guarded. Answers are compressed before they come here: NIO's own
/// compressor traps on the answer to bytes that are no request.
struct HTTPConnection: HTTPChannelHandler, ServerChildChannel {
    /// A connection and the watch over its client.
    struct Value: ServerChildChannelValue {
        let parts: NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>
        let watch: ConnectionWatch
        var channel: any Channel { parts.channel }
    }

    let limits: ConnectionLimits
    let responder: HTTPChannelHandler.Responder

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let watch = ConnectionWatch()
            let counter = HeadByteCounter(limit: limits.headBytes)
            let operations = channel.pipeline.syncOperations
            try operations.addHandler(counter)
            // A GET carries its query in the request line.
            var heads = NIOHTTPDecoderLimitConfiguration()
            heads.maxHeaderFieldSize = limits.headBytes / 2
            heads.maxHeaderListSize = limits.headBytes
            try operations.configureHTTPServerPipeline(
                withPipeliningAssistance: false, withErrorHandling: false,
                withOutboundHeaderValidation: false, withEncoderConfiguration: .init(),
                withDecoderLimitConfiguration: heads)
            try operations.addHandler(
                RequestGuard(limits: limits, watch: watch, counter: counter))
            try operations.addHandler(HTTP1ToHTTPServerCodec(secure: false))
            try operations.addHandler(
                HTTPConnectionStateHandler(
                    idleTimeout: .seconds(limits.idleSeconds), logger: logger))
            let parts = try NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>(
                wrappingChannelSynchronously: channel,
                configuration: .init(isOutboundHalfClosureEnabled: true))
            return Value(parts: parts, watch: watch)
        }
    }

    func handle(value: Value, logger: Logger) async {
        await ConnectionWatch.$current.withValue(value.watch) {
            await handleHTTP(asyncChannel: value.parts, logger: logger)
        }
    }
}

/// Makes the service that serves one address.
func makeListener(
    host: String, port: Int, endpoint: HTTPEndpoint, limits: ConnectionLimits, logger: Logger,
    onRunning: @escaping @Sendable (Int) async -> Void
) -> Application<HTTPEndpoint> {
    Application(
        responder: endpoint,
        server: HTTPServerBuilder { HTTPConnection(limits: limits, responder: $0) },
        configuration: .init(
            address: .hostname(host, port: port), serverName: "tern", backlog: 4096),
        onServerRunning: { channel in
            await onRunning(channel.localAddress?.port ?? port)
        },
        logger: logger)
}
