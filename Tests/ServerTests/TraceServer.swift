// SPDX-License-Identifier: Apache-2.0
// A server with traces of a small shop.

import TestKit
import Testing

@testable import Server

/// Spans as OTLP's JSON.
struct StoredSpan {
    var service: String
    var name: String
    var trace: String
    var id: String
    var parent = ""
    /// OTLP's `SpanKind`.
    var kind = 2
    var start: Int64
    var length: Int64
    /// Attributes: name, type and value as JSON.
    var attributes: [(String, String, String)] = []
    var host = ""
    var isError = false
    var events: [String] = []

    private static func attribute(_ key: String, _ type: String, _ value: String) -> String {
        #"{"key":"\#(key)","value":{"\#(type)":\#(value)}}"#
    }

    var json: String {
        var resource = [StoredSpan.attribute("service.name", "stringValue", "\"\(service)\"")]
        if !host.isEmpty {
            resource.append(StoredSpan.attribute("host.name", "stringValue", "\"\(host)\""))
        }
        let list = attributes.map { StoredSpan.attribute($0.0, $0.1, $0.2) }
        let events = events.map { #"{"timeUnixNano":"\#(start + 1000)","name":"\#($0)"}"# }
        let status = isError ? #","status":{"code":2,"message":"no funds"}"# : ""
        let span =
            #"{"traceId":"\#(trace)","spanId":"\#(id)","parentSpanId":"\#(parent)","#
            + #""name":"\#(name)","kind":\#(kind),"startTimeUnixNano":"\#(start)","#
            + #""endTimeUnixNano":"\#(start + length)","attributes":[\#(list.joined(separator: ","))],"#
            + #""events":[\#(events.joined(separator: ","))]\#(status)}"#
        return #"{"resource":{"attributes":[\#(resource.joined(separator: ","))]},"#
            + #""scopeSpans":[{"scope":{"name":"lib"},"spans":[\#(span)]}]}"#
    }
}

/// The traces of `withTraces`.
enum ShopTraces {
    static let order = "0af7651916cd43dd8448eb211c80319c"
    static let cart = "000000000000000000000000000abc12"
    /// What Grafana's recorded requests ask for.
    static let old = "00000000000000000000000000abc123"
    static let oldStart: Int64 = 1_737_000_000_000_000_000

    /// - Parameter now: nanoseconds; the newer traces begin a few seconds before.
    static func spans(now: Int64) -> [StoredSpan] {
        let start = now - 20_000_000_000
        let milli: Int64 = 1_000_000
        return [
            StoredSpan(
                service: "shop", name: "POST /order", trace: order, id: "b7ad6b7169203331",
                start: start, length: 100 * milli,
                attributes: [
                    ("http.status_code", "intValue", "\"500\""),
                    ("region", "stringValue", "\"eu\""),
                    ("cached", "boolValue", "false"), ("load", "doubleValue", "0.5"),
                ], host: "a", isError: true, events: ["picked"]),
            StoredSpan(
                service: "shop", name: "charge", trace: order, id: "b7ad6b7169203332",
                parent: "b7ad6b7169203331", kind: 3, start: start + 10 * milli,
                length: 60 * milli, attributes: [("peer.service", "stringValue", "\"bank\"")],
                host: "a"),
            // Five seconds ahead.
            StoredSpan(
                service: "bank", name: "debit", trace: order, id: "b7ad6b7169203333",
                parent: "b7ad6b7169203332", start: start + 5_000_000_000, length: 40 * milli,
                host: "b"),
            StoredSpan(
                service: "shop", name: "GET /cart", trace: cart, id: "c7ad6b7169203331",
                start: start + 1_000_000_000, length: 5 * milli, host: "a"),
            StoredSpan(
                service: "test-service", name: "test-operation", trace: old,
                id: "d7ad6b7169203331", start: oldStart, length: 2000 * milli,
                attributes: [("error", "boolValue", "true")]),
        ]
    }
}

/// Runs `body` on a server with the traces; gives it the present time in nanoseconds.
func withTraces(_ body: @Sendable (TestServer, Int64) async throws -> Void) async throws {
    // The traces of Grafana's recorded requests are old.
    try await withServer({ $0.retentionSeconds = 20 * 365 * 86_400 }) { server in
        let now = nowMillis * 1_000_000
        let text = ShopTraces.spans(now: now).map(\.json).joined(separator: ",")
        let reply = try await server.post(
            "/v1/traces", "application/json", Array(#"{"resourceSpans":[\#(text)]}"#.utf8))
        #expect(reply.status == 200 && !reply.text.contains("rejected"), "\(reply.text)")
        try await body(server, now)
    }
}

/// A text as part of a query string.
func escaped(_ text: String) -> String {
    let plain = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~".utf8)
    return text.utf8.map { byte in
        plain.contains(byte)
            ? String(UnicodeScalar(byte))
            : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
    }.joined()
}
