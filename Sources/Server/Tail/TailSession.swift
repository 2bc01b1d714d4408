// SPDX-License-Identifier: Apache-2.0
// One live tail from its first frame to its last.

import Base
import LogQL
import NIOCore
import NIOWebSocket
import Synchronization
import Telemetry

/// Feeds one reader. Four tasks, and the first to end ends all: one reads what the client sends, one
/// runs the query over what arrives, one sends, one pings. Nothing here holds up ingest: the query
/// takes batches off the feed as it gets to them, and lines that the reader does not take are
/// dropped and reported.
struct TailSession: Sendable {
    let endpoint: TailEndpoint
    let request: TailRequest
    private let frames: TailFrames
    /// Monotonic time of the last frame from the client.
    private let heard: HeardTime
    private var clock: any Clock { endpoint.logs.service.clock }

    /// Bytes of batches that are taken off the feed at once.
    private static let stepBytes = 4 << 20
    /// Between two looks at the feed: arrivals in between are looked at together.
    private static let pauseSeconds = 0.02
    /// How often and how long a reader that is behind is waited for.
    private static let roomWaits = 50
    private static let roomPauseSeconds = 0.002
    /// A batch can be read before it is in the feed, by so much.
    private static let overlapNanos: Int64 = 5_000_000_000

    private final class HeardTime: Sendable {
        let nanos: Atomic<Int64>
        init(_ nanos: Int64) { self.nanos = Atomic(nanos) }
    }

    init(endpoint: TailEndpoint, request: TailRequest) {
        self.endpoint = endpoint
        self.request = request
        frames = TailFrames(categorize: request.categorize)
        heard = HeardTime(endpoint.logs.service.clock.monotonicNanos)
    }

    /// Why a session ends with words to the client.
    private struct Ending: Error {
        var text: String
    }

