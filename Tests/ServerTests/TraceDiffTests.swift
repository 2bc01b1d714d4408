// SPDX-License-Identifier: Apache-2.0
// Differences of two traces.

import Base
import Telemetry
import TestKit
import Testing

@testable import Server

@Suite struct TraceDiffTests {
    private static let slow = "1bf7651916cd43dd8448eb211c80319d"

    /// The order of `ShopTraces`, later: `charge` takes twice as long and has another peer and one
    /// attribute more, `debit` is gone and a retry of it under another name came.
    private func slowOrder(_ start: Int64) -> [StoredSpan] {
        let milli: Int64 = 1_000_000
        return [
            StoredSpan(
                service: "shop", name: "POST /order", trace: Self.slow, id: "a7ad6b7169203331",
                start: start, length: 110 * milli,
                attributes: [
                    ("http.status_code", "intValue", "\"200\""),
                    ("region", "stringValue", "\"eu\""), ("cached", "boolValue", "false"),
                ]),
            StoredSpan(
                service: "shop", name: "charge", trace: Self.slow, id: "a7ad6b7169203332",
                parent: "a7ad6b7169203331", kind: 3, start: start + 10 * milli,
                length: 120 * milli,
                attributes: [
                    ("peer.service", "stringValue", "\"bank\""),
                    ("attempt", "intValue", "\"2\""),
                ]),
            StoredSpan(
                service: "bank", name: "refund", trace: Self.slow, id: "a7ad6b7169203333",
                parent: "a7ad6b7169203332", start: start + 20 * milli, length: 40 * milli),
        ]
    }

    private func diff(_ server: TestServer, _ body: String) async throws -> (Int, String) {
        let reply = try await server.post(
            "/api/v2/traces/diff", "application/json", Array(body.utf8))
        return (reply.status, reply.text)
    }

