// SPDX-License-Identifier: Apache-2.0
// A whole server inside the test process, on ports of its own.

import Base
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Logging
import ServiceLifecycle
import Storage
import Synchronization
import Telemetry
import TestKit
import Wire

@testable import Server

/// A running server; `withServer` starts and stops it.
struct TestServer: Sendable {
    let port: Int
    let grpcPort: Int
    let core: Core
    let endpoint: HTTPEndpoint
    let startup: Startup
    let scraping: Scraping

    func send(
        _ method: String, _ target: String, headers: [(String, String)] = [], body: [UInt8]? = nil
    ) async throws -> HTTPReply {
        let port = self.port
        return try await onThread {
            try exchange(port: port, method, target, headers: headers, body: body)
        }
    }

    func get(_ target: String, tenant: String? = nil) async throws -> HTTPReply {
        try await send("GET", target, headers: tenant.map { [("X-Scope-OrgID", $0)] } ?? [])
    }

    func post(
        _ target: String, _ type: String, _ body: [UInt8], headers: [(String, String)] = []
    ) async throws -> HTTPReply {
        try await send("POST", target, headers: [("Content-Type", type)] + headers, body: body)
    }

    func export(
        _ signal: OTLPSignal, _ body: [UInt8], metadata: Metadata = [:]
    ) async throws -> ExportOutcome {
        try await exportOverGRPC(grpcPort, signal, body, metadata: metadata)
    }
}

/// What one OTLP/gRPC call came to: the answer, or the code and message of its failure.
typealias ExportOutcome = (answer: [UInt8]?, code: RPCError.Code?, message: String)

func exportOverGRPC(
    _ port: Int, _ signal: OTLPSignal, _ body: [UInt8], metadata: Metadata = [:]
) async throws -> ExportOutcome {
    let transport = try HTTP2ClientTransport.Posix(
        target: .ipv4(address: "127.0.0.1", port: port), transportSecurity: .plaintext)
    return try await withGRPCClient(transport: transport) { client in
        do {
            let answer: [UInt8] = try await client.unary(
                request: ClientRequest(message: body, metadata: metadata),
                descriptor: MethodDescriptor(
                    fullyQualifiedService: signal.grpcService, method: "Export"),
                serializer: RawBytes(), deserializer: RawBytes(), options: .defaults
            ) { try $0.message }
            return (answer, nil, "")
        } catch let error as RPCError {
            return (nil, error.code, error.message)
        }
    }
}

struct RawBytes: MessageSerializer, MessageDeserializer {
    func serialize<Bytes: GRPCContiguousBytes>(_ message: [UInt8]) throws -> Bytes {
        Bytes(message)
    }
    func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> [UInt8] {
        bytes.withUnsafeBytes { [UInt8]($0) }
    }
}

/// Tells a number to whoever waits for it.
private final class Announcement: Sendable {
    private let stream = AsyncStream<Int>.makeStream()
    func tell(_ value: Int) { stream.continuation.yield(value) }
    func value() async -> Int {
        for await value in stream.stream { return value }
        return 0
    }
}

/// Starts a server on a fresh directory, calls `body` and stops it.
///
/// - Parameters:
///   - change: options before the start; ports and directory are chosen here.
///   - adjust: settings that have no flag.
func withServer<R: Sendable>(
    _ change: (inout ServerOptions) -> Void = { _ in },
    adjust: (inout CoreSettings) -> Void = { _ in },
    _ body: (TestServer) async throws -> R
) async throws -> R {
    try await withTemporaryDirectory { path in
        var options = ServerOptions()
        options.storagePath = path + "/data"
        // Tests of rules see their own only.
        options.rules.watches = false
        change(&options)
        var settings = CoreSettings(options, nil)
        adjust(&settings)
        let startup = Startup(clock: SystemClock())
        let core = try Core.open(
            settings, DataDirectory(options.storagePath), SystemClock(), startup)
        core.kernel.start()
        let result: Result<R, any Error>
        do {
            let value = try await withListeners(options, startup) { endpoint, port, grpcPort in
                startup.finish(core)
                let scraping = Scraping(
                    options, nil, Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
                    SystemClock())
                endpoint.serve(
                    makeRoutes(core, startup, SelfMetrics(), scraping), sockets: makeSockets(core))
                return try await body(
                    TestServer(
                        port: port, grpcPort: grpcPort, core: core, endpoint: endpoint,
                        startup: startup, scraping: scraping))
            }
            result = .success(value)
        } catch {
            result = .failure(error)
        }
        await core.stop()
        return try result.get()
    }
}

/// The listeners of a server, as they come up: nothing is open behind them yet.
func withListeners<R: Sendable>(
    _ options: ServerOptions, _ startup: Startup,
    _ body: (HTTPEndpoint, _ port: Int, _ grpcPort: Int) async throws -> R
) async throws -> R {
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let metrics = SelfMetrics()
    let endpoint = HTTPEndpoint(
        options: HTTPEndpoint.Options(options),
        observer: SelfObserver(logger: logger, metrics: metrics, clock: SystemClock()))
    endpoint.serve(startup.routes(metrics)) { startup.refusal }
    let (http, grpc) = (Announcement(), Announcement())
    let group = ServiceGroup(
        services: [
            HTTPListener(
                host: "127.0.0.1", port: 0, endpoint: endpoint, limits: options.connection,
                logger: logger
            ) { http.tell($0) },
            OTLPGRPCListener(host: "127.0.0.1", port: 0, startup: startup) {
                endpoint.takeHTTP2(to: ListenAddress(host: "127.0.0.1", port: $0))
                grpc.tell($0)
            },
        ], logger: logger)
    let running = Task { try await group.run() }
    let result: Result<R, any Error>
    do {
        result = .success(try await body(endpoint, await http.value(), await grpc.value()))
    } catch {
        result = .failure(error)
    }
    await group.triggerGracefulShutdown()
    try await running.value
    return try result.get()
}
