// SPDX-License-Identifier: Apache-2.0
// Routes, and the one place where a request becomes an answer.

import Base
import HTTPTypes
import Hummingbird
import Ingest
import Logging
import NIOCore
import Synchronization
import Telemetry

/// A route of a family.
struct Route: Sendable {
    var methods: [HTTPRequest.Method]
    /// Path with `{name}` places.
    var path: String
    var shape: ErrorShape
    /// Most bytes of body, before decompression.
    var bodyLimit: Int
    /// Whether the answer depends on the tenant.
    var needsTenant = true
    /// Whether one request may ask for several tenants, `a|b`; the request's tenant has that name then.
    var takesTenants = false
    var handler: @Sendable (APIRequest) async throws -> APIResponse
    /// Takes the body while it arrives, whatever its length; then `handler` is not called.
    var streamHandler: (@Sendable (APIRequest, BodyPieces) async throws -> APIResponse)?

    /// A route whose requests are taken while they arrive.
    init(
        streamed methods: [HTTPRequest.Method], _ path: String, _ shape: ErrorShape,
        _ handler: @escaping @Sendable (APIRequest, BodyPieces) async throws -> APIResponse
    ) {
        self.init(methods, path, shape, bodyLimit: 0) { _ in
            throw APIError(.internal, "a streamed route was asked for a whole body")
        }
        streamHandler = handler
    }

    /// The same route for requests of several tenants too.
    func ofSeveralTenants() -> Route {
        var route = self
        route.takesTenants = true
        return route
    }

    /// A route that answers whoever asks, the same.
    static func open(
        _ methods: [HTTPRequest.Method], _ path: String,
        _ handler: @escaping @Sendable (APIRequest) async throws -> APIResponse
    ) -> Route {
        var route = Route(methods, path, .plain, handler)
        route.needsTenant = false
        return route
    }

    init(
        _ methods: [HTTPRequest.Method], _ path: String, _ shape: ErrorShape,
        bodyLimit: Int = Route.smallBody,
        _ handler: @escaping @Sendable (APIRequest) async throws -> APIResponse
    ) {
        self.methods = methods
        self.path = path
        self.shape = shape
        self.bodyLimit = bodyLimit
        self.handler = handler
    }

    /// Body limit of everything that is not ingest: queries in forms.
    static let smallBody = 10 << 20
}

/// Prefixes under which all families answer too, for clients that join a base path.
let familyPrefixes: Set<String> = [
    "prometheus", "loki", "tempo", "jaeger", "zipkin", "elasticsearch",
]

/// What travels with a request beside its bytes.
struct EndpointContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// Family prefix that was taken off the path, or empty.
    var prefix = ""
    /// Address of the client, or of the proxy before it.
    let peer: String

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        peer = source.channel.remoteAddress?.ipAddress ?? ""
    }
}

/// Turns requests into answers: prefix, tenant, body, route, error shape, CORS, counters.
final class HTTPEndpoint: HTTPResponder {
    typealias Context = EndpointContext

    struct Options: Sendable {
        var tenancy: Tenancy = .off
        /// Origins whose scripts may read answers.
        var crossOrigin = CrossOrigin()
        /// Seconds a client may take to send one request body.
        var bodySeconds: Double = 60
        /// Bytes that the bodies of all requests together may hold, before decompression.
        var bodyBytes = 256 << 20
    }

    /// What is served now.
    private struct Table: Sendable {
        let router: any HTTPResponder<EndpointContext>
        /// What any other path is told; 404 when nil.
        let otherwise: (@Sendable () -> APIError)?
        let paths: RoutePaths
        var sockets: [SocketRoute] = []
    }
    private let table: Mutex<Table>
    private let grpc = Mutex<ListenAddress?>(nil)
    private let options: Options
    private let observer: any RequestObserver
    private let bodies: ByteAllowance

    /// An endpoint that serves nothing yet.
    init(options: Options, observer: any RequestObserver) {
        self.options = options
        self.observer = observer
        bodies = ByteAllowance(limit: options.bodyBytes)
        table = Mutex(
            Table(
                router: Router(context: EndpointContext.self).buildResponder(), otherwise: nil,
                paths: RoutePaths([])))
    }

    /// Where connections that speak HTTP/2 are taken; nil while nobody listens there.
    var grpcAddress: ListenAddress? { grpc.withLock { $0 } }

