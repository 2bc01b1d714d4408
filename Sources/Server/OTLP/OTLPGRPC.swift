// SPDX-License-Identifier: Apache-2.0
// OTLP over gRPC: raw bytes in, raw bytes out, no generated messages.

import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Ingest
import Telemetry

/// Copies a request message out of the transport's buffer.
private struct RawInput: MessageDeserializer {
    func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> [UInt8] {
        bytes.withUnsafeBytes { [UInt8]($0) }
    }
}

private struct RawOutput: MessageSerializer {
    func serialize<Bytes: GRPCContiguousBytes>(_ message: [UInt8]) throws -> Bytes {
        Bytes(message)
    }
}

/// The three OTLP collector services.
struct OTLPService: RegistrableRPCService {
    let intake: OTLPIntake

    func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
        for signal in OTLPSignal.allCases {
            router.registerHandler(
                forMethod: MethodDescriptor(
                    fullyQualifiedService: signal.grpcService, method: "Export"),
                deserializer: RawInput(), serializer: RawOutput()
            ) { request, _ in
                let tenant = try tenant(of: request.metadata)
                var answer: [UInt8] = []
                for try await body in request.messages {
                    do {
                        answer = try await intake.accept(
                            body, signal, json: false, tenant: tenant)
                    } catch let error as APIError {
                        throw RPCError(code: error.grpcCode, message: error.message)
                    }
                }
                return StreamingServerResponse(
                    single: ServerResponse(message: answer))
            }
        }
    }

    private func tenant(of metadata: Metadata) throws -> Tenant {
        guard intake.tenancy == .header else { return .anonymous }
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
}

extension APIError {
    /// Codes that make an exporter retry exactly when it should.
    fileprivate var grpcCode: RPCError.Code {
        switch kind {
        case .badData, .unsupportedMediaType, .notAcceptable, .execution: .invalidArgument
        case .tooLarge: .resourceExhausted
        case .unavailable, .tooManyRequests, .timeout, .requestTimeout: .unavailable
        case .unauthorized: .unauthenticated
        case .notFound, .methodNotAllowed: .unimplemented
        case .cancelled: .cancelled
        case .internal: .internalError
        }
    }
}

/// A gRPC server on one address. gzip and deflate are accepted; 64 MiB per message.
func makeOTLPServer(
    host: String, port: Int, intake: OTLPIntake, messageLimit: Int
) -> GRPCServer<HTTP2ServerTransport.Posix> {
    GRPCServer(
        transport: .http2NIOPosix(
            address: .ipv4(host: host, port: port), transportSecurity: .plaintext,
            config: .defaults {
                $0.compression.enabledAlgorithms = .all
                $0.rpc.maxRequestPayloadSize = messageLimit
            }),
        services: [OTLPService(intake: intake)])
}
