// SPDX-License-Identifier: Apache-2.0
// Syslog's and Fluentd's sockets.

import Base
import Crypto
import FoundationEssentials
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import ServiceLifecycle
import Synchronization
import TestKit
import Testing
import Wire

@testable import Server

@Suite(.serialized) struct LogSocketTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private let local = ListenAddress(host: "127.0.0.1", port: 0)

    /// Runs the sockets of the options until `body` has ended; it is given their ports by name.
    private func with(
        _ options: LogDoorOptions, _ server: TestServer,
        _ body: ([String: Int]) async throws -> Void
    ) async throws {
        let ports = Mutex<[String: Int]>([:])
        let services = try logDoorServices(
            options, server.startup, SystemClock(), logger, random: SeededRandom(seed: 1)
        ) { _, port, name in ports.withLock { $0[name] = port } }
        let group = ServiceGroup(services: services, logger: logger)
        let running = Task { try await group.run() }
        let result: Result<Void, any Error>
        do {
            try await eventually { ports.withLock { $0.count } == services.count }
            result = .success(try await body(ports.withLock { $0 }))
        } catch { result = .failure(error) }
        await group.triggerGracefulShutdown()
        try await running.value
        try result.get()
    }

    private func send(_ text: String, toUDP port: Int) async throws {
        let channel = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: port)
        try await channel.writeAndFlush(
            AddressedEnvelope(remoteAddress: address, data: ByteBuffer(string: text)))
        try await channel.close()
    }

    @Test func syslogOverTCPAndUDP() async throws {
        try await withServer { server in
            var options = LogDoorOptions()
            options.syslogTCP = local
            options.syslogUDP = local
            try await with(options, server) { ports in
                let port = try #require(ports["syslog-tcp"])
                try await onThread {
                    let connection = try RawConnection(port: port)
                    let many = (0..<3000).map { "<13>1 - h app - - - many \($0)\n" }.joined()
                    _ = connection.send(many + "27 <11>1 - h app - - - counted<13>plain last")
                    connection.close()
                }
                try await send(
                    "<13>1 - u app - - - two\nlines", toUDP: try #require(ports["syslog-udp"]))
                try await eventually {
                    let counted = try await server.lines(#"{hostname="h"} |= "counted""#)
                    let two = try await server.lines(#"{hostname="u"}"#)
                    return counted.contains("error") && two.contains(#"two\nlines"#)
                }
                try await eventually { server.startup.logDoors[.syslog].lines == 3003 }
                // A message without an end ends its connection, not the server.
                try await onThread {
                    let connection = try RawConnection(port: port)
                    _ = connection.send([UInt8](repeating: 65, count: 1_200_000))
                    connection.close()
                }
                try await eventually {
                    server.startup.logDoors.listeners.connectionsRefused.load(ordering: .relaxed)
                        == 1
                }
            }
        }
    }

    @Test func syslogOverTLS() async throws {
        try await withServer { server in
            try await withTemporaryDirectory { folder in
                var options = LogDoorOptions()
                options.syslogTLS = local
                #expect(throws: LogDoorError.self) {
                    try logDoorServices(options, server.startup, SystemClock(), logger) { _, _, _ in
                    }
                }
                func file(_ name: String, _ text: String) throws -> String {
                    try Data(text.utf8).write(to: URL(filePath: folder + "/" + name))
                    return folder + "/" + name
                }
                options.tlsCertificateFile = try file(
                    "cert.pem", TestCertificates.serverCertificate)
                options.tlsKeyFile = try file("key.pem", TestCertificates.serverKey)
                options.tlsClientAuthorityFile = try file("ca.pem", TestCertificates.authority)
                try await with(options, server) { ports in
                    let port = try #require(ports["syslog-tls"])
                    var tls = TLSConfiguration.makeClientConfiguration()
                    tls.trustRoots = .certificates(
                        try NIOSSLCertificate.fromPEMBytes(Array(TestCertificates.authority.utf8)))
                    tls.certificateChain = try NIOSSLCertificate.fromPEMBytes(
                        Array(TestCertificates.clientCertificate.utf8)
                    ).map { .certificate($0) }
                    tls.privateKey = .privateKey(
                        try NIOSSLPrivateKey(
                            bytes: Array(TestCertificates.clientKey.utf8), format: .pem))
                    let context = try NIOSSLContext(configuration: tls)
                    let channel = try await ClientBootstrap(
                        group: MultiThreadedEventLoopGroup.singleton
                    ).channelInitializer { channel in
                        channel.eventLoop.makeCompletedFuture {
                            try channel.pipeline.syncOperations.addHandler(
                                NIOSSLClientHandler(context: context, serverHostname: "tern.test"))
                        }
                    }.connect(host: "127.0.0.1", port: port).get()
                    try await channel.writeAndFlush(
                        ByteBuffer(string: "<13>1 - tls app - - - private\n"))
                    try await eventually {
                        try await server.lines(#"{hostname="tls"}"#).contains("private")
                    }
                    try await channel.close()
                }
            }
        }
    }

    /// A Forward message of one event with an ack.
    private func message(_ chunk: String) -> [UInt8] {
        func text(_ text: String) -> [UInt8] { [0xd9, UInt8(text.utf8.count)] + Array(text.utf8) }
        return [0x93] + text("app.web") + [0x91, 0x92, 0x00, 0x82] + text("message")
            + text("hi " + chunk)
            + text("app") + text("fluent") + [0x81] + text("chunk") + text(chunk)
    }

    @Test func fluentMessagesAreAcknowledged() async throws {
        try await withServer { server in
            var options = LogDoorOptions()
            options.fluent = local
            try await with(options, server) { ports in
                let port = try #require(ports["fluent"])
                let bytes = message("one") + message("two")
                let answer = try await onThread {
                    let connection = try RawConnection(port: port)
                    defer { connection.close() }
                    _ = connection.send(Array(bytes[..<40]))
                    _ = connection.send(Array(bytes[40...]))
                    var answer: [UInt8] = []
                    while answer.count < 2 * 9, let more = connection.receive(seconds: 20) {
                        answer += more
                    }
                    return answer
                }
                #expect(
                    answer == FluentForward.ack(Array("one".utf8))
                        + FluentForward.ack(Array("two".utf8)))
                // Acknowledged means stored.
                let lines = try await server.lines(#"{app="fluent",tag="app.web"}"#)
                #expect(lines.contains("hi one") && lines.contains("hi two"), "\(lines)")
            }
        }
    }

    @Test func aSharedKeyIsAskedFor() async throws {
        try await withServer { server in
            try await withTemporaryDirectory { folder in
                try Data("secret\n".utf8).write(to: URL(filePath: folder + "/key"))
                var options = LogDoorOptions()
                options.fluent = local
                options.fluentSharedKeyFile = folder + "/key"
                try await with(options, server) { ports in
                    let port = try #require(ports["fluent"])
                    let bytes = message("one")
                    for key in ["secret", "wrong"] {
                        let answer = try await onThread {
                            let connection = try RawConnection(port: port)
                            defer { connection.close() }
                            let hello = connection.receive(seconds: 20) ?? []
                            // 92, a4 HELO, 83, a5 nonce, da 0020 and the nonce.
                            let start = 1 + 5 + 1 + 6 + 3
                            let nonce = Array(hello[start..<(start + 32)])
                            let digest = SHA512.hash(
                                data: Array("salthost".utf8) + nonce + Array(key.utf8))
                            let hex = digest.flatMap { byte -> [UInt8] in
                                let text = String(byte, radix: 16)
                                return Array((text.count == 1 ? "0" + text : text).utf8)
                            }
                            var ping: [UInt8] = [0x96]
                            for part in ["PING", "host", "salt"] {
                                FluentForward.appendText(Array(part.utf8), to: &ping)
                            }
                            FluentForward.appendText(hex, to: &ping)
                            ping += [0xa0, 0xa0]
                            _ = connection.send(ping + bytes)
                            var answer: [UInt8] = []
                            while answer.suffix(4) != [0xa3] + Array("one".utf8),
                                let more = connection.receive(seconds: 20), !more.isEmpty
                            { answer += more }
                            return answer
                        }
                        #expect(answer.isEmpty == (key == "wrong"), "\(key)")
                    }
                }
            }
        }
    }
}
