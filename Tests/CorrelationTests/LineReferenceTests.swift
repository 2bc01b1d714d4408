// SPDX-License-Identifier: Apache-2.0
// References from traces to log lines, against a plain set.

import Base
import Storage
import Telemetry
import Testing

@testable import Correlation

@Suite struct LineReferenceTests {
    private struct Line: Hashable {
        var trace: Int
        var stream: UInt64
        var nanos: Int64
    }

    private func id(_ n: Int) -> TraceID {
        TraceID(high: UInt64(n) &* 0x9e37_79b9_7f4a_7c15, low: UInt64(n))
    }

    /// Some traces have one line, one has very many, so that it goes over pages.
    private func lines(_ count: Int, seed: UInt64) -> [Line] {
        var state = seed
        func below(_ n: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % n
        }
        return (0..<count).map { _ in
            Line(
                trace: below(4) == 0 ? 0 : below(3000), stream: UInt64(below(7)) + 1,
                nanos: noon + Int64(below(1 << 20)) << 17)
        }
    }

    private func expected(_ lines: [Line], _ trace: Int) -> Set<LogReference> {
        Set(
            lines.filter { $0.trace == trace }
                .map { LogReference(streamHash: $0.stream, nanos: $0.nanos) })
    }

    private func filled(_ lines: some Sequence<Line>) -> LineReferences {
        var references = LineReferences()
        for line in lines {
            references.add(
                id(line.trace), stream: references.number(ofStream: line.stream),
                nanos: line.nanos)
        }
        return references
    }

    @Test func nearWindowsOfAStreamAreOneStretch() {
        let windows: [(UInt64, Int64)] = [(2, 500), (1, 10), (1, 138), (1, 12), (1, 400), (2, 501)]
        let references = windows.map { LogReference(streamHash: $0.0, window: $0.1) }
        func stretch(_ stream: UInt64, _ first: Int64, _ last: Int64) -> LogStretch {
            LogStretch(
                streamHash: stream,
                range: NanosRange(
                    first: LogReference(streamHash: stream, window: first).range.first,
                    last: LogReference(streamHash: stream, window: last).range.last))
        }
        // 138 is 126 windows after 12; 400 is too far.
        #expect(
            LogReference.joined(references)
                == [stretch(1, 10, 138), stretch(1, 400, 400), stretch(2, 500, 501)])
        #expect(LogReference.joined([LogReference]()).isEmpty)
    }

    private func decoded(
        _ references: LineReferences, most: Int = .max
    ) throws -> (pages: LinePages, bytes: [UInt8]) {
        let sorted = references.sorted(most: most)
        let coded = LinePages.encode(streams: sorted.streams, rows: sorted.rows)
        let pages = try coded.directory.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            let pages = try LinePages(directory: &reader, bytes: coded.pages.count)
            #expect(reader.isAtEnd)
            return pages
        }
        return (pages, coded.pages)
    }

    private func found(
        _ pages: LinePages, _ bytes: [UInt8], _ trace: Int
    ) throws -> [LogReference] {
        try bytes.withUnsafeBytes { try pages.references(id(trace), in: $0) }
    }

    @Test func headsPartsAndMergesFindEveryLine() throws {
        let lines = lines(30_000, seed: 11)
        let half = filled(lines[..<15_000]), other = filled(lines[15_000...])
        let whole = filled(lines)
        let first = try decoded(half), second = try decoded(other)
        var merged = try first.bytes.withUnsafeBytes { try first.pages.all(in: $0) }
        merged.merge(try second.bytes.withUnsafeBytes { try second.pages.all(in: $0) })
        let (pages, bytes) = try decoded(merged)
        #expect(bytes == (try decoded(whole)).bytes)
        for trace in [0, 1, 2, 17, 2999, 5000] {
            let wanted = expected(lines, trace)
            #expect(Set(whole.references(id(trace))) == wanted)
            #expect(Set(try found(pages, bytes, trace)) == wanted)
        }
    }

    @Test func aTraceHasAtMostSoMany() throws {
        let lines = lines(5000, seed: 12)
        let (pages, bytes) = try decoded(filled(lines), most: 10)
        #expect(try found(pages, bytes, 0).count == 10)
        #expect(try found(pages, bytes, 1).count <= 10)
    }

    @Test func nothingIsAPageToo() throws {
        let (pages, bytes) = try decoded(LineReferences())
        #expect(try found(pages, bytes, 1).isEmpty)
    }

    @Test func wrongPagesGiveFaults() throws {
        let sorted = filled(lines(2000, seed: 13)).sorted(most: .max)
        let good = LinePages.encode(streams: sorted.streams, rows: sorted.rows)
        var state: UInt64 = 5
        func below(_ n: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % n
        }
        var noticed = 0
        for _ in 0..<2000 {
            var directory = good.directory, bytes = good.pages
            if below(2) == 0 {
                directory[below(directory.count)] = UInt8(below(256))
            } else {
                bytes[below(bytes.count)] = UInt8(below(256))
            }
            if below(8) == 0 { bytes.removeLast(below(bytes.count)) }
            do {
                try directory.withUnsafeBytes { directory in
                    var reader = ByteReader(directory)
                    let pages = try LinePages(directory: &reader, bytes: bytes.count)
                    try bytes.withUnsafeBytes {
                        _ = try pages.references(id(below(3000)), in: $0)
                        _ = try pages.all(in: $0)
                    }
                }
            } catch is MalformedBytes { noticed += 1 }
        }
        #expect(noticed > 500)
    }

    @Test func windowsHoldTheirTimes() {
        for nanos in [Int64.min, -1, 0, 1, noon, .max] {
            let range = LogReference(streamHash: 1, nanos: nanos).range
            #expect(range.contains(nanos))
            #expect(range.last.rawValue - range.first.rawValue == 1 << 24 - 1)
        }
    }
}
