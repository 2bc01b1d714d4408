// SPDX-License-Identifier: Apache-2.0
// Deletions: rows that readers and merges leave out.

import Base
import Storage
import Telemetry
import Testing

@testable import LogStore

@Suite struct DeletionTests {
    private let all = LogRequest(
        tenant: Tenant("t"), matchers: [], range: .all, order: .oldestFirst)

    /// `app=NAME`, or `app=NAME TEXT` for lines that hold a text.
    private static let language: LogDeletionLanguage = { query in
        let words = query.split(separator: " ", maxSplits: 1).map(String.init)
        guard let name = words.first?.split(separator: "=").last else { throw Refused() }
        let matchers = [LabelMatcher(equal: "app", String(name))]
        guard words.count > 1 else { return LogDeletionRule(matchers: matchers) }
        let text = Array(words[1].utf8)
        return LogDeletionRule(matchers: matchers) { Contains(text) }
    }
    private struct Refused: Error {}
    private final class Contains: LogRowTest {
        let text: [UInt8]
        init(_ text: [UInt8]) { self.text = text }
        func covers(
            line: UnsafeRawBufferPointer, nanos: Int64, streamLabels: UnsafeRawBufferPointer,
            metadata: UnsafeRawBufferPointer
        ) -> Bool {
            let line = Array(line)
            guard line.count >= text.count else { return false }
            return (0...(line.count - text.count)).contains {
                line[$0..<($0 + text.count)].elementsEqual(text)
            }
        }
    }

    private func driver(_ change: (inout LogStoreConfiguration) -> Void = { _ in }) -> Driver {
        Driver {
            $0.deletionLanguage = Self.language
            $0.blockRows = 8
            change(&$0)
        }
    }

    private func deletion(
        _ id: String, _ first: Int64, _ last: Int64, _ query: String
    ) -> LogDeletion {
        LogDeletion(
            id: id, range: NanosRange(first: Nanos(first), last: Nanos(last)), query: query)
    }

    private func isDeleted(_ row: ModelRow, _ deletion: LogDeletion) -> Bool {
        guard deletion.range.contains(row.nanos) else { return false }
        let words = deletion.query.split(separator: " ", maxSplits: 1).map(String.init)
        guard words[0] == "app=" + (row.stream["app"] ?? "") else { return false }
        guard words.count > 1 else { return true }
        return String(decoding: row.line, as: UTF8.self).contains(words[1])
    }

    @Test func deletedRowsAreGoneForReadersAtOnceAndForGoodAfterMerging() throws {
        let driver = driver()
        let (one, two) = (Labels([("app", "one")]), Labels([("app", "two")]))
        driver.append(
            (0..<40).map {
                plainRow(Int64($0), $0 % 3 == 0 ? "secret \($0)" : "line \($0)", stream: one)
            }
                + (0..<40).map { plainRow(Int64($0), "secret too \($0)", stream: two) })
        try driver.seal()
        let before = try driver.read(all)
        let wanted = deletion("r1", 5, 30, "app=one secret")
        driver.mark(try driver.store.adding(wanted, to: driver.handles))
        // The same again changes nothing.
        #expect(try driver.store.adding(wanted, to: driver.handles).isEmpty)
        let expected = before.filter { !isDeleted($0, wanted) }
        #expect(expected.count == before.count - 9)
        #expect(try driver.read(all) == expected)
        #expect(driver.store.partsDeleting("r1", tenant: driver.tenant) == 1)
        // Rows that come later stay, whatever their time.
        driver.append([plainRow(12, "secret later", stream: one)])
        try driver.seal()
        #expect(try driver.read(all).count == expected.count + 1)
        try driver.clean()
        #expect(driver.store.partsDeleting("r1", tenant: driver.tenant) == 0)
        #expect(try driver.read(all).count == expected.count + 1)
        let removed = driver.store.takeRemovals()
        #expect(removed["r1"]?.rows == 9)
        #expect((removed["r1"]?.bytes ?? 0) >= 9 * "secret 6".utf8.count)
        #expect(driver.store.takeRemovals().isEmpty)
        try driver.mergeAll()
        #expect(try driver.read(all).count == expected.count + 1)
    }

