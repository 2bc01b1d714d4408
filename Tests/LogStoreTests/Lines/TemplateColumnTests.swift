// SPDX-License-Identifier: Apache-2.0
// Lines through templates and back.

import Base
import Telemetry
import TestKit
import Testing

@testable import LogStore

/// Encodes and decodes; nil when the encoder gave up.
private func roundTrip(_ lines: [[UInt8]], ids: [RowIDs] = []) throws -> Bool {
    let text = lines.flatMap { $0 }
    guard let coded = TemplateColumn.encode(text, lines.map { UInt32($0.count) }, ids: ids) else {
        return false
    }
    let decoded = try TemplateColumn.decode(
        SharedBytes(coded), rows: lines.count, total: text.count
    ) { ids }
    #expect(Array(decoded.text.buffer) == text)
    var offset = 0
    for (line, slice) in zip(lines, decoded.lines) {
        #expect(Int(slice.offset) == offset && Int(slice.count) == line.count)
        offset += line.count
    }
    return true
}

@Test func linesOfOneTemplateComeBack() throws {
    let lines = (0..<500).map {
        Array(
            "2026-11-30T10:00:0\($0 % 10)Z level=info id=4bf92f3577b34da6a3ce929d0e0e\(4000 + $0) took=\($0)ms 007 \($0 * $0)"
                .utf8)
    }
    #expect(try roundTrip(lines))
}

/// Ids that were lifted out of lines are not kept twice.
@Test func idsOfRowsComeBack() throws {
    let ids = (0..<100).map {
        RowIDs(
            traceHigh: 0x4bf9_2f35_77b3_4da6, traceLow: 77 &+ UInt64($0), span: UInt64($0) &* 999)
    }
    let lines = ids.map { id -> [UInt8] in
        var line = Array("trace_id=".utf8)
        appendHex(id.traceHigh, &line)
        appendHex(id.traceLow, &line)
        line += Array(" span_id=".utf8)
        appendHex(id.span, &line)
        return line
    }
    #expect(try roundTrip(lines, ids: ids))
    let text = lines.flatMap { $0 }
    let lengths = lines.map { UInt32($0.count) }
    let kept = try #require(TemplateColumn.encode(text, lengths, ids: ids))
    #expect(kept.count < 60)
    var others = ids
    others[50].span = 1
    #expect(try roundTrip(lines, ids: others))
}

@Test func oddLinesComeBack() throws {
    let odd =
        [
            "", "0", "00", "007", "7", "18446744073709551615", "99999999999999999999999", "a1",
            "1a", "1",
            "ff", "FF00", "deadbeef", "0xdeadbeef", "\0", "a\0b1", "é1", "12é", "1.2.3.4", "-5",
            "+3",
            String(repeating: "1 ", count: 300), String(repeating: "9", count: 1000),
        ].map { Array($0.utf8) } + [[0xff, 0xfe, 0x31], [0x80], [0x30, 0xff, 0x30]]
    #expect(try roundTrip(odd + odd + odd + odd))
    for line in odd { #expect(try roundTrip([line, line])) }
}

@Test func randomLinesComeBack() throws {
    var random = SplitMix64(seed: 5)
    let pieces =
        [
            "user", "=", " ", "12", "0", "007", "3f2a", "deadbeef", "-", "ms", "\t", "x1", "\u{0}",
            "é",
            "99999999999999999999", "A", "F0", ".", "\"",
        ].map { Array($0.utf8) } + [[0xff], [0xc3]]
    var taken = 0
    for _ in 0..<300 {
        let shapes = (0..<(1 + random.next() % 4)).map { _ in
            (0..<(random.next() % 12)).map { _ in Int(random.next() % UInt64(pieces.count)) }
        }
        let lines = (0..<(1 + random.next() % 60)).map { _ -> [UInt8] in
            var shape = shapes[Int(random.next() % UInt64(shapes.count))]
            if !shape.isEmpty, random.next() % 4 == 0 {
                shape[Int(random.next() % UInt64(shape.count))] =
                    Int(random.next() % UInt64(pieces.count))
            }
            return shape.flatMap { piece in
                random.next() % 8 == 0 ? Array("\(random.next() % 1000)".utf8) : pieces[piece]
            }
        }
        if try roundTrip(lines) { taken += 1 }
    }
    #expect(taken > 200)
}

@Test func linesWithNothingInCommonAreLeft() throws {
    let lines = (0..<200).map { number -> [UInt8] in
        Array(String(repeating: "w", count: number + 1).utf8)
    }
    #expect(try !roundTrip(lines))
}

/// Whatever the bytes, decoding throws or gives lines within the text.
@Test func damagedTemplatesNeverCrash() throws {
    var random = SplitMix64(seed: 9)
    let lines = (0..<40).map {
        Array(
            "a=\($0) b=\($0 % 3) id=00ff00ff00ff00\(10 + $0) t=0\($0 % 10) \($0 % 2 == 0 ? "x" : "y")"
                .utf8)
    }
    let text = lines.flatMap { $0 }
    let good = try #require(TemplateColumn.encode(text, lines.map { UInt32($0.count) }))
    let needles = ["a", "7", "=1", "0a1b", "12 "].map { Array($0.utf8) }
    var refused = 0
    for _ in 0..<20_000 {
        var bytes = good
        for _ in 0...(random.next() % 3) {
            let at = Int(random.next() % UInt64(bytes.count))
            switch random.next() % 4 {
            case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
            case 1: bytes[at] = 0xff
            case 2: bytes.remove(at: at)
            default: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: at)
            }
        }
        do {
            let shared = SharedBytes(bytes)
            let block = try TemplateBlock(
                shared.buffer, owner: shared, rows: lines.count, total: text.count
            ) { _ in [] }
            for needle in needles {
                _ = try needle.withUnsafeBytes { try block.rowsContaining($0) }
            }
            _ = try block.build([1, UInt32(lines.count - 1)])
            let decoded = try block.build(nil)
            #expect(decoded.text.count == text.count)
            #expect(decoded.lines.allSatisfy { $0.range.upperBound <= text.count })
        } catch is MalformedBytes { refused += 1 }
    }
    #expect(refused > 5000)
}
