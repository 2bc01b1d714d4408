// SPDX-License-Identifier: Apache-2.0
// Conditions, ranges and completion against a naive reading of the spans.

import Base
import Storage
import Telemetry
import Testing
import TraceStore

/// What a condition asks, evaluated on a plain span the slow way. Nil = this model cannot say.
private func naive(_ condition: SpanCondition, _ span: PlainSpan) throws -> Bool? {
    func decided(_ value: AttributeValue) -> Bool {
        switch (value, condition.value) {
        case (.string(let a), .string(let b)): compare(Array(a.utf8), Array(b.utf8))
        case (.int(let a), .int(let b)): compare(a, b)
        case (.int(let a), .double(let b)): compare(Double(a), b)
        case (.double(let a), .int(let b)): compare(a, Double(b))
        case (.double(let a), .double(let b)): compare(a, b)
        case (.bool(let a), .bool(let b)): a == b && condition.operation == .equal
        default: condition.operation == .exists
        }
    }
    func compare<T: Comparable>(_ a: T, _ b: T) -> Bool {
        switch condition.operation {
        case .equal: a == b
        case .notEqual: a != b
        case .less: a < b
        case .lessOrEqual: a <= b
        case .greater: a > b
        case .greaterOrEqual: a >= b
        case .exists: true
        case .matches, .notMatches: false
        }
    }
    func compare(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        compare(String(decoding: a, as: UTF8.self), String(decoding: b, as: UTF8.self))
    }
    func anyValue(_ list: [UInt8], _ key: String) throws -> Bool {
        try list.withUnsafeBytes { try AttributeCoding.decodeList($0) }
            .contains { $0.key == key && decided($0.value) }
    }
    switch condition.subject {
    case .intrinsic(.name): return decided(.string(String(decoding: span.name, as: UTF8.self)))
    case .intrinsic(.duration): return decided(.int(span.end - span.start))
    case .intrinsic(.kind): return decided(.int(Int64(span.kind)))
    case .intrinsic(.status): return decided(.int(Int64(span.status)))
    case .intrinsic(.statusMessage):
        return decided(.string(String(decoding: span.texts[0], as: UTF8.self)))
    case .intrinsic(.spanID): return decided(.string(span.spanID.description))
    case .intrinsic(.traceID): return decided(.string(span.traceID.description))
    case .attribute(.span, let key): return try anyValue(span.texts[2], key)
    case .attribute(.resource, let key): return try anyValue(span.resource[0], key)
    case .attribute(.instrumentation, let key): return try anyValue(span.scope[2], key)
    case .attribute(.any, let key):
        return try anyValue(span.texts[2], key) || anyValue(span.resource[0], key)
    default: return nil
    }
}

let searchConditions: [SpanCondition] = [
    SpanCondition(.intrinsic(.name), .equal, .string("SELECT")),
    SpanCondition(.intrinsic(.name), .notEqual, .string("SELECT")),
    SpanCondition(.intrinsic(.name), .equal, .string("nowhere")),
    SpanCondition(.intrinsic(.duration), .greater, .int(1_500_000_000)),
    SpanCondition(.intrinsic(.duration), .less, .int(0)),
    SpanCondition(.intrinsic(.duration), .greater, .int(9_000_000_000)),
    SpanCondition(.intrinsic(.kind), .equal, .int(3)),
    SpanCondition(.intrinsic(.status), .equal, .int(2)),
    SpanCondition(.intrinsic(.statusMessage), .equal, .string("broken 1")),
    SpanCondition(.intrinsic(.spanID), .equal, .string("0000000000000007")),
    SpanCondition(.intrinsic(.traceID), .equal, .string(TraceID(high: 7, low: 0).description)),
    SpanCondition(.attribute(.span, "http.route"), .equal, .string("/cart")),
    SpanCondition(.attribute(.span, "http.route"), .exists, .bool(true)),
    SpanCondition(.attribute(.span, "missing"), .exists, .bool(true)),
    SpanCondition(.attribute(.span, "user.id"), .greaterOrEqual, .int(400)),
    SpanCondition(.attribute(.span, "user.id"), .less, .double(-2.5)),
    SpanCondition(.attribute(.span, "user.id"), .greater, .int(5000)),
    SpanCondition(.attribute(.span, "ratio"), .greater, .double(2.5)),
    SpanCondition(.attribute(.span, "retry"), .equal, .bool(true)),
    SpanCondition(.attribute(.any, "service.name"), .equal, .string("pay")),
    SpanCondition(.attribute(.any, "http.route"), .equal, .string("GET")),
    SpanCondition(.attribute(.resource, "service.version"), .equal, .string("v1")),
    SpanCondition(.attribute(.resource, "service.name"), .equal, .string("nobody")),
    SpanCondition(.attribute(.instrumentation, "ratio"), .exists, .bool(true)),
]