    /// - Parameter address: of the gRPC listener, as it was bound.
    func takeHTTP2(to address: ListenAddress) {
        var address = address
        // An address for all interfaces cannot be connected to.
        if address.host == "0.0.0.0" { address.host = "127.0.0.1" }
        if address.host == "::" { address.host = "::1" }
        grpc.withLock { $0 = address }
    }

    /// Serves these routes from the next request on.
    ///
    /// - Parameter otherwise: what other paths are told, in their family's shape; nil = 404.
    func serve(
        _ routes: [Route], sockets: [SocketRoute] = [],
        otherwise: (@Sendable () -> APIError)? = nil
    ) {
        let router = Router(context: EndpointContext.self)
        for route in routes {
            for method in route.methods {
                router.on(RouterPath(route.path), method: method) {
                    [self] request, context in
                    await answer(request, context, route: route)
                }
            }
        }
        let built = Table(
            router: router.buildResponder(), otherwise: otherwise, paths: RoutePaths(routes),
            sockets: sockets)
        table.withLock { $0 = built }
    }

    func socketRoute(_ path: String) -> SocketRoute? {
        table.withLock { $0.sockets.first { $0.path == path } }
    }

    /// Tenant of a request; nil when it names none that may be.
    func tenant(of headers: HTTPFields, takesSeveral: Bool) -> Tenant? {
        try? HTTPEndpoint.tenant(of: headers, options.tenancy, takesSeveral: takesSeveral)
    }

    func respond(to request: Request, context: EndpointContext) async throws -> Response {
        var request = request
        var context = context
        let (path, prefix) = HTTPEndpoint.split(request.uri.path)
        if !prefix.isEmpty {
            context.prefix = prefix
            var head = request.head
            head.path = path + (request.uri.query.map { "?" + $0 } ?? "")
            request = Request(head: head, body: request.body)
        }
        if request.method == .options {
            return response(APIResponse(.noContent), to: request.headers, path)
        }
        let table = self.table.withLock { $0 }
        let answered = try await table.router.respond(to: request, context: context)
        // The router's own 404 is empty; every answer of ours has a type.
        guard answered.status == .notFound, answered.headers[.contentType] == nil else {
            return answered
        }
        if let error = table.otherwise?() {
            let call = APIRequest(method: request.method, path: path, headers: request.headers)
            return response(
                ErrorShape(path: path).response(error, to: call), to: request.headers, path)
        }
        let methods = table.paths.methods(of: path)
        if !methods.isEmpty {
            var refusal = APIResponse.text("Method Not Allowed\n", status: .methodNotAllowed)
            refusal.headers[.allow] = methods.joined(separator: ", ")
            refusal.headers[.xContentTypeOptions] = "nosniff"
            return response(refusal, to: request.headers, path)
        }
        // Grafana looks for this text to tell a missing API from a broken one.
        return response(
            .text("404 page not found\n", status: .notFound), to: request.headers, path)
    }