    /// Runs until either side has enough; closes the socket.
    func run(_ socket: WebSocket) async {
        let watch = endpoint.feed.watch(request.tenants)
        defer { endpoint.feed.end(watch) }
        let (outgoing, ready) = AsyncStream<Void>.makeStream(
            bufferingPolicy: .bufferingNewest(1))
        do {
            try await socket.executeThenClose { inbound, outbound in
                do {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask { try await listen(inbound, outbound) }
                        group.addTask { try await send(outgoing, outbound) }
                        group.addTask { try await ping(watch.wake, outbound) }
                        group.addTask(executorPreference: endpoint.pool) {
                            try await follow(watch, ready)
                        }
                        defer { group.cancelAll() }
                        try await group.next()
                    }
                } catch let ending as Ending {
                    try await outbound.write(
                        closeFrame(.unexpectedServerError, ending.text))
                }
            }
        } catch {
            // The connection is gone, and with it whoever could be told.
            socket.channel.close(promise: nil)
        }
        endpoint.feed.counters.dropped.wrappingAdd(frames.dropped, ordering: .relaxed)
    }

    // MARK: - The client

    private func listen(
        _ inbound: NIOAsyncChannelInboundStream<WebSocketFrame>,
        _ outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>
    ) async throws {
        for try await frame in inbound {
            heard.nanos.store(clock.monotonicNanos, ordering: .relaxed)
            switch frame.opcode {
            case .connectionClose:
                // Its reason goes back, as RFC 6455 5.5.1 asks.
                try await outbound.write(
                    WebSocketFrame(
                        fin: true, opcode: .connectionClose, data: frame.unmaskedData))
                return
            case .ping:
                try await outbound.write(
                    WebSocketFrame(fin: true, opcode: .pong, data: frame.unmaskedData))
            default: break
            }
        }
    }

    private func send(
        _ ready: AsyncStream<Void>, _ outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>
    ) async throws {
        for await _ in ready {
            while let text = frames.next() {
                try await outbound.write(
                    WebSocketFrame(fin: true, opcode: .text, data: ByteBuffer(bytes: text)))
                endpoint.feed.counters.frames.wrappingAdd(1, ordering: .relaxed)
            }
        }
    }

    /// Pings, and ends the session when the client has been silent for too long. The pings
    /// themselves wait behind lines that the client does not take, so they are a task's of their own.
    private func ping(
        _ wake: AsyncStream<Void>.Continuation,
        _ outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while true {
                    try await clock.sleep(seconds: endpoint.limits.pingSeconds)
                    try await outbound.write(
                        WebSocketFrame(fin: true, opcode: .ping, data: ByteBuffer()))
                }
            }
            group.addTask {
                let patience = Int64(endpoint.limits.silenceSeconds * 1e9)
                let tick = request.delayNanos > 0 ? 0.1 : endpoint.limits.pingSeconds
                while true {
                    try await clock.sleep(seconds: tick)
                    // Lines may have waited long enough.
                    wake.yield()
                    let silent = clock.monotonicNanos - heard.nanos.load(ordering: .relaxed)
                    if silent > patience { return }
                }
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    // MARK: - The query

    /// Sends history, then what arrives.
    private func follow(
        _ watch: TailFeed.Watch, _ ready: AsyncStream<Void>.Continuation
    ) async throws {
        let tail: LogTail
        do {
            tail = try LogTail(
                request.selector, separatesCategories: request.categorize,
                nowNanos: clock.wallNanos)
        } catch { throw Ending(text: "\(error)") }
        let now = clock.wallNanos
        let history = try await history(until: now)
        var delivery = Delivery()
        try await deliver(history, &delivery, ready)
        // What came about the time when history was read may be in both.
        let knownUntil = clock.monotonicNanos + Self.overlapNanos
        var known = Set(history.map(LineKey.init))
        var pending = TailPending(delayNanos: request.delayNanos)
        for await _ in watch.signals {
            var isLast = false
            while !isLast {
                try Task.checkCancellation()
                let step = endpoint.feed.take(watch, byteLimit: Self.stepBytes)
                isLast = step.isLast
                for loss in step.lost { report(lost: loss.count, of: loss.tenant) }
                if !known.isEmpty, clock.monotonicNanos > knownUntil { known = [] }
                for item in step.items {
                    let batch =
                        request.isJoined
                        ? JoinedTenants.labelled(item.batch, item.tenant) : item.batch
                    try run(tail, batch, known, &pending)
                }
                let due = pending.release(nowNanos: clock.wallNanos)
                try await deliver(due, &delivery, ready)
            }
            try await clock.sleep(seconds: Self.pauseSeconds)
        }
    }

    private func run(
        _ tail: LogTail, _ batch: LogBatch, _ known: Set<LineKey>, _ pending: inout TailPending
    ) throws {
        let now = clock.wallNanos
        do {
            try tail.run(batch, ReadContext()) { line in
                if known.isEmpty || !known.contains(LineKey(line)) {
                    pending.add(line, nowNanos: now)
                }
            }
        } catch { throw Ending(text: "\(error)") }
    }

    /// What is known of how the reader takes its frames.
    private struct Delivery {
        /// Frames it had taken when it was found not to take any.
        var stuckAt: Int?
    }

    /// Hands lines to the sender. A reader that takes frames is waited for, so that a burst does not
    /// cost it lines; one that takes none within a while loses lines until it does.
    private func deliver(
        _ lines: [TailedLine], _ delivery: inout Delivery,
        _ ready: AsyncStream<Void>.Continuation
    ) async throws {
        for line in lines {
            if !frames.hasRoom, delivery.stuckAt != frames.taken {
                ready.yield()
                delivery.stuckAt = try await waitedForRoom() ? nil : frames.taken
            }
            frames.add(line)
        }
        if !frames.isEmpty { ready.yield() }
    }

    private func waitedForRoom() async throws -> Bool {
        for _ in 0..<Self.roomWaits {
            try await clock.sleep(seconds: Self.roomPauseSeconds)
            if frames.hasRoom { return true }
        }
        return false
    }

    /// Whole batches that came faster than the query ran: nobody knows what it would have kept of
    /// them, so each is one report with the labels that the selector names and, of several tenants,
    /// whose it was.
    private func report(lost: Int, of tenant: Tenant) {
        let named = request.selector.matchers.filter { $0.operation == .equal }
        var builder = LabelsBuilder()
        for matcher in named { builder.set(matcher.name, matcher.value) }
        if request.isJoined { builder.set(JoinedTenants.label, tenant.name) }
        var bytes: [UInt8] = []
        _ = builder.encode(into: &bytes)
        let labels = Labels(canonical: bytes)
        for _ in 0..<min(lost, TailFrames.reports) {
            frames.report(TailFrames.Report(labels: labels, nanos: clock.wallNanos))
        }
    }

    /// The newest lines before a time, ascending.
    private func history(until end: Int64) async throws -> [TailedLine] {
        guard request.startNanos < end else { return [] }
        var query = LogQuery(
            request.selector, tenant: request.tenant, startNanos: request.startNanos,
            endNanos: end, limit: request.limit, direction: .backward)
        query.separatesCategories = request.categorize
        let (wanted, engine) = (query, endpoint.logs.engine)
        do {
            let result = try await endpoint.logs.run { context in
                try engine.queryLogs(wanted, context)
            }
            return result.streams.flatMap { stream in
                stream.entries.reversed().map { TailedLine(labels: stream.labels, entry: $0) }
            }.enumerated().sorted {
                ($0.element.entry.nanos, $0.offset) < ($1.element.entry.nanos, $1.offset)
            }.map(\.element)
        } catch let error as APIError {
            throw Ending(text: error.message)
        }
    }

    /// What makes two lines the same one.
    private struct LineKey: Hashable {
        var labels: Labels
        var nanos: Int64
        var line: [UInt8]
        var metadata: Labels

        init(_ line: TailedLine) {
            labels = line.labels
            nanos = line.entry.nanos
            self.line = line.entry.line
            metadata = line.entry.metadata
        }
    }
}
