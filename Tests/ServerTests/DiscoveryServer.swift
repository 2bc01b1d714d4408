// SPDX-License-Identifier: Apache-2.0
// Discovery APIs over real sockets.

import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// What an API says: at once, or bit by bit until the stream ends.
enum APIAnswer: Sendable {
    case plain(CannedAnswer)
    case stream(AsyncStream<String>)
}

/// An HTTP server on a loopback port or a Unix socket that can stream.
final class DiscoveryServer: Sendable {
    typealias Handling = @Sendable (SeenRequest) -> APIAnswer

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart
        private let handling: Handling
        private var head: HTTPRequestHead?
        init(_ handling: @escaping Handling) { self.handling = handling }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let new): head = new
            case .body: break
            case .end:
                guard let head else { return }
                var headers: [String: String] = [:]
                for header in head.headers { headers[header.name.lowercased()] = header.value }
                let request = SeenRequest(
                    method: head.method.rawValue, target: head.uri, headers: headers, body: "",
                    clientName: nil)
                switch handling(request) {
                case .plain(let answer): send(answer, context)
                case .stream(let parts): stream(parts, context)
                }
            }
        }

        private func send(_ answer: CannedAnswer, _ context: ChannelHandlerContext) {
            var fields = HTTPHeaders(answer.headers)
            fields.add(name: "Content-Length", value: "\(answer.body.count)")
            let head = HTTPResponseHead(
                version: .http1_1, status: .init(statusCode: answer.status), headers: fields)
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.write(
                wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: answer.body)))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }

        private func stream(_ parts: AsyncStream<String>, _ context: ChannelHandlerContext) {
            let head = HTTPResponseHead(
                version: .http1_1, status: .ok, headers: ["Transfer-Encoding": "chunked"])
            context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
            let channel = context.channel
            Task {
                for await part in parts {
                    channel.writeAndFlush(
                        HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(string: part))),
                        promise: nil)
                }
                channel.writeAndFlush(HTTPServerResponsePart.end(nil), promise: nil)
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            // A client that ends a watch goes away.
            context.close(promise: nil)
        }
    }

    private let channel: any Channel

    /// - Parameter socket: path of a Unix socket; nil = a loopback port.
    init(socket: String? = nil, _ handling: @escaping Handling) async throws {
        let bootstrap = ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(handling))
                }
            }
        if let socket {
            channel = try await bootstrap.bind(unixDomainSocketPath: socket).get()
        } else {
            channel = try await bootstrap.bind(host: "127.0.0.1", port: 0).get()
        }
    }

    var port: Int { channel.localAddress?.port ?? 0 }
    func stop() async throws { try await channel.close() }
}

/// A name server that says over TCP what it cuts off over UDP.
final class FakeNameServer: Sendable {
    private let channels: [any Channel]
    let port: Int

    private final class Datagrams: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        typealias OutboundOut = AddressedEnvelope<ByteBuffer>
        private let answer: @Sendable ([UInt8], Bool) -> [[UInt8]]
        init(_ answer: @escaping @Sendable ([UInt8], Bool) -> [[UInt8]]) { self.answer = answer }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let envelope = unwrapInboundIn(data)
            for bytes in answer(Array(buffer: envelope.data), false) {
                let reply = AddressedEnvelope(
                    remoteAddress: envelope.remoteAddress, data: ByteBuffer(bytes: bytes))
                context.writeAndFlush(wrapOutboundOut(reply), promise: nil)
            }
        }
    }

    private final class Streams: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let answer: @Sendable ([UInt8], Bool) -> [[UInt8]]
        private var received = ByteBuffer()
        init(_ answer: @escaping @Sendable ([UInt8], Bool) -> [[UInt8]]) { self.answer = answer }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var part = unwrapInboundIn(data)
            received.writeBuffer(&part)
            guard let count = received.getInteger(at: received.readerIndex, as: UInt16.self),
                let bytes = received.getBytes(at: received.readerIndex + 2, length: Int(count))
            else { return }
            received.clear()
            for bytes in answer(bytes, true) {
                // In two pieces: a length may come alone.
                var head = ByteBuffer()
                head.writeInteger(UInt16(bytes.count))
                context.writeAndFlush(wrapOutboundOut(head), promise: nil)
                context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
            }
        }
    }

    /// - Parameter answer: messages to send for a question; true = it came over TCP.
    init(_ answer: @escaping @Sendable ([UInt8], Bool) -> [[UInt8]]) async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let stream = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Streams(answer))
                }
            }.bind(host: "127.0.0.1", port: 0).get()
        port = stream.localAddress?.port ?? 0
        let datagrams = try await DatagramBootstrap(group: group)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Datagrams(answer))
                }
            }.bind(host: "127.0.0.1", port: port).get()
        channels = [stream, datagrams]
    }

    func stop() async throws { for channel in channels { try await channel.close() } }
}
