// SPDX-License-Identifier: Apache-2.0
// One listening address.

import Glibc
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import ServiceLifecycle

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

/// An address that cannot be listened on.
struct ListenError: Error, CustomStringConvertible {
    var address: ListenAddress
    var reason: String

    var description: String {
        "cannot listen on \(address): \(reason). Stop who listens there, or choose another address"
    }

    init(_ host: String, _ port: Int, _ error: any Error) {
        address = ListenAddress(host: host, port: port)
        reason = (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
    }
}

/// Serves one HTTP address.
struct HTTPListener: Service {
    let host: String
    /// 0 picks a free one.
    let port: Int
    let endpoint: HTTPEndpoint
    let limits: ConnectionLimits
    let logger: Logger
    /// Told the port once the address is bound.
    let onRunning: @Sendable (Int) -> Void

    func run() async throws {
        let (limits, port, onRunning) = (self.limits, self.port, self.onRunning)
        let application = Application(
            responder: endpoint,
            server: HTTPServerBuilder { HTTPConnection(limits: limits, responder: $0) },
            configuration: .init(
                address: .hostname(host, port: port), serverName: "tern", backlog: 4096),
            onServerRunning: { onRunning($0.localAddress?.port ?? port) },
            logger: logger)
        do {
            try await application.run()
        } catch let error where !(error is CancellationError) {
            throw ListenError(host, port, error)
        }
    }
}
