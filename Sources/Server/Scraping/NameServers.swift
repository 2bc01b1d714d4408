// SPDX-License-Identifier: Apache-2.0
// DNS messages over UDP and TCP.

import Base
import NIOCore
import NIOPosix
import Scrape

/// One socket per message: a look-up now and then needs no more, and a new port for each makes
/// answers hard to forge.
struct NameServers: DNSTransport {
    func exchange(
        _ message: [UInt8], server: DNSServer, overTCP: Bool, timeoutSeconds: Double
    ) async throws -> [UInt8] {
        let group = MultiThreadedEventLoopGroup.singleton
        let address = try SocketAddress(ipAddress: server.host, port: server.port)
        let loop = group.next()
        let promise = loop.makePromise(of: [UInt8].self)
        let timeout = loop.scheduleTask(in: .nanoseconds(Int64(timeoutSeconds * 1e9))) {
            promise.fail(DiscoveryError("no answer within \(floatPlainText(timeoutSeconds)) s"))
        }
        defer { timeout.cancel() }
        let channel: any Channel
        do {
            channel = try await connect(loop, address, message, promise, overTCP)
        } catch {
            promise.fail(error)
            throw error
        }
        return try await withTaskCancellationHandler {
            let result: Result<[UInt8], any Error>
            do {
                let framed = overTCP ? framed(message) : message
                try await channel.writeAndFlush(ByteBuffer(bytes: framed))
                result = .success(try await promise.futureResult.get())
            } catch {
                promise.fail(error)
                result = .failure(error)
            }
            channel.close(promise: nil)
            return try result.get()
        } onCancel: {
            promise.fail(CancellationError())
        }
    }

    private func connect(
        _ loop: any EventLoop, _ address: SocketAddress, _ message: [UInt8],
        _ promise: EventLoopPromise<[UInt8]>, _ overTCP: Bool
    ) async throws -> any Channel {
        let id = Array(message.prefix(2))
        if overTCP {
            return try await ClientBootstrap(group: loop).connectTimeout(.seconds(5))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(
                            StreamedAnswer(promise: promise))
                    }
                }.connect(to: address).get()
        }
        // A connected socket takes datagrams of its peer alone.
        return try await DatagramBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers([
                        ConnectedDatagrams(peer: address), DatagramAnswer(id: id, promise: promise),
                    ])
                }
            }.connect(to: address).get()
    }

    private func framed(_ message: [UInt8]) -> [UInt8] {
        let count = UInt16(truncatingIfNeeded: message.count)
        return [UInt8(count >> 8), UInt8(count & 0xff)] + message
    }
}

/// Puts bytes into envelopes and takes them out.
private final class ConnectedDatagrams: ChannelDuplexHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    private let peer: SocketAddress
    init(peer: SocketAddress) { self.peer = peer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.fireChannelRead(wrapInboundOut(unwrapInboundIn(data).data))
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let envelope = AddressedEnvelope(remoteAddress: peer, data: unwrapOutboundIn(data))
        context.write(wrapOutboundOut(envelope), promise: promise)
    }
}

/// Waits for the datagram that answers a message's id; others are late or forged.
private final class DatagramAnswer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let id: [UInt8]
    private let promise: EventLoopPromise<[UInt8]>

    init(id: [UInt8], promise: EventLoopPromise<[UInt8]>) {
        self.id = id
        self.promise = promise
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = Array(buffer: unwrapInboundIn(data))
        if bytes.starts(with: id) { promise.succeed(bytes) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.close(promise: nil)
    }
}

/// Waits for a message with its length before it.
private final class StreamedAnswer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private var received = ByteBuffer()
    private let promise: EventLoopPromise<[UInt8]>

    init(promise: EventLoopPromise<[UInt8]>) { self.promise = promise }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var part = unwrapInboundIn(data)
        received.writeBuffer(&part)
        var rest = received
        guard let count = rest.readInteger(as: UInt16.self),
            let bytes = rest.readBytes(length: Int(count))
        else { return }
        promise.succeed(bytes)
    }

    func channelInactive(context: ChannelHandlerContext) {
        promise.fail(DiscoveryError("the connection ended before the answer"))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.close(promise: nil)
    }
}
