// SPDX-License-Identifier: Apache-2.0
// Sockets that take lines.

import Base
import Logging
import NIOCore
import ServiceLifecycle

/// Listens on one address by TCP and UDP and hands over whole lines.
struct LineListener: Service {
    /// Bytes of a line; a connection that sends more without an end is closed.
    static let maxLineBytes = 64 << 10

    let address: ListenAddress
    let name: String
    let clock: any Clock
    let logger: Logger
    let counters: ListenerCounters
    /// Told the port once both sockets are bound.
    let onRunning: @Sendable (Int) -> Void
    let take: @Sendable ([UInt8]) async throws -> Void

    func run() async throws {
        let take = self.take
        let streams = StreamListener(
            address: address, name: name, tls: nil, logger: logger, counters: counters,
            onRunning: { _ in }, converse: { LineConversation(take) })
        let server = try await streams.bind()
        // Both by the same port, also where the system chose it.
        var address = self.address
        address.port = server.channel.localAddress?.port ?? address.port
        let datagrams = DatagramListener(
            address: address, clock: clock, counters: counters, onRunning: { _ in },
            take: { try await take($0.lines) })
        let channel: DatagramListener.Datagrams
        do {
            channel = try await datagrams.bind()
        } catch {
            try await server.channel.close()
            throw error
        }
        onRunning(address.port)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await streams.serve(server) }
            group.addTask { try await datagrams.serve(channel) }
            try await group.waitForAll()
        }
    }
}

/// One connection of a sender of lines, who is never answered.
private struct LineConversation: StreamConversation {
    let greeting: [UInt8] = []
    private let handOver: @Sendable ([UInt8]) async throws -> Void
    private var pending: [UInt8] = []

    init(_ handOver: @escaping @Sendable ([UInt8]) async throws -> Void) {
        self.handOver = handOver
    }

    mutating func take(_ bytes: [UInt8], isAtEnd: Bool) async throws -> [UInt8] {
        pending += bytes
        if isAtEnd {
            // The last line may lack its end.
            try await handOver(pending)
        } else if let end = pending.lastIndex(of: UInt8(ascii: "\n")) {
            let lines = Array(pending[...end])
            pending.removeSubrange(...end)
            try await handOver(lines)
        }
        guard pending.count <= LineListener.maxLineBytes else {
            throw RefusedStream(
                description: "line of more than \(LineListener.maxLineBytes) bytes")
        }
        return []
    }
}

extension MessageBlock {
    /// The messages, each of one or more lines, as lines.
    fileprivate var lines: [UInt8] {
        var lines: [UInt8] = []
        lines.reserveCapacity(bytes.count + messages.count)
        for message in messages {
            lines += bytes[message]
            if lines.last != UInt8(ascii: "\n") { lines.append(UInt8(ascii: "\n")) }
        }
        return lines
    }
}
