// SPDX-License-Identifier: Apache-2.0
// Loki's push API: protobuf in, both encodings out.

import Base
import Telemetry

/// The body of `POST /loki/api/v1/push`, after content encodings (and snappy, for protobuf).
///
/// Source: grafana/loki `pkg/push/push.proto` and `pkg/loghttp` (Apache-2.0 parts). A stream or line
/// that exceeds a limit is left out with a message; the rest is kept. Labels are sorted, empty
/// values dropped; structured metadata likewise, its names cleaned to label names. Precomputed
/// stream hashes and the `parsed` field are ignored.
package enum LokiPush {
    /// Largest body: slices of the arena count in 32 bits.
    static let maxBodyBytes = 1 << 30

    /// Decodes a `PushRequest`.
    ///
    /// - Throws: `MalformedBytes` when the bytes are not such a message.
    package static func decodeProtobuf(
        _ body: UnsafeRawBufferPointer, limits: LogLimits = LogLimits()
    ) throws(MalformedBytes) -> DecodedLogs {
        guard body.count <= maxBodyBytes else {
            throw MalformedBytes(offset: 0, expected: "a body of at most \(maxBodyBytes) bytes")
        }
        var assembly = LogAssembly(limits)
        assembly.result.batch.arena.reserveCapacity(body.count)
        var request = ProtobufReader(body)
        while try request.next() {
            if request.field == 1 {
                try decodeStream(try request.message(), &assembly)
            } else {
                try request.skip()
            }
        }
        return assembly.result
    }

    private static func decodeStream(
        _ message: ProtobufReader, _ assembly: inout LogAssembly
    ) throws(MalformedBytes) {
        // Entries may come before the labels they belong to.
        var scan = message
        var labels = UnsafeRawBufferPointer(start: nil, count: 0)
        while try scan.next() {
            if scan.field == 1 { labels = try scan.bytes() } else { try scan.skip() }
        }
        beginStream(labels, &assembly)
        var message = message
        while try message.next() {
            if message.field == 2 {
                try decodeEntry(try message.message(), &assembly)
            } else {
                try message.skip()
            }
        }
        assembly.endRows()
    }

    /// Makes label text the current stream, or refuses the stream.
    static func beginStream(_ text: UnsafeRawBufferPointer, _ assembly: inout LogAssembly) {
        do throws(MalformedLabelText) {
            try StreamLabelText.parse(text, into: &assembly.labels)
        } catch {
            assembly.refuseStream(
                "Error parsing labels '\(String(decoding: text, as: UTF8.self))' with error: "
                    + "\(error)")
            return
        }
        assembly.beginStream { labels in
            "stream '\(labels)' has duplicate label name: '\(duplicateName(text))'"
        }
    }

    /// Name of the first label that occurs twice: for the message only.
    private static func duplicateName(_ text: UnsafeRawBufferPointer) -> String {
        var seen = LabelsBuilder()
        guard (try? StreamLabelText.parse(text, into: &seen)) != nil else { return "" }
        return seen.firstRepeatedName ?? ""
    }

    private static func decodeEntry(
        _ message: ProtobufReader, _ assembly: inout LogAssembly
    ) throws(MalformedBytes) {
        var message = message
        var seconds: Int64 = 0
        var nanos: Int64 = 0
        var line = UnsafeRawBufferPointer(start: nil, count: 0)
        while try message.next() {
            switch message.field {
            case 1:
                var time = try message.message()
                while try time.next() {
                    switch time.field {
                    case 1: seconds = try time.int64()
                    case 2: nanos = Int64(try time.int32())
                    default: try time.skip()
                    }
                }
            case 2: line = try message.bytes()
            case 3:
                var pair = try message.message()
                var name = UnsafeRawBufferPointer(start: nil, count: 0)
                var value = name
                while try pair.next() {
                    switch pair.field {
                    case 1: name = try pair.bytes()
                    case 2: value = try pair.bytes()
                    default: try pair.skip()
                    }
                }
                assembly.addMetadata(name, value)
            default: try message.skip()
            }
        }
        guard let time = unixNanos(seconds: seconds, nanos: nanos) else {
            assembly.dropRow()
            assembly.reject(1, "entry has timestamp out of range: \(seconds) s")
            return
        }
        assembly.endOneOfRows(nanos: time, line: assembly.result.batch.arena.keep(line))
    }

    /// Nanoseconds since 1970, or nil outside 1677…2262.
    static func unixNanos(seconds: Int64, nanos: Int64) -> Int64? {
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (time, carry) = whole.addingReportingOverflow(nanos)
        return overflow || carry ? nil : time
    }

    // MARK: encoding

    /// Encodes a batch as `PushRequest`, not compressed. Streams in the batch's order.
    package static func encodeProtobuf(_ batch: LogBatch) -> [UInt8] {
        var writer = ProtobufWriter(reserving: batch.arena.count + 24 * batch.rowCount)
        var text: [UInt8] = []
        for (stream, rows) in batch.rowsByStream() {
            let mark = writer.begin(1)
            text.removeAll(keepingCapacity: true)
            batch.arena.withSlice(batch.streams[stream].slice) {
                StreamLabelText.append($0, to: &text)
            }
            writer.bytes(1, text)
            for row in rows {
                let entry = writer.begin(2)
                let time = writer.begin(1)
                let (seconds, rest) = batch.nanos[row].quotientAndRemainder(
                    dividingBy: 1_000_000_000)
                // Nanoseconds of a Timestamp are never negative.
                writer.int64(1, rest < 0 ? seconds - 1 : seconds)
                writer.int32(2, Int32(rest < 0 ? rest + 1_000_000_000 : rest))
                writer.end(time)
                batch.arena.withSlice(batch.lines[row]) { writer.bytes(2, $0) }
                batch.arena.withSlice(batch.metadata[row]) { metadata in
                    forEachLabel(in: metadata) { name, value in
                        let pair = writer.begin(3)
                        writer.bytes(1, name)
                        writer.bytes(2, value)
                        writer.end(pair)
                    }
                }
                writer.end(entry)
            }
            writer.end(mark)
        }
        return writer.bytes
    }

    /// Encodes a batch as the JSON of a push. Streams in the batch's order; bytes that are not
    /// UTF-8 come out as U+FFFD.
    package static func encodeJSON(_ batch: LogBatch) -> [UInt8] {
        var json = JSONWriter(reserving: batch.arena.count + 32 * batch.rowCount)
        json.beginObject()
        json.key("streams")
        json.beginArray()
        for (stream, rows) in batch.rowsByStream() {
            json.beginObject()
            json.key("stream")
            write(labels: batch.streams[stream].slice, batch, &json)
            json.key("values")
            json.beginArray()
            for row in rows {
                json.beginArray()
                json.string(String(batch.nanos[row]))
                batch.arena.withSlice(batch.lines[row]) { json.string($0) }
                if !batch.metadata[row].isEmpty {
                    write(labels: batch.metadata[row], batch, &json)
                }
                json.endArray()
            }
            json.endArray()
            json.endObject()
        }
        json.endArray()
        json.endObject()
        return json.bytes
    }

    private static func write(labels: ByteSlice, _ batch: LogBatch, _ json: inout JSONWriter) {
        json.beginObject()
        batch.arena.withSlice(labels) { bytes in
            forEachLabel(in: bytes) { name, value in
                json.key(name)
                json.string(value)
            }
        }
        json.endObject()
    }
}

extension LogBatch {
    /// Rows by stream, streams in the batch's order and without those that have no rows.
    func rowsByStream() -> [(stream: Int, rows: [Int])] {
        var rows = [[Int]](repeating: [], count: streams.count)
        for row in 0..<rowCount { rows[Int(rowStreams[row])].append(row) }
        return rows.enumerated().filter { !$0.element.isEmpty }.map { ($0.offset, $0.element) }
    }
}
