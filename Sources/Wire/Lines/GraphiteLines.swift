// SPDX-License-Identifier: Apache-2.0
// Graphite's plaintext protocol as samples.

import Base
import Telemetry

/// `servers.web1.load;dc=eu 0.5 1700000000` lines, as carbon takes them.
///
/// The path is the name of the series, dots and all; tags after semicolons are its labels. The
/// timestamp is in seconds, with decimals on wish; without one, or with 0, -1 or `N`, it is
/// the time of arrival.
///
/// Source: Graphite documentation, "Feeding in your data" and "Graphite tag support".
package enum GraphiteLines {
    /// Decodes lines, the last one with or without its end. Never fails as a whole; see
    /// `LineBatch`.
    ///
    /// - Parameter nowMillis: time of lines without one.
    package static func decode(
        _ bytes: UnsafeRawBufferPointer, nowMillis: Int64,
        limits: MetricDecodingLimits = MetricDecodingLimits()
    ) -> LineBatch {
        var collector = LineCollector(limits: limits, bodyBytes: bytes.count)
        var number = 0
        var start = 0
        while start < bytes.count {
            number += 1
            let end = findEither(10, 10, in: UnsafeRawBufferPointer(rebasing: bytes[start...]))
            let line = bytes[start..<(start + end)]
            start += end + 1
            do throws(LineProblem) {
                try read(UnsafeRawBufferPointer(rebasing: line), nowMillis, &collector)
            } catch {
                collector.result.reject(line: number, error.message)
            }
        }
        return collector.finish()
    }

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
    }

    private static func read(
        _ line: UnsafeRawBufferPointer, _ nowMillis: Int64, _ collector: inout LineCollector
    ) throws(LineProblem) {
        // Words from the end: a path may hold blanks in its tags.
        var rest = trimmed(line[...])
        if rest.isEmpty { return }
        let last = takeWord(&rest)
        let middle = takeWord(&rest)
        guard let last else { return }
        guard let middle else { throw LineProblem("a path and a value are needed") }
        // Without a timestamp two words are all there is.
        let (path, valueText, timeText) =
            rest.isEmpty ? (middle, last, nil) : (rest, middle, Optional(last))
        let text = UnsafeRawBufferPointer(rebasing: valueText)
        // Carbon drops what is not a number, too.
        guard let value = parseFloat(text), !value.isNaN else {
            throw LineProblem(notANumber(text))
        }
        var millis = nowMillis
        if let timeText { millis = try time(timeText, nowMillis) }
        let name = try readPath(path, &collector)
        if let problem = collector.add(name, millis: millis, value: value) { throw problem }
    }

    private static func trimmed(
        _ text: Slice<UnsafeRawBufferPointer>
    ) -> Slice<UnsafeRawBufferPointer> {
        var text = text
        while let byte = text.first, isBlank(byte) { text = text.dropFirst() }
        while let byte = text.last, isBlank(byte) { text = text.dropLast() }
        return text
    }

    /// Takes the last word off.
    private static func takeWord(
        _ text: inout Slice<UnsafeRawBufferPointer>
    ) -> Slice<UnsafeRawBufferPointer>? {
        guard !text.isEmpty else { return nil }
        var start = text.endIndex
        while start > text.startIndex, !isBlank(text[start - 1]) { start -= 1 }
        let word = text[start...]
        text = trimmed(text[..<start])
        return word
    }

    private static func time(
        _ text: Slice<UnsafeRawBufferPointer>, _ nowMillis: Int64
    ) throws(LineProblem) -> Int64 {
        let text = UnsafeRawBufferPointer(rebasing: text)
        if text.elementsEqual("N".utf8) { return nowMillis }
        if let seconds = parseInteger(text, as: Int32.self), seconds > 0 {
            return Int64(seconds) * 1000
        }
        guard let seconds = parseFloat(text) else { throw LineProblem(notANumber(text)) }
        if seconds == 0 || seconds == -1 { return nowMillis }
        guard let millis = Int64(exactly: (seconds * 1000).rounded(.towardZero)) else {
            throw LineProblem("timestamp out of range")
        }
        return millis
    }

    /// Reads the tags into the collector and returns the name.
    private static func readPath(
        _ path: Slice<UnsafeRawBufferPointer>, _ collector: inout LineCollector
    ) throws(LineProblem) -> UnsafeRawBufferPointer {
        collector.labels.reset()
        let semicolon = UInt8(ascii: ";")
        var end = path.firstIndex(of: semicolon) ?? path.endIndex
        let name = UnsafeRawBufferPointer(rebasing: path[..<end])
        while end < path.endIndex {
            let rest = path[(end + 1)...]
            end = rest.firstIndex(of: semicolon) ?? path.endIndex
            let tag = rest[..<end]
            guard let equal = tag.firstIndex(of: UInt8(ascii: "=")), equal > tag.startIndex else {
                throw LineProblem("tag without a name or value")
            }
            collector.labels.add(
                UnsafeRawBufferPointer(rebasing: tag[..<equal]),
                UnsafeRawBufferPointer(rebasing: tag[(equal + 1)...]))
        }
        try collector.sealLabels()
        return name
    }
}
