// SPDX-License-Identifier: Apache-2.0
// A UDP address whose datagrams are messages.

import Base
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

/// Messages one behind another, and where each lies.
struct MessageBlock: Sendable {
    var bytes: [UInt8] = []
    var messages: [Range<Int>] = []
}

/// Collects datagrams for a moment, within a bound; what exceeds it is dropped and counted, as UDP
/// has it.
struct DatagramListener: Service {
    /// Bytes of datagrams that may wait.
    static let maxWaitingBytes = 4 << 20
    /// Bytes that the kernel may hold for us, as far as it lets us choose: bursts are lost there.
    static let kernelBytes = 4 << 20
    /// Datagrams taken with one system call.
    static let datagramsPerRead = 16
    /// Seconds that datagrams are collected.
    static let collectSeconds = 0.1

    let address: ListenAddress
    let clock: any Clock
    let counters: ListenerCounters
    /// Told the port once the socket is bound.
    let onRunning: @Sendable (Int) -> Void
    let take: @Sendable (MessageBlock) async throws -> Void

    typealias Datagrams = NIOAsyncChannel<
        AddressedEnvelope<ByteBuffer>, AddressedEnvelope<ByteBuffer>
    >

    func run() async throws {
        let channel = try await bind()
        onRunning(channel.channel.localAddress?.port ?? address.port)
        try await serve(channel)
    }

    /// - Throws: `ListenError`.
    func bind() async throws(ListenError) -> Datagrams {
        do {
            return try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .channelOption(.socketOption(.so_rcvbuf), value: Self.kernelBytes)
                .channelOption(
                    .datagramVectorReadMessageCount, value: Self.datagramsPerRead
                )
                // Senders may put more into a datagram than NIO expects.
                .channelOption(
                    .recvAllocator,
                    value: FixedSizeRecvByteBufferAllocator(
                        capacity: Self.datagramsPerRead * (64 << 10))
                )
                .bind(host: address.host, port: address.port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try Datagrams(
                            wrappingChannelSynchronously: channel,
                            configuration: .init(
                                backPressureStrategy: .init(lowWatermark: 64, highWatermark: 256)))
                    }
                }
        } catch {
            throw ListenError(address.host, address.port, error)
        }
    }

    /// Collects and hands over until the server stops.
    func serve(_ datagrams: Datagrams) async throws {
        let waiting = WaitingDatagrams(limit: Self.maxWaitingBytes)
        try await datagrams.executeThenClose { inbound, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for try await envelope in inbound.cancelOnGracefulShutdown() {
                        let isKept = envelope.data.withUnsafeReadableBytes { waiting.add($0) }
                        if !isKept { counters.drop(datagrams: 1) }
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

/// Datagrams until they are taken.
private final class WaitingDatagrams: Sendable {
    private let state = Mutex<(block: MessageBlock, isEnded: Bool)>((MessageBlock(), false))
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// False when there is no room.
    func add(_ datagram: UnsafeRawBufferPointer) -> Bool {
        state.withLock { state in
            let start = state.block.bytes.count
            // Each costs its place in the list too, or empty ones were free.
            guard start + 16 * state.block.messages.count + datagram.count < limit else {
                return false
            }
            state.block.bytes.append(contentsOf: datagram)
            state.block.messages.append(start..<state.block.bytes.count)
            return true
        }
    }

    func takeAll() -> MessageBlock {
        state.withLock { state in
            defer { state.block = MessageBlock() }
            return state.block
        }
    }

    func end() { state.withLock { $0.isEnded = true } }
    var isEnded: Bool { state.withLock { $0.isEnded } }
}
