// SPDX-License-Identifier: Apache-2.0
// Ranges of numbers in structured metadata: what they are, what they spare, and damage.

import Base
import Storage
import Telemetry
import TestKit
import Testing

@testable import LogStore

@Suite struct NumberRangeTests {
    private func bounds(_ text: String) -> [Int64]? {
        var text = text
        return text.withUTF8 { NumberBounds(UnsafeRawBufferPointer($0)) }.map {
            [$0.least, $0.greatest]
        }
    }

    @Test func numbersHaveBounds() {
        #expect(bounds("0") == [0, 0] && bounds("007") == [7, 7] && bounds("-12") == [-12, -12])
        #expect(bounds("1.5") == [1, 2] && bounds("1.00") == [1, 1] && bounds("-0.5") == [-1, 0])
        #expect(bounds("999999999999999999")?.first == 999_999_999_999_999_999)
        for text in [
            "", "-", "-0", "-0.0", "1.", ".5", "1e5", "+1", "1_000", "12ms", " 1", "1 ", "0x1",
            "inf",
            "1000000000000000000", "1.5.2", "--1", "1.-2", "NaN",
        ] {
            #expect(bounds(text) == nil, "\(text)")
        }
    }

    /// Whatever the text, bounds agree with the number that engines read.
    @Test func boundsHoldWhatEnginesRead() {
        var numbers = SeededNumbers(4)
        var found = 0
        for _ in 0..<50_000 {
            let text = String(
                (0..<(1 + numbers.below(numbers.chance(50) ? 6 : 22))).map { _ in
                    Array("0123456789012345678901234567890123456789.-e")[numbers.below(43)]
                })
            guard let bounds = bounds(text) else { continue }
            found += 1
            let value = parseFloat(text) ?? .nan
            #expect(Double(bounds[0]) <= value && value <= Double(bounds[1]), "\(text)")
        }
        #expect(found > 10_000)
    }

    /// Forty blocks; in block n `size` goes from 100 n to 100 n + 49, `ratio` from n to n + 1.
    private func filled() throws -> Driver {
        let driver = Driver {
            $0.blockRows = 50
            $0.lineFrameBytes = 1
            $0.bytesPerRangeByte = 1
        }
        driver.append(
            (0..<2000).map { number in
                let block = number / 50
                var pairs = [("size", "\(block * 100 + number % 50)"), ("pod", "p\(block)")]
                if number % 2 == 0 { pairs.append(("ratio", "\(block).\(number % 50)")) }
                if block == 7 { pairs.append(("odd", number % 50 == 3 ? "none" : "1")) }
                return ModelRow(
                    stream: Labels([("app", "a")]), nanos: Int64(number) * 1_000_000,
                    line: Array("request \(number) is done".utf8), metadata: Labels(pairs))
            })
        try driver.seal()
        return driver
    }

    private func read(
        _ driver: Driver, _ numbers: [NumberCondition], matchers: [LabelMatcher] = []
    ) throws -> (rows: [ModelRow], context: ReadContext) {
        let context = ReadContext()
        var request = LogRequest(tenant: driver.tenant, matchers: matchers, range: .all)
        request.numbers = numbers
        return (try driver.read(request, context), context)
    }