@Suite struct SearchTests {
    private func model(seed: UInt64) throws -> StoreModel {
        var generator = SpanGenerator(seed: seed)
        generator.spanIDs = 100_000
        var model = StoreModel()
        for _ in 0..<3 { _ = model.append(generator.batch(rows: 800)) }
        try model.seal()
        _ = model.append(generator.batch(rows: 200))
        return model
    }

    /// A search may return too much, never too little; here it is nearly exact.
    @Test func noMatchingSpanIsMissed() throws {
        let model = try model(seed: 3)
        var faults: [String] = []
        var random = Seeded(9)
        func check(_ chosen: [SpanCondition], matchAll: Bool) throws {
            let wanted = try model.spans.values.filter { span in
                let hits = try chosen.map { try naive($0, span) ?? true }
                return matchAll ? hits.allSatisfy { $0 } : hits.contains(true)
            }
            let found = Set(try model.search(chosen, matchAll: matchAll))
            if !found.isSuperset(of: wanted) {
                faults.append("\(chosen) all \(matchAll): \(found.count) of \(wanted.count)")
            }
        }
        for condition in searchConditions { try check([condition], matchAll: true) }
        for _ in 0..<30 {
            let chosen = (0..<2).map { _ in searchConditions[random.below(searchConditions.count)] }
            try check(chosen, matchAll: random.chance(50))
        }
        #expect(faults == [])
    }

    /// Conditions that the store decides alone leave nothing for the engine to throw away.
    @Test func plainConditionsAreExact() throws {
        let model = try model(seed: 4)
        for condition in searchConditions where condition.operation == .equal {
            let wanted = try model.spans.values.filter { try naive(condition, $0) == true }
            let found = try model.search([condition])
            // Values that are arrays, maps or empty are not decided by the store.
            let surplus = try found.filter { try naive(condition, $0) == false }
            let undecided = surplus.filter { span in
                if case .attribute = condition.subject { return true }
                _ = span
                return false
            }
            #expect(found.count - undecided.count == wanted.count, "\(condition)")
        }
    }

