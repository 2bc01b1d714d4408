// SPDX-License-Identifier: Apache-2.0
// What spans of a run share: resources, scopes, names, attributes.

import Base
import Telemetry

/// Bytes that every batch of spans starts with, and where the shared texts lie in them.
struct TraceSources: Sendable {
    static let statements: [(name: String, text: String)] = [
        ("SELECT shop.products", "SELECT * FROM products WHERE id = $1"),
        ("SELECT shop.orders", "SELECT id, total, state FROM orders WHERE customer = $1 LIMIT 50"),
        ("INSERT shop.orders", "INSERT INTO orders (customer, total, state) VALUES ($1, $2, $3)"),
        ("HGET", "HGET cart ?"), ("SETEX", "SETEX session ? ?"),
    ]

    private(set) var arena: [UInt8] = []
    private(set) var resources: [SpanBatch.Resource] = []
    private(set) var scopes: [SpanBatch.Scope] = []
    private(set) var failure = ByteSlice.empty
    private var operations: [[ByteSlice]] = []
    private var calls: [ByteSlice] = []
    private var queries: [ByteSlice] = []
    private var work = ByteSlice.empty
    /// Attribute lists of roles whose attributes hardly vary.
    let fixed: [[UInt8]]

    init(timeline: Timeline) {
        fixed = Self.statements.map { statement in
            Self.list([
                ("db.query.text", .string(statement.text)), ("db.namespace", .string("shop")),
                ("server.port", .int(5432)),
            ])
        }
        for (s, service) in Shop.services.enumerated() {
            for p in 0..<Shop.pods {
                let pod = Shop.pod(s, p, seed: timeline.seed)
                var resource = SpanBatch.Resource()
                resource.attributes = keep(
                    Self.list([
                        ("service.name", .string(service.name)),
                        ("service.namespace", .string("shop")),
                        ("service.version", .string("1.\(4 + s).\(p)")),
                        ("service.instance.id", .string(pod)),
                        ("k8s.cluster.name", .string(timeline.cluster)),
                        ("k8s.namespace.name", .string("shop")), ("k8s.pod.name", .string(pod)),
                        ("host.name", .string("host-000\(p)")),
                        ("deployment.environment.name", .string("production")),
                        ("telemetry.sdk.name", .string("opentelemetry")),
                        ("telemetry.sdk.language", .string(service.language)),
                        ("telemetry.sdk.version", .string("1.32.0")),
                    ]))
                resources.append(resource)
            }
            operations.append(service.operations.map { arena.keep($0) })
            calls.append(arena.keep("call \(service.name)"))
        }
        for name in ["io.opentelemetry.http", "io.opentelemetry.db"] {
            var scope = SpanBatch.Scope()
            scope.name = arena.keep(name)
            scope.version = arena.keep("2.9.0")
            scopes.append(scope)
        }
        queries = Self.statements.map { arena.keep($0.name) }
        work = arena.keep("process")
        failure = arena.keep("upstream request failed")
    }

    private mutating func keep(_ bytes: [UInt8]) -> ByteSlice {
        bytes.withUnsafeBytes { arena.keep($0) }
    }

    private static func list(_ pairs: [(String, AttributeValue)]) -> [UInt8] {
        var writer = ByteWriter()
        for (key, value) in pairs { AttributeCoding.encode(key, value, into: &writer) }
        return writer.bytes
    }

    func name(_ node: SpanNode) -> ByteSlice {
        switch node.kind {
        case .server: operations[node.service][node.operation]
        case .client: calls[node.target]
        case .database: queries[node.operation]
        case .work: work
        }
    }
}

extension TraceShape {
    func appendAttributes(
        _ node: SpanNode, _ chance: inout Chance, to arena: inout [UInt8]
    ) -> ByteSlice {
        var writer = ByteWriter()
        let start = arena.count
        swap(&writer.bytes, &arena)
        switch node.kind {
        case .server, .client:
            writer.attribute("http.request.method", text: "GET")
            writer.attribute(
                "http.response.status_code", node.failed ? 500 + chance.below(4) : 200)
            writer.attribute("url.path", text: "/api/products")
            writer.attribute("http.response.body.size", 100 + chance.skewed(60_000))
            if node.kind == .client {
                writer.attribute("server.port", 8080)
                writer.attribute("network.protocol.version", text: "1.1")
            } else {
                writer.attribute("user_agent.original", text: "shop-client/3.1")
                writer.attribute("session.id", 1 + chance.below(50_000))
            }
        case .database:
            writer.raw(sources.fixed[node.operation])
            writer.attribute("db.response.returned_rows", chance.skewed(400))
        case .work:
            writer.attribute("thread.id", 1 + chance.below(64))
            writer.attribute("items", chance.skewed(30))
        }
        swap(&writer.bytes, &arena)
        return ByteSlice(offset: start, count: arena.count - start)
    }

    func appendException(_ node: SpanNode, to arena: inout [UInt8]) -> ByteSlice {
        var attributes = ByteWriter()
        attributes.attribute("exception.type", text: "java.net.SocketTimeoutException")
        attributes.attribute("exception.message", text: "Read timed out")
        var events = ByteWriter()
        attributes.bytes.withUnsafeBytes { list in
            StaticString("exception").withUTF8Buffer { name in
                SpanEventCoding.encode(
                    nanos: node.end, name: UnsafeRawBufferPointer(name), droppedAttributes: 0,
                    attributes: list, into: &events)
            }
        }
        return events.bytes.withUnsafeBytes { arena.keep($0) }
    }
}

extension ByteWriter {
    private mutating func key(_ key: StaticString) {
        key.withUTF8Buffer { lengthPrefixed(UnsafeRawBufferPointer($0)) }
    }

    /// Writes an attribute with a text.
    mutating func attribute(_ key: StaticString, text: StaticString) {
        self.key(key)
        u8(AttributeType.string.rawValue)
        self.key(text)
    }

    /// Writes an attribute with a whole number.
    mutating func attribute(_ key: StaticString, _ value: Int) {
        self.key(key)
        u8(AttributeType.int.rawValue)
        zigzag(Int64(value))
    }
}
