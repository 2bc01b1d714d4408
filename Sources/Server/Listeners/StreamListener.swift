// SPDX-License-Identifier: Apache-2.0
// A TCP address, with or without TLS, whose connections bring messages.

import Base
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import ServiceLifecycle
import Synchronization

/// What listeners of one kind counted since the start.
final class ListenerCounters: Sendable {
    /// Datagrams that found no room.
    let datagramsDropped = Atomic<Int>(0)
    /// Connections closed: too many, or what no message is.
    let connectionsRefused = Atomic<Int>(0)

    func drop(datagrams: Int) {
        if datagrams != 0 { datagramsDropped.wrappingAdd(datagrams, ordering: .relaxed) }
    }
}

/// One connection's side of a protocol.
protocol StreamConversation: Sendable {
    /// What is sent when the connection is open.
    var greeting: [UInt8] { get }
    /// Takes in what came and returns what is to be sent. The connection is read on only after.
    ///
    /// - Parameter isAtEnd: whether nothing follows.
    /// - Throws: what ends the connection.
    mutating func take(_ bytes: [UInt8], isAtEnd: Bool) async throws -> [UInt8]
}

/// What came is no message of the protocol.
struct RefusedStream: Error, CustomStringConvertible {
    var description: String
}

/// Listens on one address and leads a conversation on each connection.
struct StreamListener: Service {
    static let maxConnections = 512

    let address: ListenAddress
    let name: String
    let tls: NIOSSLContext?
    let logger: Logger
    let counters: ListenerCounters
    /// Told the port once the socket is bound.
    let onRunning: @Sendable (Int) -> Void
    let converse: @Sendable () -> any StreamConversation

    typealias Connection = NIOAsyncChannel<ByteBuffer, ByteBuffer>

    func run() async throws {
        let server = try await bind()
        onRunning(server.channel.localAddress?.port ?? address.port)
        try await serve(server)
    }

    /// Leads conversations until the server stops.
    func serve(_ server: NIOAsyncChannel<Connection, Never>) async throws {
        let open = OpenCount()
        try await server.executeThenClose { connections in
            try await withThrowingDiscardingTaskGroup { group in
                for try await connection in connections.cancelOnGracefulShutdown() {
                    guard open.enter(limit: Self.maxConnections) else {
                        counters.connectionsRefused.wrappingAdd(1, ordering: .relaxed)
                        connection.channel.close(promise: nil)
                        continue
                    }
                    group.addTask {
                        await lead(connection)
                        open.leave()
                    }
                }
            }
        }
    }

    /// - Throws: `ListenError`.
    func bind() async throws(ListenError) -> NIOAsyncChannel<Connection, Never> {
        do { return try await bound() } catch {
            throw ListenError(address.host, address.port, error)
        }
    }

    private func bound() async throws -> NIOAsyncChannel<Connection, Never> {
        let tls = self.tls
        return try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .bind(host: address.host, port: address.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLServerHandler(context: tls))
                    }
                    // Two reads wait at most while messages are being written.
                    return try Connection(
                        wrappingChannelSynchronously: channel,
                        configuration: .init(
                            backPressureStrategy: .init(lowWatermark: 1, highWatermark: 2)))
                }
            }
    }

    private func lead(_ connection: Connection) async {
        var conversation = converse()
        do {
            try await connection.executeThenClose { inbound, outbound in
                if !conversation.greeting.isEmpty {
                    try await outbound.write(ByteBuffer(bytes: conversation.greeting))
                }
                for try await buffer in inbound.cancelOnGracefulShutdown() {
                    let answer = try await conversation.take(
                        buffer.withUnsafeReadableBytes { Array($0) }, isAtEnd: false)
                    if !answer.isEmpty { try await outbound.write(ByteBuffer(bytes: answer)) }
                }
                _ = try await conversation.take([], isAtEnd: true)
            }
        } catch let error as RefusedStream {
            counters.connectionsRefused.wrappingAdd(1, ordering: .relaxed)
            logger.warning("\(name) connection closed", metadata: ["reason": "\(error)"])
        } catch {
            logger.debug("\(name) connection ended", metadata: ["reason": "\(error)"])
        }
    }
}

/// Connections that are open.
private final class OpenCount: Sendable {
    private let count = Atomic<Int>(0)

    func enter(limit: Int) -> Bool {
        if count.wrappingAdd(1, ordering: .relaxed).newValue <= limit { return true }
        leave()
        return false
    }

    func leave() { count.wrappingSubtract(1, ordering: .relaxed) }
}
