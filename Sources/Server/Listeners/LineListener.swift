// SPDX-License-Identifier: Apache-2.0
// Sockets that take lines.

import Base
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

/// Listens on one address by TCP and UDP and hands over whole lines.
///
/// A connection is read no faster than its lines are taken. Datagrams are collected for a moment,
/// within a bound; what exceeds it is dropped and counted, as UDP has it.
struct LineListener: Service {
    /// Bytes of a line; a connection that sends more without an end is closed.
    static let maxLineBytes = 64 << 10
    static let maxConnections = 512
    /// Bytes of datagrams that may wait.
    static let maxWaitingBytes = 4 << 20
    /// Seconds that datagrams are collected.
    static let collectSeconds = 0.1

    let address: ListenAddress
    let name: String
    let clock: any Clock
    let logger: Logger
    let counters: LineCounters
    /// Told the port once both sockets are bound.
    let onRunning: @Sendable (Int) -> Void
    let take: @Sendable ([UInt8]) async throws -> Void

    private typealias Connection = NIOAsyncChannel<ByteBuffer, ByteBuffer>
    private typealias Datagrams = NIOAsyncChannel<
        AddressedEnvelope<ByteBuffer>, AddressedEnvelope<ByteBuffer>
    >

    func run() async throws {
        let server: NIOAsyncChannel<Connection, Never>
        let datagrams: Datagrams
        do {
            server = try await bindStream()
            let port = server.channel.localAddress?.port ?? address.port
            do {
                datagrams = try await bindDatagrams(port)
            } catch {
                try await server.channel.close()
                throw error
            }
            onRunning(port)
        } catch {
            throw ListenError(address.host, address.port, error)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await serve(server) }
            group.addTask { try await collect(datagrams) }
            try await group.waitForAll()
        }
    }

    private func bindStream() async throws -> NIOAsyncChannel<Connection, Never> {
        try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .bind(host: address.host, port: address.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    // Two reads wait at most while lines are being written.
                    try Connection(
                        wrappingChannelSynchronously: channel,
                        configuration: .init(
                            backPressureStrategy: .init(lowWatermark: 1, highWatermark: 2)))
                }
            }
    }

    private func bindDatagrams(_ port: Int) async throws -> Datagrams {
        try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            // Senders may put more into a datagram than NIO expects.
            .channelOption(
                .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 64 << 10)
            )
            .bind(host: address.host, port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try Datagrams(wrappingChannelSynchronously: channel)
                }
            }
    }

    // MARK: connections

    private func serve(_ server: NIOAsyncChannel<Connection, Never>) async throws {
        let open = OpenCount()
        try await server.executeThenClose { connections in
            try await withThrowingDiscardingTaskGroup { group in
                for try await connection in connections.cancelOnGracefulShutdown() {
                    guard open.enter(limit: Self.maxConnections) else {
                        LineCounters.add(1, to: counters.connectionsRefused)
                        connection.channel.close(promise: nil)
                        continue
                    }
                    group.addTask {
                        await read(connection)
                        open.leave()
                    }
                }
            }
        }
    }

    private func read(_ connection: Connection) async {
        do {
            try await connection.executeThenClose { inbound, _ in
                var pending: [UInt8] = []
                for try await buffer in inbound.cancelOnGracefulShutdown() {
                    buffer.withUnsafeReadableBytes { pending.append(contentsOf: $0) }
                    if let end = pending.lastIndex(of: UInt8(ascii: "\n")) {
                        let lines = Array(pending[...end])
                        pending.removeSubrange(...end)
                        try await take(lines)
                    }
                    guard pending.count <= Self.maxLineBytes else {
                        LineCounters.add(1, to: counters.connectionsRefused)
                        return
                    }
                }
                // The last line may lack its end.
                try await take(pending)
            }
        } catch {
            logger.debug("\(name) connection ended", metadata: ["reason": "\(error)"])
        }
    }

    // MARK: datagrams

    private func collect(_ datagrams: Datagrams) async throws {
        let waiting = WaitingLines(limit: Self.maxWaitingBytes)
        try await datagrams.executeThenClose { inbound, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for try await envelope in inbound.cancelOnGracefulShutdown() {
                        let isKept = envelope.data.withUnsafeReadableBytes { waiting.add($0) }
                        if !isKept { LineCounters.add(1, to: counters.datagramsDropped) }
                    }
                    waiting.end()
                }
                group.addTask {
                    while !waiting.isEnded {
                        try await clock.sleep(seconds: Self.collectSeconds)
                        try await take(waiting.takeAll())
                    }
                    try await take(waiting.takeAll())
                }
                try await group.waitForAll()
            }
        }
    }
}

/// Connections that are open.
final class OpenCount: Sendable {
    private let count = Atomic<Int>(0)

    func enter(limit: Int) -> Bool {
        if count.wrappingAdd(1, ordering: .relaxed).newValue <= limit { return true }
        leave()
        return false
    }

    func leave() { count.wrappingSubtract(1, ordering: .relaxed) }
}

/// Lines of datagrams until they are taken.
private final class WaitingLines: Sendable {
    private let state = Mutex<(bytes: [UInt8], isEnded: Bool)>(([], false))
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// Adds the lines of one datagram; false when there is no room.
    func add(_ datagram: UnsafeRawBufferPointer) -> Bool {
        state.withLock { state in
            guard state.bytes.count + datagram.count < limit else { return false }
            state.bytes.append(contentsOf: datagram)
            if datagram.last != UInt8(ascii: "\n") { state.bytes.append(UInt8(ascii: "\n")) }
            return true
        }
    }

    func takeAll() -> [UInt8] {
        state.withLock { state in
            defer { state.bytes = [] }
            return state.bytes
        }
    }

    func end() { state.withLock { $0.isEnded = true } }
    var isEnded: Bool { state.withLock { $0.isEnded } }
}
