// SPDX-License-Identifier: Apache-2.0
// Tempo's streaming querier over gRPC.

import Base
import GRPCCore
import Telemetry
import TraceQL
import Wire

/// `tempopb.StreamingQuerier`: the searches, completion and metrics of the HTTP API as streams.
///
/// A stream has one message, the answer: a client that shows parts of an answer as they come is
/// shown all of it at once. Source: grafana/tempo `pkg/tempopb/tempo.proto`.
struct StreamingQuerier: RegistrableRPCService {
    static let serviceName = "tempopb.StreamingQuerier"
    /// Bytes of a request at most.
    private static let requestLimit = 1 << 20

    let startup: Startup

    private typealias Method = @Sendable (UnsafeRawBufferPointer) throws -> Reading
    /// A request that was read.
    private struct Reading: Sendable {
        /// TraceQL, for the logs of queries; may be empty.
        var text: String
        /// Makes the answer.
        var answer: @Sendable (Core, Tenant) async throws -> [UInt8]

        init(
            _ text: String, _ answer: @escaping @Sendable (Core, Tenant) async throws -> [UInt8]
        ) {
            self.text = text
            self.answer = answer
        }
    }

    func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
        let methods: [(name: String, read: Method)] = [
            ("Search", search), ("SearchTags", { try tags($0) { $0.protobuf() } }),
            ("SearchTagsV2", { try tags($0) { $0.protobufV2() } }),
            ("SearchTagValues", { try tagValues($0) { $0.protobuf() } }),
            ("SearchTagValuesV2", { try tagValues($0) { $0.protobufV2() } }),
            ("MetricsQueryRange", { try metrics($0, isInstant: false) }),
            ("MetricsQueryInstant", { try metrics($0, isInstant: true) }),
        ]
        for (name, read) in methods {
            router.registerHandler(
                forMethod: MethodDescriptor(
                    fullyQualifiedService: StreamingQuerier.serviceName, method: name),
                deserializer: RawInput(), serializer: RawOutput()
            ) { request, _ in
                guard let core = startup.core else {
                    throw RPCError(code: .unavailable, message: startup.text)
                }
                let tenant = try rpcTenant(of: request.metadata, core.intake.tenancy)
                var body: [UInt8] = []
                for try await message in request.messages { body = message }
                guard body.count <= StreamingQuerier.requestLimit else {
                    throw RPCError(
                        code: .resourceExhausted,
                        message: "request exceeds \(StreamingQuerier.requestLimit) bytes")
                }
                do {
                    let reading = try body.withUnsafeBytes { try read($0) }
                    let query = QueryDescription(
                        .traceql, reading.text, tenant: tenant, method: "gRPC",
                        path: "/\(StreamingQuerier.serviceName)/\(name)")
                    let answer = try await QueryDescription.$current.withValue(
                        reading.text.isEmpty ? nil : query
                    ) { try await reading.answer(core, tenant) }
                    return StreamingServerResponse(single: ServerResponse(message: answer))
                } catch let error as APIError {
                    throw RPCError(code: error.queryCode, message: error.message)
                } catch let error as MalformedBytes {
                    throw RPCError(code: .invalidArgument, message: "malformed request: \(error)")
                }
            }
        }
    }

    private func search(_ message: UnsafeRawBufferPointer) throws -> Reading {
        let request = try TempoRequests.search(message)
        let wanted = try TempoQueries.Search(request)
        return Reading(wanted.text) { core, tenant in
            try await TempoQueries(service: core.queries).search(wanted, tenant: tenant).protobuf()
        }
    }

    private func tags(
        _ message: UnsafeRawBufferPointer,
        _ encode: @escaping @Sendable (TempoTagsAnswer) -> [UInt8]
    ) throws -> Reading {
        let request = try TempoRequests.tags(message)
        let wanted = TempoQueries.Tags(
            scope: try .named(request.scope), query: request.query,
            range: try APIRequest.tempoRange(start: Int64(request.start), end: Int64(request.end)),
            limit: min(Int(request.limit), TempoQueries.maxValues))
        return Reading(request.query) { core, tenant in
            encode(try await TempoQueries(service: core.queries).tags(wanted, tenant: tenant))
        }
    }

    private func tagValues(
        _ message: UnsafeRawBufferPointer,
        _ encode: @escaping @Sendable (TempoTagValuesAnswer) -> [UInt8]
    ) throws -> Reading {
        let request = try TempoRequests.tagValues(message)
        let limit = request.limit == 0 ? TempoQueries.defaultValues : Int(request.limit)
        let wanted = TempoQueries.TagValues(
            name: request.name, query: request.query,
            range: try APIRequest.tempoRange(start: Int64(request.start), end: Int64(request.end)),
            limit: min(limit, TempoQueries.maxValues))
        return Reading(request.query) { core, tenant in
            encode(try await TempoQueries(service: core.queries).tagValues(wanted, tenant: tenant))
        }
    }

    private func metrics(
        _ message: UnsafeRawBufferPointer, isInstant: Bool
    ) throws -> Reading {
        let request = try TempoRequests.metrics(message)
        return Reading(request.query) { core, tenant in
            let queries = TempoQueries(service: core.queries)
            let now = core.queries.clock.wallNanos
            let end = request.end == 0 ? now : Int64(clamping: request.end)
            let hour: Int64 = 3_600_000_000_000
            var wanted = TempoQueries.Metrics(
                text: request.query,
                start: request.start == 0 ? max(0, end - hour) : Int64(clamping: request.start),
                end: end, step: request.step == 0 ? nil : Int64(clamping: request.step),
                isInstant: isInstant)
            if request.exemplars > 0 {
                wanted.exemplars = min(Int(request.exemplars), MetricsQuery.exemplarLimit)
            }
            if request.maxSeries > 0 {
                wanted.maxSeries = min(Int(request.maxSeries), TempoQueries.maxSeries)
            }
            let answer = try await queries.metrics(wanted, tenant: tenant)
            return isInstant ? try answer.instantProtobuf() : try answer.rangeProtobuf()
        }
    }
}

extension TempoQueries.Search {
    /// - Throws: `APIError` for what the HTTP API refuses too.
    fileprivate init(_ request: TempoRequests.Search) throws(APIError) {
        let tags = TagSearch(
            pairs: request.tags.map { ($0.key, $0.value) },
            minNanos: Int64(request.minDurationMillis) * 1_000_000,
            maxNanos: Int64(request.maxDurationMillis) * 1_000_000)
        guard request.query.isEmpty || tags.isEmpty else {
            throw APIError(.badData, "Query cannot be combined with Tags or durations")
        }
        self.init(
            text: request.query.isEmpty ? try tags.query() : request.query,
            range: try APIRequest.tempoRange(start: Int64(request.start), end: Int64(request.end)))
        if request.limit > 0 { limit = min(Int(request.limit), TempoQueries.maxCount) }
        if request.spansPerSpanSet > 0 {
            spansPerSpanSet = min(Int(request.spansPerSpanSet), TempoQueries.maxCount)
        }
    }
}

extension APIError {
    /// Codes for those who ask rather than send.
    var queryCode: RPCError.Code {
        switch kind {
        case .badData, .unsupportedMediaType, .notAcceptable: .invalidArgument
        case .notFound: .notFound
        case .execution, .tooLarge, .tooManyRequests: .resourceExhausted
        case .timeout, .requestTimeout: .deadlineExceeded
        case .unavailable: .unavailable
        case .unauthorized: .unauthenticated
        case .methodNotAllowed, .switchedOff: .unimplemented
        case .cancelled: .cancelled
        case .internal: .internalError
        }
    }
}