    @Test func wholeStreamsLeaveTheListOfStreams() throws {
        let driver = driver()
        let (one, two) = (Labels([("app", "one")]), Labels([("app", "two")]))
        driver.append([plainRow(1, "a", stream: one), plainRow(2, "b", stream: two)])
        try driver.seal()
        driver.mark(
            try driver.store.adding(deletion("r", 0, 10, "app=one"), to: driver.handles))
        #expect(try driver.store.streams(all, ReadContext()) == [two])
        #expect(try driver.store.labelValues("app", all, ReadContext()) == ["two"])
        #expect(
            try driver.store.rows(
                tenant: driver.tenant, streamHash: one.hash,
                range: NanosRange(first: Nanos(1), last: Nanos(1)), ReadContext()
            ).rowCount == 0)
        driver.mark(
            try driver.store.removing(deletion("r", 0, 10, "app=one"), from: driver.handles))
        #expect(try driver.store.streams(all, ReadContext()) == [one, two])
        // A part of which nothing is left is not there any more.
        driver.mark(try driver.store.adding(deletion("r", 0, 10, "app=one"), to: driver.handles))
        driver.mark(try driver.store.adding(deletion("s", 0, 10, "app=two"), to: driver.handles))
        try driver.clean()
        #expect(driver.handles.isEmpty)
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func deletingIsFiltering(seed: UInt64) throws {
        var numbers = SeededNumbers(seed)
        var maker = RowMaker(seed: seed)
        let driver = driver()
        var deletions: [LogDeletion] = []
        var expected: [ModelRow] = []
        for round in 0..<12 {
            driver.append(maker.rows(60))
            if numbers.chance(60) { try driver.seal() }
            if numbers.chance(60) {
                let app = maker.streams[numbers.below(maker.streams.count)]["app"] ?? ""
                let first = maker.start + Int64(numbers.below(1000)) * 1_000_000
                let text = numbers.chance(50) ? " error" : ""
                let wanted = deletion(
                    "r\(round)", first - 3_600_000_000_000 * Int64(numbers.below(2)),
                    first + Int64(numbers.below(2_000)) * 1_000_000, "app=\(app)\(text)")
                try driver.seal()
                expected = try driver.read(all).filter { !isDeleted($0, wanted) }
                driver.mark(try driver.store.adding(wanted, to: driver.handles))
                deletions.append(wanted)
                #expect(try driver.read(all) == expected)
                let reversed = LogRequest(
                    tenant: driver.tenant, matchers: [], range: .all, order: .newestFirst)
                #expect(try driver.read(reversed) == expected.reversed())
            }
            if numbers.chance(30) {
                let before = try driver.read(all)
                if numbers.chance(50) { try driver.mergeAll() } else { try driver.clean() }
                #expect(try driver.read(all) == before)
            }
        }
        #expect(!deletions.isEmpty)
    }

    @Test func damagedDeletionsAreRefused() throws {
        var deletions = LogDeletions()
        deletions.entries = [
            deletion("r1", -5, 10, "app=one x"), deletion("r2", .min, .max, "app=two"),
        ]
        let bytes = deletions.encoded()
        #expect(try LogDeletions(bytes) == deletions)
        #expect(try LogDeletions([]) == LogDeletions())
        for count in 1..<bytes.count {
            #expect(throws: MalformedBytes.self) { try LogDeletions(Array(bytes[..<count])) }
        }
        var numbers = SeededNumbers(4)
        for _ in 0..<2000 {
            var damaged = bytes
            damaged[numbers.below(damaged.count)] = UInt8(truncatingIfNeeded: numbers.next())
            _ = try? LogDeletions(damaged)
        }
        // A deletion that nobody understands: its part stays closed rather than show what is deleted.
        let driver = Driver()
        driver.append([plainRow(1, "a")])
        let draft = try driver.store.seal(generation: 1)[0]
        let handle = try driver.handle(draft, level: 0, lastSequence: 1).deleting(bytes)
        #expect(throws: PartCorruption.self) { try driver.store.open(handle) }
        #expect(!driver.store.verify(handle).isEmpty)
    }

    @Test func rulesChooseTheClassAtSealingAndAgainAtMerging() throws {
        let debug = [[LabelMatcher(equal: "app", "debug")]]
        let driver = driver { $0.retention = [debug] }
        driver.store.useRetentionClasses([9])
        let rows = [
            plainRow(1, "a", stream: Labels([("app", "debug")])),
            plainRow(2, "b", stream: Labels([("app", "shop")])),
        ]
        driver.append(rows)
        try driver.seal()
        #expect(Set(driver.handles.map(\.descriptor.retentionClass)) == [0, 9])
        driver.store.useRetentionClasses([12])
        driver.append(
            rows.map {
                var row = $0; row.nanos += 5; return row
            })
        try driver.seal()
        try driver.mergeAll()
        #expect(driver.handles.map(\.descriptor.retentionClass).sorted() == [0, 12])
        #expect(try driver.read(all).count == 4)
    }
}
