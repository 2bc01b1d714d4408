// SPDX-License-Identifier: Apache-2.0
// Log records as JSON objects, one a line.

import Base
import Telemetry

/// A body of JSON objects, one a line, or one array of them on any number of lines.
///
/// A line that is no object costs itself only. Source: jsonlines.org; VictoriaLogs
/// `docs/victorialogs/data-ingestion`, "JSON stream API"; the array is what Fluent Bit's `format
/// json` sends.
package enum JSONLines {
    /// - Throws: `MalformedBytes` when the records would take more memory than the limits allow;
    ///   `MalformedJSON` when the body begins as an array and is none.
    package static func decode(
        _ body: UnsafeRawBufferPointer, _ mapping: LogRecordMapping, receivedNanos: Int64,
        limits: LogLimits = LogLimits()
    ) throws -> DecodedLogs {
        var assembly = RecordAssembly(mapping, receivedNanos: receivedNanos, limits: limits)
        assembly.logs.result.batch.arena.reserveCapacity(body.count)
        if body.first(where: { $0 > 0x20 }) == UInt8(ascii: "[") {
            try decodeArray(body, &assembly)
            return assembly.logs.result
        }
        var number = 0
        try forEachLine(body) { line in
            number &+= 1
            if line.isEmpty { return }
            do {
                try decode(line, into: &assembly)
            } catch let error as MalformedJSON {
                assembly.logs.reject(1, "line \(number): \(error)")
            }
            try assembly.checkSize()
        }
        return assembly.logs.result
    }

    private static func decodeArray(
        _ body: UnsafeRawBufferPointer, _ assembly: inout RecordAssembly
    ) throws {
        var reader = JSONReader(body, maxDepth: RecordAssembly.maxDepth)
        try reader.beginArray()
        while try reader.nextElement() {
            var element = reader
            let text = try reader.skipValue()
            assembly.begin()
            guard try element.peek() == .object else {
                assembly.logs.reject(1, "element of the array that is no object")
                continue
            }
            try assembly.readObject(&element)
            _ = assembly.endRecord { $0.append(contentsOf: text) }
            try assembly.checkSize()
        }
        try reader.end()
    }

    /// Adds the record of one text, which must be one object.
    static func decode(
        _ text: UnsafeRawBufferPointer, into assembly: inout RecordAssembly
    ) throws(MalformedJSON) {
        var reader = JSONReader(text, maxDepth: RecordAssembly.maxDepth)
        assembly.begin()
        try assembly.readObject(&reader)
        try reader.end()
        _ = assembly.endRecord { $0.append(contentsOf: text) }
    }
}

/// Calls `body` with each line, without its end and without white space around it. A last line may
/// lack its end.
func forEachLine(
    _ text: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws -> Void
) rethrows {
    var start = 0
    while start < text.count {
        let rest = UnsafeRawBufferPointer(rebasing: text[start...])
        let end = findEither(UInt8(ascii: "\n"), UInt8(ascii: "\n"), in: rest)
        try body(trimmed(UnsafeRawBufferPointer(rebasing: rest[..<end])))
        start &+= end &+ 1
    }
}

/// Bytes without spaces, tabs and carriage returns at both ends.
func trimmed(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0d }
    var range = bytes.startIndex..<bytes.endIndex
    while !range.isEmpty, isBlank(bytes[range.lowerBound]) { range = range.dropFirst() }
    while !range.isEmpty, isBlank(bytes[range.upperBound - 1]) { range = range.dropLast() }
    return UnsafeRawBufferPointer(rebasing: bytes[range])
}