    @Test func twoTracesAreComparedSpanBySpan() async throws {
        try await withTraces { server, now in
            let spans = slowOrder(now - 10_000_000_000).map(\.json).joined(separator: ",")
            let stored = try await server.post(
                "/v1/traces", "application/json", Array(#"{"resourceSpans":[\#(spans)]}"#.utf8))
            #expect(stored.status == 200)
            let seconds = now / 1_000_000_000
            let base = #"{"traceId":"\#(ShopTraces.order)","start":\#(seconds - 60)}"#
            let compare = #"{"traceID":"\#(Self.slow)","end":"\#(seconds + 60)"}"#
            let (status, text) = try await diff(
                server, #"{"base":\#(base),"compare":\#(compare)}"#)
            #expect(status == 200, "\(text)")
            let answer = try JSONValue(parsing: Array(text.utf8))
            #expect(answer["version"].text == "trace-patch-v0")
            #expect(answer["base"]["traceId"].text == ShopTraces.order)
            #expect(answer["compare"]["spanCount"].int == 3)
            let expected: [(String, String)] = [
                ("spanCountA", "3"), ("spanCountB", "3"), ("matchedSpans", "2"),
                ("modifiedSpans", "2"), ("addedSpans", "1"), ("removedSpans", "1"),
                // Of the order: its status; of charge: its duration.
                ("fieldChanges", "2"),
                // Of the order: the code and the load; of charge: the attempt.
                ("attributeChanges", "3"), ("eventChanges", "1"), ("truncated", "false"),
            ]
            for (name, value) in expected {
                #expect(answer["stats"][name].text == value, "\(name)")
            }
            for part in Self.expectedParts { #expect(text.contains(part), "\(part) in \(text)") }
            #expect(answer["removed"][0]["span"]["name"].text == "debit")
            #expect(answer["warnings"].items.isEmpty)
        }
    }

    private static let expectedParts = [
        #"{"span":{"path":[0],"service":"shop","name":"POST /order","kind":"server"},"changes":["#,
        #"{"op":"modify","target":{"type":"field","name":"status"},"before":"error","after":"unset"}"#,
        #"{"op":"modify","target":{"type":"attribute","scope":"span","key":"http.status_code"},"before":500,"after":200}"#,
        #"{"op":"remove","target":{"type":"attribute","scope":"span","key":"load"},"before":0.5,"after":null}"#,
        #"{"span":{"path":[0,0],"service":"shop","name":"charge","kind":"client"},"changes":["#,
        #"{"op":"modify","target":{"type":"field","name":"duration_nanos"},"before":60000000,"after":120000000}"#,
        #"{"op":"add","target":{"type":"attribute","scope":"span","key":"attempt"},"before":null,"after":2}"#,
        #""added":[{"target":{"type":"span","path":[0,0,0],"parentPath":[0,0],"index":0},"span":{"#,
        #""name":"refund","kind":"server","duration_nanos":40000000,"status":"unset"}}]"#,
    ]

    @Test func aTraceDoesNotDifferFromItself() async throws {
        try await withTraces { server, _ in
            let (status, text) = try await diff(
                server,
                #"{"base":{"traceId":"\#(ShopTraces.order)"},"compare":{"traceId":"\#(ShopTraces.order)"},"format":"trace-patch-v0"}"#
            )
            #expect(status == 200 && text.contains(#""modified":[],"added":[],"removed":[]"#))
            #expect(text.contains(#""matchedSpans":3,"modifiedSpans":0"#), "\(text)")
        }
    }

    @Test func whatCannotBeComparedIsSaid() async throws {
        try await withTraces { server, _ in
            let order = #""base":{"traceId":"\#(ShopTraces.order)"}"#
            let late = #""compare":{"traceId":"\#(ShopTraces.order)","end":5}"#
            let cases: [(String, Int, String)] = [
                ("", 400, "request body"), ("[]", 400, "invalid base.traceId"),
                ("{\(order)}", 400, "invalid compare.traceId"),
                (#"{\#(order),"compare":{"traceId":"xyz"}}"#, 400, "\"xyz\""),
                (#"{\#(order),"compare":{"traceId":"ffff"}}"#, 404, "not found"),
                (#"{\#(order),"compare":{"traceId":"ff","start":"x"}}"#, 400, "compare.start"),
                (#"{\#(order),"format":"trace-summary-v0-native"}"#, 400, "is not offered"),
                ("{\(order),\(late)}", 404, "not found"),
                (String(repeating: " ", count: TraceDiffEndpoint.maxBodyBytes + 1), 413, "at most"),
            ]
            for (body, status, part) in cases {
                let (found, text) = try await diff(server, body)
                #expect(found == status && text.contains(part), "\(body.prefix(100)): \(text)")
            }
        }
    }

    /// Spans of one service, each the child of the one before or of the first.
    private func spans(_ names: [String], asChain: Bool) -> SpanBatch {
        var batch = SpanBatch()
        batch.resources.append(SpanBatch.Resource())
        batch.scopes.append(SpanBatch.Scope())
        for (index, name) in names.enumerated() {
            var row = SpanRow()
            row.traceID = TraceID(high: 0, low: 7)
            row.spanID = SpanID(UInt64(index + 1))
            let parent = index == 0 ? 0 : asChain ? index : 1
            row.parentID = SpanID(UInt64(parent))
            row.name = batch.arena.keep(name)
            row.startNanos = Int64(index)
            row.endNanos = 1_000_000
            batch.add(row)
        }
        return batch
    }

    @Test func childrenOfOneNameMatchInOrder() throws {
        let diff = try TraceDiff(
            base: spans(["a", "b", "b", "c"], asChain: false),
            compare: spans(["a", "c", "b", "b", "b"], asChain: false))
        #expect(diff.matchedSpans == 4 && diff.removed.isEmpty && diff.modified.isEmpty)
        #expect(diff.added.map { diff.compare.path($0) } == [[0, 3]])
        #expect(diff.ambiguous.map(\.name) == ["b"])
    }

    @Test func aLongChainIsCountedAndNotListedWhole() throws {
        let diff = try TraceDiff(
            base: spans(["a"], asChain: true),
            compare: spans(
                ["a"] + [String](repeating: "b", count: 20_000), asChain: true))
        #expect(diff.added.count == 20_000)
        var json = JSONWriter()
        diff.writePatch(into: &json)
        let answer = try JSONValue(parsing: json.bytes)
        #expect(answer["stats"]["truncated"] == .bool(true))
        #expect(answer["stats"]["addedSpans"].int == 20_000)
        #expect(1000..<2000 ~= answer["added"].items.count)
    }
}
