// SPDX-License-Identifier: Apache-2.0
// Appending: duplicates, counts, order of arrival.

import Base
import Storage
import Telemetry
import Testing

@testable import LogStore

func plainRow(
    _ nanos: Int64, _ line: String, stream: Labels = Labels([("app", "a")]),
    metadata: Labels = .empty
) -> ModelRow {
    ModelRow(stream: stream, nanos: nanos, line: Array(line.utf8), metadata: metadata)
}

func lineTexts(_ rows: [ModelRow]) -> [String] {
    rows.map { String(decoding: $0.line, as: UTF8.self) }
}

@Suite struct HeadTests {
    let oldest = LogRequest(tenant: Tenant("t"), matchers: [], range: .all, order: .oldestFirst)
    let newest = LogRequest(tenant: Tenant("t"), matchers: [], range: .all, order: .newestFirst)

    @Test func theSameRowTwiceIsOneRow() throws {
        let driver = Driver()
        let rows = [plainRow(5, "x"), plainRow(5, "y"), plainRow(4, "x"), plainRow(5, "x")]
        let first = driver.append(rows)
        #expect((first.accepted, first.duplicates) == (3, 1))
        #expect(first.duplicateRows == [3])
        #expect(first.newStreams == [0])
        let second = driver.append(rows)
        #expect((second.accepted, second.duplicates) == (0, 4))
        #expect(second.duplicateRows == [0, 1, 2, 3])
        #expect(second.newStreams == [])
        let other = driver.append([plainRow(5, "x", metadata: Labels([("k", "v")]))])
        #expect(other.accepted == 1)
        #expect(lineTexts(try driver.read(oldest)) == ["x", "x", "y", "x"])
    }

    /// More rows at one time than are compared one by one.
    @Test func duplicatesAreFoundAmongManyRowsOfOneTime() throws {
        let driver = Driver()
        let rows = (0..<20_000).map { plainRow(7, "line \($0)") }
        #expect(driver.append(rows).accepted == rows.count)
        #expect(driver.append(rows.reversed()).duplicates == rows.count)
        #expect(driver.append([plainRow(8, "line 1")]).accepted == 1)
        let texts = lineTexts(try driver.read(oldest))
        #expect(texts == rows.map { String(decoding: $0.line, as: UTF8.self) } + ["line 1"])
        #expect(lineTexts(try driver.read(newest)) == texts.reversed())
    }

    /// Pushes that overtake each other, some sent twice, some of long ago: what is a duplicate does
    /// not depend on how it is found.
    @Test(arguments: [0, 3, 40, 2000]) func duplicatesAmongPushesInAnyOrder(lateBy most: Int) {
        var random = SplitMix64(seed: UInt64(most) + 3)
        func below(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }
        let driver = Driver()
        var known: Set<String> = []
        var pushes = (0..<300).map { push in
            (0..<30).map { row in plainRow(Int64(push * 20 + row), "line \(below(3))") }
        }
        for index in pushes.indices {
            pushes.swapAt(index, min(pushes.count - 1, index + below(most + 1)))
        }
        var sent: [[ModelRow]] = []
        for push in pushes {
            sent.append(push)
            if below(5) == 0 { sent.append(sent[max(0, sent.count - 1 - below(most + 1))]) }
        }
        for push in sent {
            let expected = push.indices.filter { index in
                let text = String(decoding: push[index].line, as: UTF8.self)
                return !known.insert("\(push[index].nanos) \(text)").inserted
            }
            #expect(driver.append(push).duplicateRows == expected)
        }
    }

    @Test func replayingARecordTwiceLeavesOneCopy() throws {
        let driver = Driver()
        var maker = RowMaker(seed: 9)
        var writer = ByteWriter()
        LogBatch(maker.rows(300)).encode(into: &writer)
        for _ in 0..<2 {
            try writer.bytes.withUnsafeBytes {
                try driver.store.replay($0, tenant: "t", generation: 1, sequence: 1)
            }
        }
        var model = Model()
        for row in try driver.read(oldest) { model.append(row) }
        #expect(try driver.read(oldest).count == model.rows.count)
    }

