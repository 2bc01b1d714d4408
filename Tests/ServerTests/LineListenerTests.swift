// SPDX-License-Identifier: Apache-2.0
// Graphite's and StatsD's sockets.

import Base
import Glibc
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization
import TestKit
import Testing

@testable import Server

@Suite(.serialized) struct LineListenerTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Runs services until `body` has ended.
    private func with(
        _ services: [any Service], _ body: () async throws -> Void
    ) async throws {
        let group = ServiceGroup(services: services, logger: logger)
        let running = Task { try await group.run() }
        let result: Result<Void, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        await group.triggerGracefulShutdown()
        try await running.value
        try result.get()
    }

    private func options(graphite: Bool = false, statsD: Bool = false) -> ServerOptions {
        var options = ServerOptions()
        let any = ListenAddress(host: "127.0.0.1", port: 0)
        options.graphite = graphite ? any : nil
        options.statsD = statsD ? any : nil
        options.statsDFlushSeconds = 0.05
        return options
    }

    private func send(_ bytes: [UInt8], toTCP port: Int) async throws {
        try await onThread {
            let connection = try RawConnection(port: port)
            // The server may have closed it before the end.
            _ = connection.send(bytes)
            connection.close()
        }
    }

    private func send(_ text: String, toUDP port: Int) async throws {
        let channel = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: port)
        try await channel.writeAndFlush(
            AddressedEnvelope(remoteAddress: address, data: ByteBuffer(string: text)))
        try await channel.close()
    }

    @Test func graphiteOverBothTransports() async throws {
        try await withServer { server in
            let port = Atomic<Int>(0)
            let services = pushServices(
                options(graphite: true), server.startup, SystemClock(), logger
            ) { _, bound, _ in port.store(bound, ordering: .relaxed) }
            try await with(services) {
                try await eventually { port.load(ordering: .relaxed) != 0 }
                let bound = port.load(ordering: .relaxed)
                // More than fits into one read, an end without a line end, and a bad line.
                let many = (0..<5000).map { "many;n=\($0) 1\n" }.joined()
                try await send(Array((many + "bad\nlast 7").utf8), toTCP: bound)
                try await send("datagram 8", toUDP: bound)
                try await eventually {
                    let many = try await server.answer("count(many)")
                    let last = try await server.answer("{__name__=~\"last|datagram\"}")
                    return many.contains("\"5000\"") && last.contains("\"7\"")
                        && last.contains("\"8\"")
                }
                let lines = server.startup.lines
                #expect(lines.graphiteLines.load(ordering: .relaxed) == 5002)
                #expect(lines.graphiteRejected.load(ordering: .relaxed) == 1)
                // A line without an end ends its connection, not the server.
                try await send([UInt8](repeating: 65, count: 200_000), toTCP: bound)
                try await eventually {
                    lines.listeners.connectionsRefused.load(ordering: .relaxed) == 1
                }
                try await send("after 9\n", toUDP: bound)
                try await eventually { try await server.answer("after").contains("\"9\"") }
            }
        }
    }

    @Test func statsDIsAddedUp() async throws {
        try await withServer { server in
            let port = Atomic<Int>(0)
            let services = pushServices(
                options(statsD: true), server.startup, SystemClock(), logger
            ) { _, bound, _ in port.store(bound, ordering: .relaxed) }
            try await with(services) {
                try await eventually { port.load(ordering: .relaxed) != 0 }
                let bound = port.load(ordering: .relaxed)
                for _ in 0..<3 { try await send("web.hits:2|c\nweb.q:5|g", toUDP: bound) }
                try await send(Array("web.hits:1|c|@0.5\nweb.t:500|ms\n".utf8), toTCP: bound)
                try await eventually {
                    let hits = try await server.answer("web_hits")
                    let time = try await server.answer("histogram_sum(web_t)")
                    return hits.contains("\"8\"") && time.contains("\"0.5\"")
                }
            }
            // The last flush came with the end.
            #expect(try await server.answer("web_q").contains("\"5\""))
        }
    }

    @Test func repeatedWorkKeepsToTheGrid() async throws {
        let clock = ManualClock(wallNanos: 1_000_000_000_123_000_000)
        let times = Mutex<[Int64]>([])
        let work = RepeatedWork(intervalSeconds: 10, clock: clock, finishes: true) { millis in
            times.withLock { $0.append(millis) }
        }
        try await with([work]) {
            for expected in 1...3 {
                try await eventually { clock.sleeperCount == 1 }
                clock.advance(seconds: expected == 1 ? 9.877 : 10)
                try await eventually { times.withLock { $0.count } == expected }
            }
        }
        #expect(
            times.withLock { $0 }.map { $0 - 1_000_000_000_000 } == [
                10_000, 20_000, 30_000, 30_000,
            ])
    }
}
