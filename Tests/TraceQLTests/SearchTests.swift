// SPDX-License-Identifier: Apache-2.0
// What searches find.

import Telemetry
import Testing
import TestKit
@testable import TraceQL

@Suite struct SearchTests {
    /// Three traces. 1: checkout with a failing payment; 2: a quick browse; 3: its root is missing.
    private func shop() -> InMemorySpans {
        var spans = InMemorySpans()
        func add(
            _ trace: UInt64, _ id: UInt64, parent: UInt64 = 0, _ service: String, _ name: String,
            start: Int64, duration: Int64, kind: UInt8 = 1, status: UInt8 = 0,
            _ attributes: [(String, AttributeValue)] = [], events: [String] = []
        ) {
            var span = InMemorySpans.Span(trace: trace, id: id)
            span.parent = parent
            span.service = service
            span.name = name
            span.start = start
            span.duration = duration
            span.kind = kind
            span.status = status
            span.attributes = attributes
            span.events = events
            spans.add(span)
        }
        let second: Int64 = 1_000_000_000
        add(1, 1, "front", "POST /checkout", start: 10 * second, duration: 3 * second, kind: 2)
        add(
            1, 2, parent: 1, "cart", "load cart", start: 10 * second + 1, duration: second,
            [("items", .int(3)), ("vip", .bool(true))])
        add(
            1, 3, parent: 1, "payment", "charge", start: 11 * second, duration: 2 * second, kind: 3,
            status: 2,
            [("http.status", .int(503)), ("tags", .array([.string("a"), .string("b")]))],
            events: ["retry"])
        add(
            1, 4, parent: 3, "bank", "transfer", start: 11 * second + 1, duration: second, kind: 2,
            status: 2, [("http.status", .double(504))])
        add(2, 1, "front", "GET /", start: 20 * second, duration: 50_000_000, kind: 2)
        add(
            2, 2, parent: 1, "catalog", "list", start: 20 * second + 1, duration: 40_000_000,
            [("items", .int(30)), ("http.status", .int(200))])
        add(
            3, 9, parent: 7, "catalog", "list", start: 30 * second, duration: second,
            [("items", .int(5))])
        return spans
    }

    private func find(
        _ query: String, limit: Int = 20, range: NanosRange = .all
    ) throws -> [TraceSearchResult] {
        let engine = TraceQLEngine(reader: shop())
        return try engine.search(
            TraceSearch(
                try TraceQLParser.parse(query), tenant: .anonymous, range: range, limit: limit,
                spansPerSpanset: 10), ReadContext())
    }

    /// `trace:span,span trace:span`, newest trace first.
    private func answer(_ query: String) throws -> String {
        try find(query).map { result in
            let sets = result.spansets.map { set in
                set.spans.map { "\($0.spanID.rawValue)" }.joined(separator: ",")
            }
            return "\(result.traceID.low):" + sets.joined(separator: ";")
        }.joined(separator: " ")
    }