    @Test func blocksWithoutTheNumberAreNotOpened() throws {
        let driver = try filled()
        for (numbers, rows, opened) in [
            ([NumberCondition("size", .greater, 3_848)], 1 + 50, 2),
            ([NumberCondition("size", .greaterOrEqual, 3_900)], 50, 1),
            ([NumberCondition("size", .equal, 1_010)], 1, 1),
            ([NumberCondition("size", .equal, 1_050)], 0, 0),
            ([NumberCondition("size", .less, 100)], 50, 1),
            ([NumberCondition("size", .lessOrEqual, 100, takesMinus: false)], 51, 2),
            ([NumberCondition("size", .notEqual, 5)], 1999, 40),
            ([NumberCondition("size", .greater, .nan)], 0, 0),
            ([NumberCondition("ratio", .greater, 38.5)], 25 + 25, 2),
            (
                [NumberCondition("size", .greater, 500), NumberCondition("size", .less, 700)], 99,
                2
            ),
        ] {
            let found = try read(driver, numbers)
            let skipped = found.context.blockCount(.skippedByNumbers)
            #expect(skipped == 40 - opened, "\(numbers)")
            #expect(found.context.blockCount(.read) == opened, "\(numbers)")
            // Bounds of numbers with a point are whole numbers.
            if numbers[0].name == "size" { #expect(found.rows.count == rows, "\(numbers)") }
            if opened == 0 { #expect(found.context.bytesRead == 0) }
        }
        // Where one value is no number there is no range, and the engine has to see that row. Blocks
        // without the key have been opened as far as their metadata.
        let odd = try read(driver, [NumberCondition("odd", .greater, 5)])
        #expect(odd.rows.map(\.nanos) == [353_000_000])
        #expect(odd.context.blockCount(.skippedByMetadata) == 39)
        // What the stream says of itself comes before its metadata.
        let own = try read(driver, [NumberCondition("app", .greater, 5)])
        #expect(own.rows.count == 2000)
    }

    @Test func rangesSurviveMergesAsBlocksDo() throws {
        let driver = Driver {
            $0.blockRows = 50
            $0.lineFrameBytes = 1
            $0.bytesPerRangeByte = 1
            $0.carriedBlockBytes = 1
        }
        for source in 0..<3 {
            driver.append(
                (0..<500).map { number in
                    let size = source * 500 + number
                    return ModelRow(
                        stream: Labels([("app", "a")]), nanos: Int64(size) * 1_000_000,
                        line: Array("request \(number) of \(source)".utf8),
                        metadata: Labels([("size", "\(size)"), ("source", "\(source)")]))
                })
            try driver.seal()
        }
        let before = try read(driver, [NumberCondition("size", .equal, 777)])
        try driver.mergeAll()
        #expect(driver.handles.count == 1)
        let after = try read(driver, [NumberCondition("size", .equal, 777)])
        #expect(before.rows == after.rows && after.rows.count == 1)
        for context in [before.context, after.context] {
            #expect(context.blockCount(.skippedByNumbers) == 29)
        }
        #expect(driver.store.verify(driver.handles[0]).isEmpty)
    }

    @Test func smallBlocksSpendNothingOnRanges() throws {
        let driver = Driver { $0.bytesPerRangeByte = 100 }
        let metadata = Labels([("a", "1"), ("b", "12345678"), ("c", "3")])
        driver.append([
            ModelRow(
                stream: Labels([("app", "a")]), nanos: 1, line: Array("short".utf8),
                metadata: metadata)
        ])
        try driver.seal()
        let part = try LogPart(driver.handles[0])
        #expect(part.reader.section(LogFormat.Section.ranges) == nil)
        driver.append([
            ModelRow(
                stream: Labels([("app", "a")]), nanos: 2, line: [UInt8](repeating: 65, count: 700),
                metadata: metadata)
        ])
        try driver.seal()
        // Seven bytes: four for `a`, and not enough for `b` behind it.
        let larger = try LogPart(driver.handles[1])
        #expect(larger.ranges.names == [Array("a".utf8)])
    }

    /// A part of the version before, which had no ranges.
    @Test func partsWithoutRangesAreRead() throws {
        let driver = try filled()
        let whole = driver.handles[0].reader
        var writer = PartWriter(signal: .logs)
        for section in whole.sections where section.kind != LogFormat.Section.ranges {
            var plain = try whole.read(section.kind)
            if section.kind == LogFormat.Section.info { plain[0] = 2 }
            writer.add(kind: section.kind, plain)
        }
        let old = PartHandle(
            descriptor: driver.handles[0].descriptor,
            reader: try PartReader(SharedBytes(writer.finish()), name: "old"))
        let wanted = try read(driver, [NumberCondition("size", .equal, 717)]).rows
        let store = LogStore()
        #expect(store.verify(old).isEmpty)
        try store.open(old)
        let context = ReadContext()
        var request = LogRequest(tenant: driver.tenant, matchers: [], range: .all)
        request.numbers = [NumberCondition("size", .equal, 717)]
        var found: [ModelRow] = []
        try store.read(request, context) {
            found += $0.modelRows
            return true
        }
        #expect(found == wanted && wanted.count == 1)
        #expect(context.blockCount(.skippedByNumbers) == 0)
        #expect(context.blockCount(.skippedByMetadata) == 39)
    }

    /// What ranges of eight keys add to a part is less than a thousandth.
    @Test func rangesTakeNextToNothing() throws {
        func byteCounts(_ bytesPerRangeByte: Int) throws -> (part: UInt64, ranges: Int) {
            var numbers = SeededNumbers(2)
            let driver = Driver { $0.bytesPerRangeByte = bytesPerRangeByte }
            driver.append(
                (0..<20_000).map { number in
                    let keys = [
                        "bytes", "duration_ms", "line", "pid", "port", "retry", "size", "status",
                    ]
                    let pairs = keys.enumerated().map { place, key in
                        (
                            key,
                            "\(numbers.below([90_000, 4_000, 900, 30_000, 60, 3, 500, 2][place]))"
                        )
                    }
                    return ModelRow(
                        stream: Labels([("app", "a\(number % 3)")]),
                        nanos: Int64(number) * 1_000_000,
                        line: Array(
                            "GET /cart/\(number % 97) answered in \(number % 3_001) us".utf8),
                        metadata: Labels(pairs))
                })
            try driver.seal()
            let section = driver.handles[0].reader.section(LogFormat.Section.ranges)
            return (driver.handles[0].descriptor.byteCount, section?.storedCount ?? 0)
        }
        let without = try byteCounts(.max), with = try byteCounts(16 << 10)
        #expect(without.ranges == 0 && with.ranges > 50)
        #expect(with.part - without.part < without.part / 1000, "\(with) \(without)")
    }

    @Test func rangesThatAreNotThoseOfTheValuesAreFound() throws {
        let driver = try filled()
        let whole = driver.handles[0].reader
        let ranges = try LogPart(driver.handles[0]).ranges
        var other = NumberRangesBuilder()
        for block in 0..<40 {
            var known = ranges.ranges(ofBlock: block)
            if block == 3 { known[1].bounds.greatest += 1 }
            other.add(known, ofBlock: block)
        }
        var writer = PartWriter(signal: .logs)
        for section in whole.sections {
            let plain = try whole.read(section.kind)
            writer.add(
                kind: section.kind,
                section.kind == LogFormat.Section.ranges ? other.encoded() : plain)
        }
        let lying = PartHandle(
            descriptor: driver.handles[0].descriptor,
            reader: try PartReader(SharedBytes(writer.finish()), name: "lying"))
        let name = String(decoding: ranges.ranges(ofBlock: 3)[1].name, as: UTF8.self)
        #expect(
            driver.store.verify(lying).map(\.problem)
                == ["range of \(name) in block 3 is not that of its values"])
    }

    @Test func sectionsAreReadAsWritten() throws {
        var numbers = SeededNumbers(9)
        for _ in 0..<200 {
            var builder = NumberRangesBuilder()
            var wanted: [[NumberRange]] = []
            for block in 0..<(1 + numbers.below(20)) {
                let names = Set((0..<numbers.below(5)).map { _ in "k\(numbers.below(12))" })
                let ranges = names.sorted().map { name in
                    let least = Int64(truncatingIfNeeded: numbers.next()) >> numbers.below(64)
                    let span = Int64(numbers.next() >> 1) >> numbers.below(63)
                    let (sum, overflow) = least.addingReportingOverflow(span)
                    return NumberRange(
                        name: Array(name.utf8),
                        bounds: NumberBounds(least: least, greatest: overflow ? .max : sum))
                }.filter {
                    $0.bounds.greatest.subtractingReportingOverflow($0.bounds.least).overflow
                        == false
                }
                builder.add(ranges, ofBlock: block)
                wanted.append(ranges.sorted { $0.name.lexicographicallyPrecedes($1.name) })
            }
            let read = try NumberRanges(builder.encoded(), blockCount: wanted.count)
            for (block, ranges) in wanted.enumerated() {
                #expect(read.ranges(ofBlock: block) == ranges)
                for range in ranges {
                    let number = try #require(
                        read.number(of: String(decoding: range.name, as: UTF8.self)))
                    #expect(read.bounds(number, ofBlock: block) == range.bounds)
                }
            }
            #expect(read.number(of: "nobody") == nil)
        }
    }

    /// Whatever the bytes, a section is refused or its ranges are those of blocks there are.
    @Test func damagedSectionsNeverCrash() throws {
        let part = try LogPart(try filled().handles[0])
        let whole = try part.reader.read(LogFormat.Section.ranges)
        var numbers = SeededNumbers(3)
        var refused = 0
        for _ in 0..<20_000 {
            var bytes = whole
            for _ in 0...numbers.below(3) {
                let at = numbers.below(bytes.count)
                switch numbers.below(3) {
                case 0: bytes[at] = UInt8(truncatingIfNeeded: numbers.next())
                case 1: bytes.remove(at: at)
                default: bytes.insert(numbers.chance(50) ? 0xff : 0, at: at)
                }
            }
            do {
                let ranges = try NumberRanges(bytes, blockCount: part.blocks.count)
                for entry in ranges.entries {
                    #expect(entry.block < 40 && Int(entry.name) < ranges.names.count)
                    #expect(entry.bounds.least <= entry.bounds.greatest)
                }
            } catch { refused += 1 }
        }
        #expect(refused > 5_000 && refused < 20_000)
    }
}