    /// Log records are applied by several threads; their numbers decide, not who came first.
    @Test func rowsOfEqualTimeAreInOrderOfTheirRecords() throws {
        let store = LogStore()
        let tenant = Tenant("t")
        for sequence in [5, 2, 9, 1] as [UInt64] {
            let rows = [plainRow(10, "\(sequence)a"), plainRow(10, "\(sequence)b")]
            store.append(LogBatch(rows), tenant: tenant, generation: 1, sequence: sequence)
        }
        var got: [String] = []
        try store.read(oldest, ReadContext()) {
            got += lineTexts($0.modelRows)
            return true
        }
        #expect(got == ["1a", "1b", "2a", "2b", "5a", "5b", "9a", "9b"])
    }

    @Test func rowsOfEqualTimeAreInOrderOfArrivalAcrossSources() throws {
        let driver = Driver()
        driver.append([plainRow(10, "1"), plainRow(10, "2")])
        try driver.seal()
        driver.append([plainRow(10, "3"), plainRow(10, "1")])
        try driver.seal()
        driver.append([plainRow(10, "0"), plainRow(10, "2"), plainRow(10, "4")])
        let want = ["1", "2", "3", "0", "4"]
        #expect(lineTexts(try driver.read(oldest)) == want)
        #expect(lineTexts(try driver.read(newest)) == want.reversed())
        try driver.seal()
        try driver.mergeAll()
        #expect(driver.handles.count == 1)
        #expect(lineTexts(try driver.read(oldest)) == want)
        #expect(lineTexts(try driver.read(newest)) == want.reversed())
    }

    @Test func streamsWithOneHashStayApart() throws {
        var batch = LogBatch([
            plainRow(1, "a", stream: Labels([("s", "1")])),
            plainRow(1, "b", stream: Labels([("s", "2")])),
        ])
        for index in batch.streams.indices { batch.streams[index].hash = 42 }
        let driver = Driver()
        let counts = driver.store.append(batch, tenant: driver.tenant, generation: 1, sequence: 1)
        #expect(counts.newStreams == [0, 1])
        #expect(lineTexts(try driver.read(oldest)) == ["a", "b"])
    }

    @Test func headBytesGrowAndGoAway() throws {
        let driver = Driver()
        #expect(driver.store.headBytes == 0)
        driver.append((0..<1000).map { plainRow(Int64($0), "some line of text \($0)") })
        let bytes = driver.store.headBytes
        #expect(bytes > 1000 * 20)
        driver.append([plainRow(0, "late, so that a table of rows is made")])
        #expect(driver.store.headBytes > bytes)
        try driver.seal()
        #expect(driver.store.headBytes == 0)
        #expect(try driver.read(oldest).count == 1001)
    }

    @Test func tenantsSeeTheirOwnRows() throws {
        let driver = Driver()
        driver.append([plainRow(1, "mine")])
        let other = LogBatch([plainRow(1, "theirs")])
        driver.store.append(other, tenant: Tenant("u"), generation: 1, sequence: 2)
        #expect(lineTexts(try driver.read(oldest)) == ["mine"])
        let drafts = try driver.store.seal(generation: 1)
        #expect(drafts.map(\.tenant) == ["t", "u"])
        #expect(drafts.map(\.rowCount) == [1, 1])
    }

    @Test func timesAtTheEndsOfTheScaleSurvive() throws {
        let driver = Driver()
        let rows = [Int64.min, -1, 0, 1, .max].map { plainRow($0, "t\($0)") }
        driver.append(rows)
        #expect(try driver.read(oldest) == rows)
        try driver.seal()
        #expect(driver.handles.map(\.descriptor.day) == [-106_752, -1, 0, 106_751])
        #expect(try driver.read(oldest) == rows)
        #expect(try driver.read(newest) == rows.reversed())
    }
}
