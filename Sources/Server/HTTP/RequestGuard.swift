// SPDX-License-Identifier: Apache-2.0
// Bounds on what a client may do to a connection.

import NIOCore
import NIOHTTP1

/// Limits of one connection; times in seconds, sizes in bytes.
struct ConnectionLimits: Sendable {
    /// From the connection to the end of its first request head.
    var headSeconds = 30.0
    /// From the end of a head to the end of its body.
    var bodySeconds = 60.0
    /// Between two requests.
    var idleSeconds = 120.0
    /// In which the client must take some of the answer that waits for it.
    var writeSeconds = 60.0
    /// Bytes of a request line with its headers.
    var headBytes = 2 << 20
    /// Paths whose bodies may go on for as long as something comes within `bodySeconds`.
    var streamedPaths: Set<String> = Set(JournalEndpoint.paths)
    /// After an answer to a request that did not arrive whole: time for the client to read it.
    var lingerSeconds = 0.5
}

/// Counts the bytes that come in before the decoder has made anything of them: a head without an
/// end is not kept for ever. Confined to the event loop.
final class HeadByteCounter: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let limit: Int
    private var count = 0

    init(limit: Int) { self.limit = limit }

    /// The decoder has made something of them.
    func reset() { count = 0 }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        count += unwrapInboundIn(data).readableBytes
        guard count <= limit else {
            context.close(promise: nil)
            return
        }
        context.fireChannelRead(data)
    }
}

/// Closes connections whose requests do not arrive in time, answers early where a request is
/// refused before its end, and says when the client has gone.
///
/// A client that sends a byte a second holds a descriptor and what it has sent so far, for a
/// bounded time.
final class RequestGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let limits: ConnectionLimits
    private let watch: ConnectionWatch
    private let counter: HeadByteCounter
    private var timer: Scheduled<Void>?
    /// Parts of answers that the client has not taken yet.
    private var unsentCount = 0
    private var writeTimer: Scheduled<Void>?
    private var headsRead = 0
    /// Whether the request at hand may take as long as it wants.
    private var isStreamed = false
    private var endsRead = 0
    private var answersWritten = 0
    /// An answer goes out whose request is not here whole: the last one of this connection.
    private var isLast = false
    /// What the client still sends is thrown away.
    private var isDiscarding = false

    init(limits: ConnectionLimits, watch: ConnectionWatch, counter: HeadByteCounter) {
        self.limits = limits
        self.watch = watch
        self.counter = counter
    }

    private func schedule(
        _ seconds: Double, _ context: ChannelHandlerContext,
        _ action: @escaping @Sendable (RequestGuard, ChannelHandlerContext) -> Void
    ) {
        timer?.cancel()
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(in: .nanoseconds(Int64(seconds * 1e9))) {
            action(bound.value.0, bound.value.1)
        }
    }

    private func closeAfter(_ seconds: Double, _ context: ChannelHandlerContext) {
        schedule(seconds, context) { $1.close(promise: nil) }
    }

    /// Ends the body where it stands, so that whoever collects it can answer 408. Stopping the
    /// collector instead would close the connection before the answer.
    private func endBody(_ context: ChannelHandlerContext) {
        isDiscarding = true
        watch.expire()
        context.fireChannelRead(wrapInboundOut(.end(nil)))
        context.fireChannelReadComplete()
    }

    /// Has the connection closed when the client takes nothing: what it asked for is kept in memory.
    private func watched(
        _ promise: EventLoopPromise<Void>?, _ context: ChannelHandlerContext
    ) -> EventLoopPromise<Void> {
        let promise = promise ?? context.eventLoop.makePromise()
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        unsentCount += 1
        if unsentCount == 1 { restartWriteTimer(context) }
        promise.futureResult.whenComplete { _ in
            let (guardian, context) = bound.value
            guardian.unsentCount -= 1
            guardian.restartWriteTimer(context)
        }
        return promise
    }

    private func restartWriteTimer(_ context: ChannelHandlerContext) {
        writeTimer?.cancel()
        writeTimer = nil
        guard unsentCount > 0 else { return }
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        writeTimer = context.eventLoop.scheduleTask(
            in: .nanoseconds(Int64(limits.writeSeconds * 1e9))
        ) { bound.value.close(promise: nil) }
    }

    private func stopTimer() {
        timer?.cancel()
        timer = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        closeAfter(limits.headSeconds, context)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        counter.reset()
        if isDiscarding { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            headsRead += 1
            isStreamed = limits.streamedPaths.contains(
                HTTPEndpoint.split(String(head.uri.prefix { $0 != "?" })).path)
            // While earlier requests are being answered the body may wait in the client, which is
            // not its fault.
            if headsRead == answersWritten + 1 {
                schedule(limits.bodySeconds, context) { $0.endBody($1) }
            } else {
                stopTimer()
            }
        case .body:
            if isStreamed, headsRead == answersWritten + 1 {
                schedule(limits.bodySeconds, context) { $0.endBody($1) }
            }
        case .end:
            endsRead += 1
            stopTimer()
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let promise = watched(promise, context)
        switch unwrapOutboundIn(data) {
        case .head(var head):
            if head.status.code >= 400, endsRead <= answersWritten {
                isLast = true
                head.headers.replaceOrAdd(name: "Connection", value: "close")
            }
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .body: context.write(data, promise: promise)
        case .end:
            answersWritten += 1
            context.write(data, promise: promise)
            guard isLast else { return }
            // Closing at once, with unread bytes, would reset the connection, and the client
            // would see that instead of the answer.
            isDiscarding = true
            closeAfter(limits.lingerSeconds, context)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { watch.close() }
        context.fireUserInboundEventTriggered(event)
    }

    /// The connection has become something else.
    func handlerRemoved(context: ChannelHandlerContext) {
        stopTimer()
        writeTimer?.cancel()
        writeTimer = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        stopTimer()
        writeTimer?.cancel()
        watch.close()
        context.fireChannelInactive()
    }
}
