// SPDX-License-Identifier: Apache-2.0
// OTLP over gRPC: raw bytes in, raw bytes out, no generated messages.

import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Ingest
import ServiceLifecycle
import Telemetry
import Wire

/// Copies a request message out of the transport's buffer.
struct RawInput: MessageDeserializer {
    func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> [UInt8] {
        bytes.withUnsafeBytes { [UInt8]($0) }
    }
}

struct RawOutput: MessageSerializer {
    func serialize<Bytes: GRPCContiguousBytes>(_ message: [UInt8]) throws -> Bytes {
        Bytes(message)
    }
}

extension OTLPSignal {
    /// Full name of the signal's collector service.
    var grpcService: String {
        let base = "opentelemetry.proto.collector."
        return switch self {
        case .traces: base + "trace.v1.TraceService"
        case .metrics: base + "metrics.v1.MetricsService"
        case .logs: base + "logs.v1.LogsService"
        }
    }
}

/// The three OTLP collector services.
struct OTLPService: RegistrableRPCService {
    let startup: Startup

    func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
        for signal in OTLPSignal.allCases {
            router.registerHandler(
                forMethod: MethodDescriptor(
                    fullyQualifiedService: signal.grpcService, method: "Export"),
                deserializer: RawInput(), serializer: RawOutput()
            ) { request, context in
                guard let intake = startup.core?.intake else {
                    throw startup.refusal.rpcError
                }
                let tenant = try rpcTenant(of: request.metadata, intake.tenancy)
                let sender = MetricSender(
                    via: "otlp/grpc", address: context.remotePeer,
                    agent: request.metadata[stringValues: "user-agent"].first { _ in true } ?? "")
                var answer: [UInt8] = []
                for try await body in request.messages {
                    do {
                        answer = try await MetricSender.$current.withValue(sender) {
                            try await intake.grpc(body, signal, tenant: tenant)
                        }
                    } catch let error as APIError {
                        throw error.rpcError
                    }
                }
                return StreamingServerResponse(
                    single: ServerResponse(message: answer))
            }
        }
    }
}

/// Tenant of a call.
///
/// - Throws: `RPCError` when it must name one and does not, or names one that cannot be.
func rpcTenant(of metadata: Metadata, _ tenancy: Tenancy) throws -> Tenant {
    guard tenancy == .header else { return .anonymous }
    guard let name = metadata[stringValues: "x-scope-orgid"].first(where: { _ in true }) else {
        throw RPCError(code: .unauthenticated, message: "no org id")
    }
    let tenant = Tenant(name)
    guard tenant.isValid else {
        throw RPCError(
            code: .invalidArgument,
            message: "tenant \"\(name)\" has characters that are not allowed")
    }
    return tenant
}

/// Serves OTLP and Tempo's streaming querier over gRPC on one address. gzip and deflate are accepted.
struct OTLPGRPCListener: Service {
    let host: String
    /// 0 picks a free one.
    let port: Int
    let startup: Startup
    /// Told the port once the address is bound.
    let onRunning: @Sendable (Int) -> Void

    func run() async throws {
        let server = GRPCServer(
            transport: .http2NIOPosix(
                address: host.contains(":")
                    ? .ipv6(host: host, port: port) : .ipv4(host: host, port: port),
                transportSecurity: .plaintext,
                config: .defaults {
                    $0.compression.enabledAlgorithms = .all
                    // Above it the stream is reset, which says nothing; up to it the intake says
                    // no.
                    $0.rpc.maxRequestPayloadSize = 2 * OTLPIntake.bodyLimit
                }),
            services: [OTLPService(startup: startup), StreamingQuerier(startup: startup)])
        do {
            try await run(server)
        } catch let error where !(error is CancellationError) {
            throw ListenError(host, port, error)
        }
    }

    private func run(_ server: GRPCServer<HTTP2ServerTransport.Posix>) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await withGracefulShutdownHandler {
                    try await server.serve()
                } onGracefulShutdown: {
                    server.beginGracefulShutdown()
                }
            }
            group.addTask {
                let address = try await server.transport.listeningAddress
                if let port = address.ipv4?.port ?? address.ipv6?.port { onRunning(port) }
            }
            try await group.waitForAll()
        }
    }
}
