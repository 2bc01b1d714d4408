// SPDX-License-Identifier: Apache-2.0
// HTTP/2 on an HTTP address: handed on to the gRPC listener.

import NIOCore
import NIOPosix

/// Finds out what a connection speaks, by its first bytes, and takes HTTP/2 to the gRPC listener.
///
/// Grafana's Tempo source streams over gRPC to the address it also sends HTTP/1.1 requests to. A
/// client that begins with HTTP/2's preface speaks gRPC; its bytes go to our own gRPC listener as
/// they are, and the answers back. Anything else passes at once, and this handler leaves. Source of
/// the preface: RFC 9113, section 3.4.
final class HTTP2Detector: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    private static let heldLimit = 1 << 20

    private let address: ListenAddress
    /// What serves HTTP/1.1 on the connection, to be taken off.
    private let handlers: [any RemovableChannelHandler]
    /// Called once, when the connection turns out to be HTTP/2.
    private let onHTTP2: () -> Void
    private var held = ByteBuffer()
    private var isForwarding = false

    init(
        _ address: ListenAddress, replacing handlers: [any RemovableChannelHandler],
        onHTTP2: @escaping () -> Void
    ) {
        self.address = address
        self.handlers = handlers
        self.onHTTP2 = onHTTP2
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        held.writeBuffer(&bytes)
        if isForwarding {
            // What a client sends before it was let in is kept, within reason.
            if held.readableBytes > HTTP2Detector.heldLimit { context.close(promise: nil) }
            return
        }
        let start = held.readableBytesView.prefix(HTTP2Detector.preface.count)
        guard HTTP2Detector.preface.starts(with: start) else {
            context.fireChannelRead(wrapInboundOut(held))
            held.clear()
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
            return
        }
        if start.count == HTTP2Detector.preface.count { forward(context) }
    }

    private func forward(_ context: ChannelHandlerContext) {
        isForwarding = true
        onHTTP2()
        let channel = context.channel
        for handler in handlers {
            channel.pipeline.syncOperations.removeHandler(handler, promise: nil)
        }
        let operations = context.pipeline.syncOperations
        let ownContext = NIOLoopBound(context, eventLoop: context.eventLoop)
        ClientBootstrap(group: channel.eventLoop)
            .channelOption(.autoRead, value: false)
            .connect(host: address.host, port: address.port)
            .assumeIsolated()
            .whenComplete { [self] result in
                guard case .success(let peer) = result, channel.isActive else {
                    if case .success(let peer) = result { peer.close(promise: nil) }
                    channel.close(promise: nil)
                    return
                }
                let (own, other) = ByteForwarder.pair()
                do {
                    try operations.addHandler(own)
                    try peer.pipeline.syncOperations.addHandler(other)
                } catch {
                    peer.close(promise: nil)
                    channel.close(promise: nil)
                    return
                }
                ownContext.value.fireChannelRead(wrapInboundOut(held))
                ownContext.value.fireChannelReadComplete()
                held.clear()
                operations.removeHandler(self, promise: nil)
                peer.setOption(.autoRead, value: true).whenFailure { _ in
                    channel.close(promise: nil)
                }
            }
    }
}

/// One of two handlers that copy what comes on one channel to the other, in both directions, no
/// faster than it is taken there. Both channels have one event loop.
final class ByteForwarder: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var partner: ByteForwarder?
    private var context: ChannelHandlerContext?
    private var isReadPending = false

    static func pair() -> (ByteForwarder, ByteForwarder) {
        let pair = (ByteForwarder(), ByteForwarder())
        pair.0.partner = pair.1
        pair.1.partner = pair.0
        return pair
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        partner = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        partner?.context?.write(data, promise: nil)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        partner?.context?.flush()
        context.fireChannelReadComplete()
    }

    func channelInactive(context: ChannelHandlerContext) {
        partner?.context?.close(promise: nil)
        partner = nil
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent {
            partner?.context?.close(mode: .output, promise: nil)
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        partner?.context?.close(promise: nil)
        context.close(promise: nil)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { partner?.readIfPending() }
        context.fireChannelWritabilityChanged()
    }

    func read(context: ChannelHandlerContext) {
        guard let partner, partner.context?.channel.isWritable == true else {
            isReadPending = true
            return
        }
        context.read()
    }

    private func readIfPending() {
        guard isReadPending, let context else { return }
        isReadPending = false
        context.read()
    }
}