    /// Takes a family prefix off a path, unless the path is the family's own: `/loki/api/…` stays.
    static func split(_ path: String) -> (path: String, prefix: String) {
        let parts = path.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: true)
        guard let first = parts.first, familyPrefixes.contains(String(first)) else {
            return (path, "")
        }
        let rest = String(path.dropFirst(first.count + 1))
        if first == "loki", rest.hasPrefix("/api/v1/") || rest.hasPrefix("/api/prom/") {
            // `/loki/api/v1/push` is Loki's own path, `/loki/loki/api/v1/push` the prefixed one.
            return (path, "")
        }
        return (rest.isEmpty ? "/" : rest, String(first))
    }

    private func response(
        _ answer: APIResponse, to request: HTTPFields, _ path: String
    ) -> Response {
        var answer = answer
        options.crossOrigin.apply(to: &answer, request, path)
        guard let stream = answer.stream else {
            return Response(
                status: answer.status, headers: answer.headers,
                body: .init(byteBuffer: ByteBuffer(bytes: answer.body)))
        }
        return Response(
            status: answer.status, headers: answer.headers,
            body: ResponseBody { writer in
                defer { stream.end() }
                while let bytes = try await stream.next() {
                    try await writer.write(ByteBuffer(bytes: bytes))
                }
                try await writer.finish(nil)
            })
    }

    private func answer(
        _ request: Request, _ context: EndpointContext, route: Route
    ) async -> Response {
        let share = ByteAllowance.Share(of: bodies)
        defer { share.giveBack() }
        var call = APIRequest(
            method: request.method, path: request.uri.path, headers: request.headers)
        call.prefix = context.prefix
        let start = observer.now()
        let pieces = BodyPieces(body: request.body)
        var answer: APIResponse
        do {
            for (name, value) in context.parameters {
                call.pathParameters[String(name)] = percentDecoded(value.utf8)
            }
            if route.needsTenant {
                call.tenant = try HTTPEndpoint.tenant(
                    of: request.headers, options.tenancy, takesSeveral: route.takesTenants)
            }
            call.parameters = decodeForm(request.uri.query ?? "")
            if let streamHandler = route.streamHandler {
                answer = try await streamHandler(call, pieces)
            } else {
                call.body = try await body(of: request, route, share)
                answer = try await self.answer(&call, context, route)
            }
        } catch let error as APIError {
            answer = route.shape.response(error, to: call)
        } catch is CancellationError {
            answer = route.shape.response(APIError(.cancelled, "request was canceled"), to: call)
        } catch {
            observer.logger.error(
                "request failed", metadata: ["path": "\(route.path)", "error": "\(error)"])
            answer = route.shape.response(APIError(.internal, "\(error)"), to: call)
        }
        observer.finished(
            route: route.path, method: request.method.rawValue, status: answer.status.code,
            startNanos: start, bodyCount: max(call.body.count, pieces.count.value), request: call)
        answer.compress(for: request.headers)
        return response(answer, to: request.headers, route.path)
    }

    /// Answers a request that is here whole.
    private func answer(
        _ call: inout APIRequest, _ context: EndpointContext, _ route: Route
    ) async throws -> APIResponse {
        if call.mediaType == "application/x-www-form-urlencoded" {
            call.parameters =
                decodeForm(String(decoding: call.body, as: UTF8.self))
                + call.parameters
        }
        if let query = QueryDescription(call) {
            return try await QueryDescription.$current.withValue(query) {
                try await route.handler(call)
            }
        } else if call.method == .post || call.method == .put {
            let sender = MetricSender(
                via: route.path, address: context.peer, agent: call.headers[.userAgent] ?? "")
            return try await MetricSender.$current.withValue(sender) {
                try await route.handler(call)
            }
        } else {
            return try await route.handler(call)
        }
    }

    /// Collects the body within its limit of size and its share of memory; the connection's guard
    /// keeps the time.
    private func body(
        of request: Request, _ route: Route, _ share: ByteAllowance.Share
    ) async throws -> [UInt8] {
        let limit = route.bodyLimit
        let declared = request.headers[.contentLength].flatMap { Int($0) }
        if let declared, declared > limit {
            throw APIError(
                .tooLarge, "request body of \(declared) bytes exceeds the limit of \(limit) bytes")
        }
        if declared == nil, request.headers[.transferEncoding] == nil { return [] }
        var bytes: [UInt8] = []
        for try await buffer in request.body {
            guard bytes.count + buffer.readableBytes <= limit else {
                throw APIError(.tooLarge, "request body exceeds the limit of \(limit) bytes")
            }
            guard share.take(buffer.readableBytes) else {
                throw APIError(
                    route.shape.overload,
                    "too many request bodies in memory at once: retry later", retryAfterSeconds: 1)
            }
            buffer.withUnsafeReadableBytes { bytes.append(contentsOf: $0) }
        }
        if ConnectionWatch.current?.isLate == true {
            throw APIError(
                .requestTimeout,
                "request body was not received within \(options.bodySeconds) seconds")
        }
        return bytes
    }

    /// Most tenants of one request.
    private static let mostTenants = 100

    private static func tenant(
        of headers: HTTPFields, _ tenancy: Tenancy, takesSeveral: Bool = false
    ) throws -> Tenant {
        guard tenancy == .header else { return .anonymous }
        guard let name = headers[.scopeOrgID], !name.isEmpty else {
            throw APIError(.unauthorized, "no org id")
        }
        let names = Set(name.split(separator: "|", omittingEmptySubsequences: false)).sorted()
        for name in names where !Tenant(String(name)).isValid {
            throw APIError(.badData, "tenant \"\(name)\" has characters that are not allowed")
        }
        guard names.count == 1 || takesSeveral else {
            throw APIError(.badData, "multiple org IDs present")
        }
        guard names.count <= mostTenants else {
            throw APIError(.badData, "more than \(mostTenants) tenants")
        }
        return Tenant(names.joined(separator: "|"))
    }
}

/// Whether requests choose their tenant.
package enum Tenancy: String, Sendable {
    case off, header
}

extension HTTPField.Name {
    static let scopeOrgID = HTTPField.Name("X-Scope-OrgID").unsafelyUnwrapped
}