    static let cases: [(query: String, answer: String)] = [
        ("{}", "3:9 2:1,2 1:1,2,3,4"),
        (#"{ name = "charge" }"#, "1:3"),
        (#"{ resource.service.name = "front" }"#, "2:1 1:1"),
        (#"{ .service.name =~ "ca.*" }"#, "3:9 2:2 1:2"),
        (#"{ span.service.name = "front" }"#, ""),
        ("{ .http.status >= 500 }", "1:3,4"),
        ("{ .http.status != 200 }", "1:3,4"),
        ("{ .http.status = nil }", "3:9 2:1 1:1,2"),
        ("{ .http.status != nil }", "2:2 1:3,4"),
        ("{ .vip }", "1:2"),
        ("{ !.vip }", ""),
        ("{ status = error && kind = client }", "1:3"),
        ("{ duration > 1s }", "1:1,3"),
        ("{ .items * 2 > 8 }", "3:9 2:2"),
        ("{ .items + 1 = 4 || .items = 30 }", "2:2 1:2"),
        (#"{ .tags = "b" }"#, "1:3"),
        (#"{ .tags != "b" }"#, ""),
        (#"{ .tags != "c" }"#, "1:3"),
        (#"{ event:name = "retry" }"#, "1:3"),
        ("{ trace:id = \"1\" && span:id = \"2\" }", "1:2"),
        (#"{ rootServiceName = "front" && .items > 1 }"#, "2:2 1:2"),
        ("{ traceDuration < 1s }", "2:1,2"),
        ("{ span:childCount = 2 }", "1:1"),
        ("{ nestedSetParent = -1 }", "2:1 1:1"),
        ("{ nestedSetParent < 0 }", "2:1 1:1"),
        ("{ nestedSetParent = 0 }", "3:9"),
        ("{ nestedSetParent >= 0 }", "3:9 2:2 1:2,3,4"),
        ("{ status = error } && { .items = 3 }", "1:2,3,4"),
        ("{ status = error } && { .items = 30 }", ""),
        ("{ .items = 3 } || { .items = 30 }", "2:2 1:2"),
        ("{ kind = server } > { kind = client }", "1:3"),
        ("{ kind = client } < { kind = server }", "1:1"),
        (#"{ name = "POST /checkout" } >> { status = error }"#, "1:3,4"),
        (#"{ name = "transfer" } << { kind = server }"#, "1:1"),
        (#"{ name = "charge" } ~ { name = "load cart" }"#, "1:2"),
        ("{ kind = client } !> { status = error }", "1:3"),
        ("{ kind = server } &> { kind = client }", "1:1,3"),
        ("{ status = error } | count() > 1", "1:3,4"),
        ("{ .items > 0 } | max(.items) < 10", "3:9 1:2"),
        ("{ } | avg(duration) < 100ms", "2:1,2"),
        ("{ } | by(status)", "3:9 2:1,2 1:1,2;3,4"),
        ("{ } | by(status) | count() = 2", "2:1,2 1:1,2;3,4"),
        ("{ } | by(status) | coalesce()", "3:9 2:1,2 1:1,2,3,4"),
        ("{ status = error } | { kind = client }", "1:3"),
        ("({ status = error } | count() > 1) && { kind = internal }", "1:2,3,4"),
        ("{ } | count() + 1 > 3", "1:1,2,3,4"),
        ("{ } | 2 < count() / 2 + 1", "1:1,2,3,4"),
        ("{ } | max(duration) > 2.5 * min(duration)", "1:1,2,3,4"),
        ("{ } | max(duration) - min(duration) = 10ms", "2:1,2"),
        ("{ } | avg(.items) = max(.items)", "3:9 2:1,2 1:1,2,3,4"),
        ("{ } | (count() + 1) * 2 = 6", "2:1,2"),
        ("{ } | -1 > count()", ""),
        ("{ } | count() / 0 > 1", ""),
        ("({ status = error } | count()) > ({ kind = client } | count())", "1:3,4"),
        ("({ status = error } | count()) >= ({ .items > 0 } | count()) * 2", "1:2,3,4"),
        ("({ .items > 0 } | count()) > ({ status = error } | count())", "3:9 2:2"),
        ("({ .items > 0 } | avg(.items)) + ({ } | count()) = 32", "2:1,2"),
        ("({ .none = 1 } | count()) = 0", ""),
        ("({ } | by(status) | coalesce() | count()) = 4", "1:1,2,3,4"),
        ("{ } | by(status) | count() + 0 = 2", "2:1,2 1:1,2;3,4"),
        ("select(.items) | { .items = 5 }", "3:9"),
        ("by(status) | { .items > 0 }", "3:9 2:2 1:2"),
        ("max(duration) > 1 | { name = \"charge\" }", "1:3"),
    ]

    @Test func searchesFindWhatTheyAskFor() throws {
        var problems: [String] = []
        for (query, expected) in SearchTests.cases {
            let found = try answer(query)
            if found != expected { problems.append("\(query): \(found), not \(expected)") }
        }
        for problem in problems { print("  " + problem) }
        #expect(problems.isEmpty)
    }

    @Test func whatIsNotSupportedSaysSo() throws {
        for query in [
            "{ parent.a = 1 }", "{ parent }", "{ } | select(parent.a)",
            "({ } | by(.a) | count()) > 1",
        ] {
            #expect(throws: TraceQLValidationError.self, "\(query)") { try find(query) }
            do { _ = try find(query) } catch {
                #expect("\(error)".hasSuffix("not yet supported"), "\(query): \(error)")
            }
        }
        for query in ["{ .a =~ .b }", "{ } | 3 > 2", "{ } | -1 = 1"] {
            #expect(throws: (any Error).self, "\(query)") { try TraceQLParser.parse(query) }
        }
    }

    @Test func negatedSiblingsAreThoseWithoutAPartner() throws {
        #expect(try answer(#"{ name = "charge" } !~ { kind = internal }"#) == "3:9 2:2")
    }

    @Test func resultsTellRootDurationAndServices() throws {
        let found = try find("{ status = error } | select(.http.status, kind)")
        let result = try #require(found.first)
        #expect(result.rootServiceName == "front")
        #expect(result.rootTraceName == "POST /checkout")
        #expect(result.startNanos == 10_000_000_000)
        #expect(result.durationNanos == 3_000_000_000)
        #expect(result.services["payment"] == .init(spanCount: 1, errorCount: 1))
        let set = try #require(result.spansets.first)
        #expect(set.matched == 2)
        #expect(set.spans.first?.attributes.map(\.name) == ["http.status", "kind"])
        #expect(set.spans.first?.attributes.last?.value == .string("client"))
        let orphan = try #require(try find("{ .items = 5 }").first)
        #expect(orphan.rootServiceName == TraceSearchResult.rootNotReceived)
    }

    @Test func limitKeepsTheNewest() throws {
        #expect(try find("{}", limit: 1).map(\.traceID.low) == [3])
        let early = NanosRange(first: .min, last: Nanos(15_000_000_000))
        #expect(try find("{}", range: early).map(\.traceID.low) == [1])
    }

    @Test func aggregatesAppearAsAttributes() throws {
        let set = try #require(try find("{ status = error } | count() > 1").first?.spansets.first)
        #expect(set.attributes.map(\.name) == ["count()"])
        #expect(set.attributes.first?.value == .int(2))
    }

    @Test func metricsQueriesAreRefusedHere() throws {
        #expect(throws: TraceQLValidationError.self) { try find("{} | rate()") }
    }

    @Test func incompleteQueriesStillNarrowTagValues() throws {
        let engine = TraceQLEngine(reader: shop())
        func values(_ tag: String, _ query: String) throws -> [AttributeValue] {
            let attribute = try #require(TraceQLAutocomplete.attribute(named: tag))
            return try engine.tagValues(
                attribute, where: query, tenant: .anonymous, range: .all, limit: 10, ReadContext())
        }
        #expect(
            try values("name", #"{ resource.service.name = "catalog" && name = }"#) == [
                .string("list")
            ])
        #expect(try values("name", "{ status = ").count == 6)
        #expect(try values("resource.service.name", "{ .items > 4 && ") == [.string("catalog")])
        #expect(try values(".items", "{ .items = 3 || .items = 5 }") == [.int(3), .int(5)])
        #expect(try values("status", "{").count == 3)
        let carts: [AttributeValue] = [.string("load cart")]
        for query in [
            "{ (.items = 3 || .none = 1) && name =", "{ .items = 3 && (name = ", "{ .items = 3 &&",
            "{ .items = 3 && ) }", "{ !(.items != 3 || .items = nil) && name =~ } | rate()",
            "{ name = && .items + 1 = 4 && 2 > }", "{ .items = 3 && name = \"load",
            "{ .items = 3 && nestedSetLeft > 0 && name = }", "{ .items = 3 && 1 = \"x\" }",
            "{ .items = 3 && span.",
        ] { #expect(try values("name", query) == carts, "\(query)") }
        for query in [
            "{ .items = 3 || name = }", "{ .items = 3 } >> { name = }", "{ !(name = ) }", "", "}{",
            "{ ((((",
        ] {
            #expect(try values("name", query).count == 6, "\(query)")
        }
        #expect(try values("rootName", "{ .items = 3 }") == [])
    }

    @Test func ringsOfParentsDoNotHang() throws {
        var spans = InMemorySpans()
        for id in 1...3 as ClosedRange<UInt64> {
            var span = InMemorySpans.Span(trace: 1, id: id)
            span.parent = id % 3 + 1
            spans.add(span)
        }
        let engine = TraceQLEngine(reader: spans)
        let search = TraceSearch(
            try TraceQLParser.parse("{} >> {}"), tenant: .anonymous, range: .all)
        #expect(try engine.search(search, ReadContext()).count == 1)
    }
}
