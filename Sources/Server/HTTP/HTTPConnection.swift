// SPDX-License-Identifier: Apache-2.0
// One connection: HTTP/1.1, or a WebSocket that it became.

import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import NIOWebSocket

/// A WebSocket as its server sees it: whole messages come in, frames go out.
typealias WebSocket = NIOAsyncChannel<WebSocketFrame, WebSocketFrame>

/// HTTP/1.1 on a connection, guarded. Answers are compressed before they come here: NIO's own
/// compressor traps on the answer to bytes that are no request.
///
/// The first request of a connection may turn it into a WebSocket, where the endpoint has a socket
/// route that accepts it. Everything that guards requests leaves the connection then.
struct HTTPConnection: HTTPChannelHandler, ServerChildChannel {
    /// What the first request made of a connection.
    enum Kind: Sendable {
        case http(NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>)
        case socket(WebSocket, SocketCall)
        /// It speaks HTTP/2, and its bytes go to the gRPC listener.
        case forwarded
        /// It ended before.
        case none
    }
    /// A connection and the watch over its client.
    struct Value: ServerChildChannelValue {
        let channel: any Channel
        let kind: EventLoopFuture<Kind>
        let watch: ConnectionWatch
    }

    let limits: ConnectionLimits
    let endpoint: HTTPEndpoint
    let responder: HTTPChannelHandler.Responder
    /// Bytes of a message that a client may send into a socket.
    private static let messageLimit = 64 << 10

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let watch = ConnectionWatch()
            let counter = HeadByteCounter(limit: limits.headBytes)
            // A GET carries its query in the request line.
            var heads = NIOHTTPDecoderLimitConfiguration()
            heads.maxHeaderFieldSize = limits.headBytes / 2
            heads.maxHeaderListSize = limits.headBytes
            let encoder = HTTPResponseEncoder(configuration: .init())
            let decoder = ByteToMessageHandler(
                HTTPRequestDecoder(
                    leftOverBytesStrategy: .forwardBytes,
                    informationalResponseStrategy: .drop, limitConfiguration: heads))
            let requests = RequestGuard(limits: limits, watch: watch, counter: counter)
            let filter = UpgradeFilter(endpoint: endpoint, on: channel.eventLoop)
            let upgrade = NIOTypedHTTPServerUpgradeHandler(
                httpEncoder: encoder, extraHTTPHandlers: [counter, decoder, requests, filter],
                upgradeConfiguration: configuration(filter.accepted, logger))
            let handlers: [any RemovableChannelHandler] = [
                counter, encoder, decoder, requests, filter, upgrade,
            ]
            let kind = channel.eventLoop.makePromise(of: Kind.self)
            do {
                if let address = endpoint.grpcAddress {
                    try channel.pipeline.syncOperations.addHandler(
                        HTTP2Detector(address, replacing: handlers) { kind.succeed(.forwarded) })
                }
                try channel.pipeline.syncOperations.addHandlers(handlers)
            } catch {
                kind.fail(error)
                throw error
            }
            // There is none before the handler has a pipeline.
            upgrade.upgradeResultFuture.cascade(to: kind)
            return Value(channel: channel, kind: kind.futureResult, watch: watch)
        }
    }

    private func configuration(
        _ accepted: NIOLoopBoundBox<SocketCall?>, _ logger: Logger
    ) -> NIOTypedHTTPServerUpgradeConfiguration<Kind> {
        let idleSeconds = limits.idleSeconds
        let upgrader = NIOTypedWebSocketServerUpgrader<Kind>(
            maxFrameSize: Self.messageLimit,
            shouldUpgrade: { channel, _ in
                channel.eventLoop.makeSucceededFuture(HTTPHeaders())
            },
            upgradePipelineHandler: { channel, _ in
                channel.eventLoop.makeCompletedFuture {
                    guard let call = accepted.value else { return .none }
                    try channel.pipeline.syncOperations.addHandlers([
                        NIOWebSocketFrameAggregator(
                            minNonFinalFragmentSize: 0, maxAccumulatedFrameCount: 64,
                            maxAccumulatedFrameSize: Self.messageLimit),
                        SocketQuiescing(),
                    ])
                    return .socket(try WebSocket(wrappingChannelSynchronously: channel), call)
                }
            })
        return NIOTypedHTTPServerUpgradeConfiguration(
            upgraders: [upgrader],
            notUpgradingCompletionHandler: { channel in
                channel.eventLoop.makeCompletedFuture {
                    let operations = channel.pipeline.syncOperations
                    try operations.addHandler(HTTP1ToHTTPServerCodec(secure: false))
                    try operations.addHandler(
                        HTTPConnectionStateHandler(
                            idleTimeout: .seconds(idleSeconds), logger: logger))
                    return .http(
                        try NIOAsyncChannel(
                            wrappingChannelSynchronously: channel,
                            configuration: .init(isOutboundHalfClosureEnabled: true)))
                }
            })
    }

    func handle(value: Value, logger: Logger) async {
        let kind: Kind
        do {
            kind = try await value.kind.get()
        } catch {
            // It closed before its first request was here.
            value.channel.close(promise: nil)
            return
        }
        switch kind {
        case .http(let parts):
            await ConnectionWatch.$current.withValue(value.watch) {
                await handleHTTP(asyncChannel: parts, logger: logger)
            }
        case .socket(let socket, let call): await call.serve(socket)
        case .forwarded: try? await value.channel.closeFuture.get()
        case .none: value.channel.close(promise: nil)
        }
    }
}
