// SPDX-License-Identifier: Apache-2.0
// Parts: what sealing and merging make, and damage.

import Base
import Storage
import Telemetry
import Testing

@testable import LogStore

@Suite struct PartTests {
    let all = LogRequest(tenant: Tenant("t"), matchers: [], range: .all, order: .oldestFirst)

    private func sealed(seed: UInt64, rows: Int) throws -> (bytes: [UInt8], rows: [ModelRow]) {
        var maker = RowMaker(seed: seed)
        let driver = Driver {
            $0.blockRows = 30
            // One part only, whatever the day.
            $0.retentionClass = { _, _ in 4 }
        }
        driver.append(
            maker.rows(rows).map { row in
                var row = row
                row.nanos = maker.start + (row.nanos - maker.start) % 1_000_000_000_000
                return row
            })
        let rows = try driver.read(all)
        let drafts = try driver.store.seal(generation: 1)
        #expect(drafts.map(\.retentionClass) == [4])
        return (drafts[0].bytes, rows)
    }

    private func handle(_ bytes: [UInt8]) throws -> PartHandle {
        let reader = try PartReader(SharedBytes(bytes), name: "damaged")
        return PartHandle(
            descriptor: PartDescriptor(
                id: 1, signal: .logs, tenant: "t", day: 0, level: 0, minNanos: .min,
                maxNanos: .max, rowCount: 1, byteCount: UInt64(bytes.count), lastSequence: 1),
            reader: reader)
    }

    /// Opens, verifies, reads and merges; nil when that is refused.
    private func read(_ bytes: [UInt8]) -> (rows: [ModelRow]?, faults: [PartCorruption]) {
        do {
            let part = try handle(bytes)
            let store = LogStore()
            let faults = store.verify(part)
            do {
                try store.open(part)
                var rows: [ModelRow] = []
                try store.read(all, ReadContext()) {
                    rows += $0.modelRows
                    return true
                }
                _ = try store.merge([part], shouldStop: { false })
                return (rows, faults)
            } catch {
                return (nil, faults)
            }
        } catch {
            return (nil, [])
        }
    }

    @Test func aByteThatChangedIsFoundAndNeverReadAsData() throws {
        let (bytes, rows) = try sealed(seed: 5, rows: 400)
        #expect(read(bytes).rows == rows)
        #expect(read(bytes).faults.isEmpty)
        let sections = try PartReader(SharedBytes(bytes), name: "whole").sections
        var numbers = SeededNumbers(5)
        var failures: [String] = []
        for _ in 0..<300 {
            var damaged = bytes
            let at = numbers.below(bytes.count)
            damaged[at] ^= UInt8(1 << numbers.below(8))
            let result = read(damaged)
            if let got = result.rows, got != rows { failures.append("offset \(at): wrong rows") }
            let isInSection = sections.contains {
                ($0.offset..<($0.offset + $0.storedCount)).contains(at)
            }
            // Bytes between sections are padding; those of the directory refuse to open.
            if isInSection, result.faults.isEmpty { failures.append("offset \(at): not found") }
        }
        #expect(failures.isEmpty, "\(failures.prefix(5))")
    }

    @Test func aPartCutShortIsRefused() throws {
        let (bytes, _) = try sealed(seed: 6, rows: 50)
        for count in stride(from: 0, to: bytes.count, by: 37) {
            #expect(read(Array(bytes[..<count])).rows == nil)
        }
    }

    /// Sections that are wrong although their checksums are right: a faulty writer, or malice.
    @Test(arguments: 1...3)
    func sectionsThatLieNeverCrash(seed: Int) throws {
        let (bytes, _) = try sealed(seed: UInt64(seed), rows: 200)
        let whole = try PartReader(SharedBytes(bytes), name: "whole")
        let contents = try whole.sections.map { ($0.kind, try whole.read($0.kind)) }
        var numbers = SeededNumbers(UInt64(seed))
        var refused = 0
        for round in 0..<250 {
            var writer = PartWriter(signal: .logs)
            for (index, section) in contents.enumerated() {
                var plain = section.1
                if index == round % (contents.count - 1), !plain.isEmpty {
                    for _ in 0...numbers.below(2) {
                        plain[numbers.below(plain.count)] = UInt8(
                            truncatingIfNeeded: numbers.next())
                    }
                }
                writer.add(kind: section.0, plain)
            }
            if read(writer.finish()).rows == nil { refused += 1 }
        }
        #expect(refused > 100)
    }

    @Test func postingsOfOtherStreamsAreFound() throws {
        let (bytes, _) = try sealed(seed: 2, rows: 100)
        let whole = try PartReader(SharedBytes(bytes), name: "whole")
        var writer = PartWriter(signal: .logs)
        for section in whole.sections {
            let plain = try whole.read(section.kind)
            writer.add(kind: section.kind, section.kind == LogFormat.Section.postings ? [0] : plain)
        }
        let faults = LogStore().verify(try handle(writer.finish()))
        #expect(faults.map(\.problem) == ["postings are not those of the streams"])
    }

    @Test func anotherSignalsPartIsRefused() throws {
        var writer = PartWriter(signal: .metrics)
        writer.add(kind: 1, [1])
        let part = try handle(writer.finish())
        #expect(throws: PartCorruption.self) { try LogStore().open(part) }
    }