    @Test func regularExpressionsSelectAtLeastTheirMatches() throws {
        let model = try model(seed: 5)
        let found = try model.search([
            SpanCondition(.intrinsic(.name), .matches, .string("GET.*"))
        ])
        let wanted = model.spans.values.filter { $0.name.starts(with: Array("GET".utf8)) }
        #expect(!wanted.isEmpty)
        #expect(Set(found) == Set(wanted))
        // A pattern that does not compile is the engine's to refuse.
        #expect(
            try model.search([SpanCondition(.intrinsic(.name), .matches, .string("("))]).count
                == model.spans.count)
    }

    @Test func rangesIncludeBothEnds() throws {
        let model = try model(seed: 6)
        let starts = model.spans.values.map(\.start).sorted()
        let first = starts[starts.count / 3], last = starts[starts.count / 2]
        let found = try model.search(range: NanosRange(first: Nanos(first), last: Nanos(last)))
        #expect(found.count == starts.count { first <= $0 && $0 <= last })
    }

    @Test func newestBlocksComeFirstAndReadingStopsOnDemand() throws {
        var model = StoreModel()
        for day in 0..<3 {
            var generator = SpanGenerator(seed: UInt64(day))
            generator.firstNanos += nanosPerDay * Int64(day)
            _ = model.append(generator.batch(rows: 20))
            try model.seal()
        }
        var days: [Int32] = []
        let request = SpanRequest(tenant: model.tenant, range: .all)
        try model.store.search(request, ReadContext()) { batch in
            days.append(utcDay(ofNanos: batch.startNanos[0]))
            return days.count < 2
        }
        #expect(days.count == 2)
        #expect(days == days.sorted(by: >))
    }

    @Test func cancelledSearchesEnd() throws {
        let model = try model(seed: 7)
        let context = ReadContext()
        context.cancel()
        #expect(throws: QueryInterruption.cancelled) {
            try model.store.search(SpanRequest(tenant: model.tenant, range: .all), context) { _ in
                true
            }
        }
    }

    @Test func tagNamesAreThoseOfTheSpans() throws {
        let model = try model(seed: 8)
        let names = try model.store.tagNames(model.tenant, range: .all, ReadContext())
        let spanKeys = try model.spans.values.reduce(into: Set<String>()) { keys, span in
            let list = try span.texts[2].withUnsafeBytes { try AttributeCoding.decodeList($0) }
            keys.formUnion(list.map(\.key))
        }
        #expect(names[.span] == spanKeys.sorted())
        #expect(names[.resource] == ["service.name", "service.version"])
        #expect(names[.event]?.isEmpty == false)
        #expect(try model.store.tagNames(Tenant("b"), range: .all, ReadContext()).isEmpty)
    }

    @Test func tagValuesComeFromTheIndexOrFromTheSpans() throws {
        let model = try model(seed: 9)
        func values(
            _ subject: SpanCondition.Subject, _ conditions: [SpanCondition] = [], limit: Int = 1000
        ) throws -> [AttributeValue] {
            try model.store.tagValues(
                subject,
                SpanRequest(tenant: model.tenant, range: .all, conditions: conditions),
                limit: limit, ReadContext())
        }
        let services: [AttributeValue] = ["", "cart", "front", "pay"].map { .string($0) }
        #expect(try values(.attribute(.resource, "service.name")) == services)
        #expect(try values(.attribute(.any, "service.name")) == services)
        #expect(try values(.attribute(.any, "service.name"), limit: 2).count == 2)
        let names: [AttributeValue] = ["GET /", "SELECT", "publish", "x"].map { .string($0) }
        #expect(try values(.intrinsic(.name)) == names)
        #expect(try values(.intrinsic(.status)) == [.int(0), .int(1), .int(2)])
        #expect(try values(.intrinsic(.eventName)) == [.string("exception")])
        let inCart = [
            SpanCondition(.attribute(.resource, "service.name"), .equal, .string("cart"))
        ]
        #expect(try values(.attribute(.resource, "service.name"), inCart) == [.string("cart")])
        #expect(try values(.attribute(.span, "nothing")).isEmpty)
    }

    @Test func manyDistinctValuesAreAllFound() throws {
        var model = StoreModel()
        var batch = SpanBatch()
        batch.resources = [SpanBatch.Resource()]
        batch.scopes = [SpanBatch.Scope()]
        for i in 0..<2000 {
            var writer = ByteWriter()
            AttributeCoding.encode("user", .string("u\(i)"), into: &writer)
            var row = SpanRow()
            row.traceID = TraceID(high: 1, low: UInt64(i + 1))
            row.spanID = SpanID(1)
            row.attributes = batch.arena.keep(writer)
            batch.add(row)
        }
        _ = model.append(batch)
        try model.seal()
        let request = SpanRequest(tenant: model.tenant, range: .all)
        let values = try model.store.tagValues(
            .attribute(.span, "user"), request, limit: 5000, ReadContext())
        #expect(values.count == 2000)
        let user = SpanCondition(.attribute(.span, "user"), .equal, .string("u1234"))
        #expect(try model.search([user]).map(\.traceID.low) == [1235])
    }

    /// Numbers that are too many to be listed: each is found, also beside doubles, strings and lists
    /// under the same key, and before and after merges; others mostly cost no column.
    @Test(arguments: [1, 100_000]) func manyNumbersAreAllFound(spacing: Int64) throws {
        var model = StoreModel()
        let numbers = (0..<1500).map { (Int64($0) - 700) * spacing }
        for part in 0..<2 {
            var batch = SpanBatch()
            batch.resources = [SpanBatch.Resource()]
            batch.scopes = [SpanBatch.Scope()]
            for (i, number) in numbers.enumerated() {
                let value: AttributeValue =
                    switch i % 50 {
                    case 7: .double(Double(number))
                    case 8: .string("\(number)")
                    case 9: .array([.int(number)])
                    default: .int(number)
                    }
                var writer = ByteWriter()
                AttributeCoding.encode("session", value, into: &writer)
                var row = SpanRow()
                row.traceID = TraceID(high: UInt64(part + 1), low: UInt64(i + 1))
                row.spanID = SpanID(1)
                row.attributes = batch.arena.keep(writer)
                batch.add(row)
            }
            _ = model.append(batch)
            try model.seal()
        }
        for round in 0..<2 {
            for (i, number) in numbers.enumerated() where i % 131 == 0 || i % 250 == 7 {
                let session = SpanCondition(.attribute(.span, "session"), .equal, .int(number))
                let found = try model.search([session])
                #expect(i % 50 == 8 || found.count { $0.traceID.low == UInt64(i + 1) } == 2)
                let any = SpanCondition(.attribute(.any, "session"), .equal, .int(number))
                let more = try model.search([any, session], matchAll: false)
                #expect(Set(more).isSuperset(of: found), "round \(round)")
            }
            try model.merge()
        }
    }

    /// A search for a number that no row has reads the filters of blocks, not their columns.
    @Test func filtersOfNumbersSpareColumns() throws {
        var model = StoreModel()
        var batch = SpanBatch()
        batch.resources = [SpanBatch.Resource()]
        batch.scopes = [SpanBatch.Scope()]
        for i in 0..<2000 {
            var writer = ByteWriter()
            AttributeCoding.encode("session", .int(Int64(i) * 1000), into: &writer)
            var row = SpanRow()
            row.traceID = TraceID(high: 1, low: UInt64(i + 1))
            row.spanID = SpanID(1)
            row.attributes = batch.arena.keep(writer)
            batch.add(row)
        }
        _ = model.append(batch)
        try model.seal()
        func bytesRead(_ number: Int64) throws -> Int {
            let context = ReadContext()
            let session = SpanCondition(.attribute(.span, "session"), .equal, .int(number))
            let request = SpanRequest(
                tenant: model.tenant, range: .all, conditions: [session])
            try model.store.search(request, context) { _ in true }
            return context.bytesRead
        }
        let spared = try (0..<400).count { try bytesRead(Int64($0) * 1000 + 7) == 0 }
        #expect(spared > 380)
        #expect(try bytesRead(777_000) > 0)
    }
}
