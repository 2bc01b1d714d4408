// SPDX-License-Identifier: Apache-2.0
// Counts from the headers of blocks against counts of rows.

import Storage
import Synchronization
import Telemetry
import Testing

@testable import LogStore

@Suite struct CountingTests {
    private struct Key: Hashable {
        var stream: Labels
        var metadata = Labels.empty
        var window: Int64
    }
    private struct Total: Equatable {
        var rows = 0
        var bytes = 0
    }

    /// The metadata that matters, as plainly as it can be picked.
    private func picked(_ metadata: Labels, _ likeness: RowCounting.Likeness) -> Labels {
        switch likeness {
        case .none, .never: .empty
        case .metadata(let names):
            Labels(metadata.pairs.filter { names?.contains($0.name) ?? true })
        }
    }

    /// Counts by stream, metadata and stretch of time of `width` nanoseconds.
    private func counted(
        _ driver: Driver, _ range: NanosRange, width: Int64, columns: LogColumns,
        _ likeness: RowCounting.Likeness = .none, _ context: ReadContext
    ) throws -> [Key: Total] {
        var totals: [Key: Total] = [:]
        func add(_ stream: Labels, _ metadata: Labels, _ nanos: Int64, _ rows: Int, _ bytes: Int) {
            let key = Key(
                stream: stream, metadata: picked(metadata, likeness), window: nanos / width)
            totals[key, default: Total()].rows += rows
            totals[key, default: Total()].bytes += bytes
        }
        var request = LogRequest(tenant: driver.tenant, matchers: [], range: range)
        request.columns = columns
        try driver.store.count(
            request, context,
            RowCounting(
                likeness: { _, first, last in first / width == last / width ? likeness : .never },
                count: {
                    add(
                        $0.stream, Labels(canonical: $0.metadata), $0.nanos, $0.count, $0.byteCount)
                })
        ) { batch in
            for row in batch.modelRows {
                add(row.stream, row.metadata, row.nanos, 1, row.line.count)
            }
            return true
        }
        return totals
    }

    @Test(arguments: 1...12)
    func headersCountWhatRowsDo(seed: Int) throws {
        var maker = RowMaker(seed: UInt64(seed), streamCount: 5)
        let driver = Driver { $0.blockRows = [5, 30][seed % 2] }
        var model = Model()
        for round in 0..<5 {
            let rows = maker.rows(150)
            driver.append(rows)
            for row in rows { model.append(row) }
            if round < 4 { try driver.seal() }
            if round == 2 { try driver.mergeAll() }
        }
        for range in [
            NanosRange.all,
            NanosRange(
                first: Nanos(maker.start - 900_000_000_000),
                last: Nanos(maker.start + 300_000_000)),
        ] {
            for width in [1_000_000_000, 600_000_000_000, 86_400_000_000_000] as [Int64] {
                for (columns, likeness) in [
                    (.all, .none), ([.metadata], .none), ([], .none), (.all, .metadata(nil)),
                    (.all, .metadata(["zone"])), ([.metadata], .metadata(["pod"])),
                    ([.metadata], .metadata(["pod", "missing", "zone"])),
                    ([.metadata], .metadata(["trace_id", "k3"])), ([.metadata], .metadata(nil)),
                ] as [(LogColumns, RowCounting.Likeness)] {
                    var want: [Key: Total] = [:]
                    for row in model.rows where range.contains(row.nanos) {
                        let key = Key(
                            stream: row.stream, metadata: picked(row.metadata, likeness),
                            window: row.nanos / width)
                        want[key, default: Total()].rows += 1
                        want[key, default: Total()].bytes += row.line.count
                    }
                    let got = try counted(
                        driver, range, width: width, columns: columns, likeness, ReadContext())
                    #expect(got.mapValues(\.rows) == want.mapValues(\.rows))
                    if columns == .all { #expect(got == want) }
                }
            }
        }
    }

    @Test func blocksInsideAWindowStayClosed() throws {
        let driver = Driver { $0.blockRows = 50 }
        driver.append((0..<1000).map { plainRow(Int64($0) * 1_000_000_000, "line \($0)") })
        try driver.seal()
        let context = ReadContext()
        let all = try counted(driver, .all, width: .max, columns: .all, .none, context)
        #expect(all.values.map(\.rows) == [1000])
        #expect(context.blockCount(.counted) == 20)
        #expect(context.samplesRead == 0)
        // The same rows again from another source: only what overlaps is opened.
        driver.append((500..<510).map { plainRow(Int64($0) * 1_000_000_000, "line \($0)") })
        let second = ReadContext()
        let again = try counted(driver, .all, width: .max, columns: [], .none, second)
        #expect(again.values.map(\.rows) == [1000])
        #expect(second.blockCount(.counted) == 19)
        #expect(second.blockCount(.read) == 1)
    }

    @Test func readsCountWhatTheyTakeFromTheCache() throws {
        let driver = Driver { $0.blockRows = 50 }
        driver.append((0..<1000).map { plainRow(Int64($0) * 1_000_000_000, "line \($0)") })
        try driver.seal()
        let request = LogRequest(tenant: driver.tenant, matchers: [], range: .all)
        func counts() throws -> (requested: Int, found: Int, stored: Int, bytes: Int) {
            let context = ReadContext()
            #expect(try driver.read(request, context).count == 1000)
            let cache = context.cache
            return (
                cache.requested.load(ordering: .relaxed), cache.found.load(ordering: .relaxed),
                cache.stored.load(ordering: .relaxed), cache.foundBytes.load(ordering: .relaxed)
            )
        }
        let (first, second) = (try counts(), try counts())
        #expect(first.stored > 0 && first.requested == first.found + first.stored)
        #expect(second.requested == first.requested && second.found == second.requested)
        #expect(second.stored == 0 && second.bytes > 0)
    }
}