    @Test func sealingMakesOnePartPerDayAndClass() throws {
        let driver = Driver {
            $0.retentionClass = { _, labels in labels["app"] == "kept" ? 7 : 0 }
        }
        let kept = Labels([("app", "kept")]), other = Labels([("app", "other")])
        var rows: [ModelRow] = []
        for day in [2, 0, 1] as [Int64] {
            for stream in [kept, other] {
                rows.append(plainRow(day * nanosPerDay, "first", stream: stream))
                rows.append(plainRow((day + 1) * nanosPerDay - 1, "last", stream: stream))
            }
        }
        driver.append(rows)
        let drafts = try driver.store.seal(generation: 1)
        #expect(drafts.map(\.day) == [0, 0, 1, 1, 2, 2])
        #expect(drafts.map(\.retentionClass) == [0, 7, 0, 7, 0, 7])
        #expect(drafts.allSatisfy { $0.rowCount == 2 })
        #expect(
            drafts.allSatisfy {
                $0.minNanos == Int64($0.day) * nanosPerDay
                    && $0.maxNanos == Int64($0.day + 1) * nanosPerDay - 1
            })
        #expect(try driver.store.seal(generation: 99).isEmpty)
    }

    @Test func mergingStopsWhenAsked() throws {
        let driver = Driver()
        for _ in 0..<2 {
            driver.append((0..<500).map { plainRow(Int64($0), "line \($0)") })
            try driver.seal()
        }
        #expect(throws: CancellationError.self) {
            try driver.store.merge(driver.handles, shouldStop: { true })
        }
        #expect(try driver.store.merge([], shouldStop: { false }).isEmpty)
        let drafts = try driver.store.merge(driver.handles, shouldStop: { false })
        #expect(drafts.map(\.rowCount) == [500])
    }

    /// Lines as long as a request can bring, and blocks that hold only one of them.
    @Test func longLinesSurvive() throws {
        var numbers = SeededNumbers(1)
        let driver = Driver()
        var rows: [ModelRow] = []
        for (index, count) in [0, 262_144, 262_145, 1 << 20, 3 << 20, 1].enumerated() {
            let word = numbers.next()
            let line = (0..<count).map {
                UInt8(truncatingIfNeeded: word >> UInt64($0 % 57)) ^ UInt8($0 & 1)
            }
            rows.append(
                ModelRow(
                    stream: Labels([("a", "b")]), nanos: Int64(index), line: line,
                    metadata: Labels([("size", "\(count)")])))
        }
        driver.append(rows)
        #expect(try driver.read(all) == rows)
        try driver.seal()
        #expect(try driver.read(all) == rows)
    }

    /// Sealed and merged parts of equal rows are equal bytes: nothing depends on the process.
    @Test func equalRowsMakeEqualBytes() throws {
        let first = try sealed(seed: 11, rows: 300).bytes
        #expect(try sealed(seed: 11, rows: 300).bytes == first)
    }
}

extension PartTests {
    /// Three parts and a head; a block of the second part is damaged.
    @Test(arguments: [LogRequest.Order.oldestFirst, .newestFirst, .any])
    func aDamagedBlockIsLeftOutOfTheAnswerAndNamed(order: LogRequest.Order) throws {
        let driver = Driver { $0.blockRows = 10 }
        let rows = (0..<120).map { plainRow(Int64($0), "line \($0) of many") }
        for start in stride(from: 0, to: 90, by: 30) {
            driver.append(Array(rows[start..<(start + 30)]))
            try driver.seal()
        }
        driver.append(Array(rows[90...]))
        let second = driver.handles[1]
        let opened = try LogPart(second)
        // The frame of the middle block's lines.
        let frame = opened.blocks[1].lines.frame
        let offset = opened.fileOffset(of: frame)
        var bytes = second.reader.bytes.withBytes { [UInt8]($0) }
        bytes[offset] ^= 0x10
        let damaged = PartHandle(
            descriptor: second.descriptor,
            reader: try PartReader(SharedBytes(bytes), name: "part-2"))
        let lost = opened.blocks.indices.filter { opened.blocks[$0].lines.frame == frame }
            .flatMap { Int(opened.blocks[$0].minNanos)...Int(opened.blocks[$0].maxNanos) }
        #expect(!lost.isEmpty)
        driver.store.replace(removed: [second.descriptor.id], added: [damaged])
        var request = all
        request.order = order
        let context = ReadContext()
        var found: [ModelRow] = []
        try driver.store.read(request, context) {
            found += $0.modelRows
            return true
        }
        let wanted = rows.filter { !lost.contains(Int($0.nanos)) }
        #expect(found == (order == .newestFirst ? wanted.reversed() : wanted))
        #expect(context.warnings.count == 1)
        #expect(
            context.warnings.first?.contains("part part-2 damaged at offset \(offset)") == true)
        #expect(context.samplesRead == wanted.count)
        // A merge must not leave anything out.
        #expect(throws: PartCorruption.self) {
            try driver.store.merge([driver.handles[0], damaged], shouldStop: { false })
        }
    }

    @Test func aPartThatDoesNotOpenIsNamedInAnswers() throws {
        let driver = Driver()
        driver.append([plainRow(5, "here")])
        try driver.seal()
        var lost = driver.handles[0].descriptor
        lost.id = 99
        lost.minNanos = 100
        lost.maxNanos = 200
        let fault = PartCorruption(name: "000000000099.part", offset: 7, problem: "cut short")
        driver.store.missing(lost, fault)
        func warnings(_ first: Int64, _ last: Int64) throws -> [String] {
            let context = ReadContext()
            var request = all
            request.range = NanosRange(first: Nanos(first), last: Nanos(last))
            try driver.store.read(request, context) { _ in true }
            _ = try driver.store.streams(request, context)
            return context.warnings
        }
        #expect(try warnings(0, 99) == [])
        #expect(try warnings(0, 100).count == 1)
        #expect(try warnings(200, 300).first?.contains("000000000099.part") == true)
        driver.store.replace(removed: [99], added: [])
        #expect(try warnings(0, 300) == [])
    }
}
