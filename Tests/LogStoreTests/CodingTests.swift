// SPDX-License-Identifier: Apache-2.0
// Log batches as log records.

import Base
import Telemetry
import Testing

@testable import LogStore

@Suite struct CodingTests {
    private func encoded(_ batch: LogBatch) -> [UInt8] {
        var writer = ByteWriter()
        batch.encode(into: &writer)
        return writer.bytes
    }

    private func decoded(_ bytes: [UInt8]) throws -> LogBatch {
        try bytes.withUnsafeBytes { try LogBatch(decoding: $0) }
    }

    @Test(arguments: 1...20)
    func batchesComeBackAsTheyWere(seed: Int) throws {
        var maker = RowMaker(seed: UInt64(seed))
        var rows = maker.rows(seed * 10)
        if seed % 2 == 0 {
            // Without optional columns.
            for index in rows.indices {
                rows[index].metadata = .empty
                rows[index].trace = .zero
                rows[index].span = .zero
            }
        }
        let batch = LogBatch(rows)
        let again = try decoded(encoded(batch))
        #expect(again.modelRows == rows)
        #expect(again.streams == batch.streams)
        #expect(again.arena == batch.arena)
    }

    @Test func anEmptyBatchComesBack() throws {
        #expect(try decoded(encoded(LogBatch())).rowCount == 0)
    }

    @Test func everyTruncationIsRefused() {
        var maker = RowMaker(seed: 3)
        let bytes = encoded(LogBatch(maker.rows(8)))
        for count in 0..<bytes.count {
            #expect(throws: MalformedBytes.self) { try decoded(Array(bytes[..<count])) }
        }
        #expect(throws: MalformedBytes.self) { try decoded(bytes + [0]) }
    }

    /// What is accepted must be safe to append and read; what is not must say so.
    @Test(arguments: 1...4)
    func mutatedRecordsNeverCrash(seed: Int) throws {
        var maker = RowMaker(seed: UInt64(seed))
        let bytes = encoded(LogBatch(maker.rows(12)))
        var accepted = 0
        for _ in 0..<500 {
            var mutated = bytes
            for _ in 0...maker.numbers.below(3) {
                let at = maker.numbers.below(mutated.count)
                mutated[at] = UInt8(truncatingIfNeeded: maker.numbers.next())
            }
            guard let batch = try? decoded(mutated) else { continue }
            accepted += 1
            let driver = Driver()
            driver.store.append(batch, tenant: driver.tenant, generation: 1, sequence: 1)
            let all = LogRequest(tenant: driver.tenant, matchers: [], range: .all)
            #expect(try driver.read(all).count <= batch.rowCount)
        }
        #expect(accepted > 0)
    }

    @Test func slicesOutsideTheArenaAreRefused() {
        var batch = LogBatch([
            ModelRow(stream: Labels([("a", "b")]), nanos: 1, line: [1, 2, 3], metadata: .empty)
        ])
        batch.lines[0] = ByteSlice(offset: batch.arena.count - 1, count: 2)
        #expect(throws: MalformedBytes.self) { try decoded(encoded(batch)) }
        batch.lines[0] = .empty
        batch.metadata[0] = ByteSlice(offset: 0, count: 1)
        #expect(throws: MalformedBytes.self) { try decoded(encoded(batch)) }
        batch.metadata[0] = .empty
        batch.rowStreams[0] = 1
        #expect(throws: MalformedBytes.self) { try decoded(encoded(batch)) }
    }
}
