// SPDX-License-Identifier: Apache-2.0
// Events of Fluentd's forward protocol.

import Base
import Telemetry

/// Messages of the forward protocol as log lines.
///
/// All four modes of version 1: Message, Forward, PackedForward and CompressedPackedForward (gzip),
/// and the time with metadata that Fluent Bit sends. A record goes the way of a JSON object
/// (`LogRecordMapping`); its tag is the field `tag`, which is a stream label by default. Source:
/// github.com/fluent/fluentd wiki, "Forward Protocol Specification v1".
package struct FluentForward {
    /// Bytes of a message on the wire.
    package static let maxMessageBytes = 32 << 20
    /// Bytes of the entries of a message when they are unpacked.
    static let maxUnpackedBytes = 64 << 20

    private var assembly: RecordAssembly

    package static let mapping: LogRecordMapping = {
        var mapping = LogRecordMapping()
        mapping.streamFields.append("tag")
        return mapping
    }()

    package init(
        _ mapping: LogRecordMapping = FluentForward.mapping, receivedNanos: Int64,
        limits: LogLimits = LogLimits()
    ) {
        assembly = RecordAssembly(mapping, receivedNanos: receivedNanos, limits: limits)
    }

    package var logs: DecodedLogs { assembly.logs.result }

    /// Where the message at `start` ends: nil when it is not here whole.
    ///
    /// - Throws: `MalformedBytes` when it is none or longer than a message may be.
    package static func messageEnd(
        in bytes: UnsafeRawBufferPointer, from start: Int
    ) throws(MalformedBytes) -> Int? {
        switch MessagePackReader.end(in: bytes, from: start) {
        case .at(let end) where end - start <= maxMessageBytes: return end
        case .malformed: throw MalformedBytes(offset: start, expected: "a MessagePack value")
        case .incomplete where bytes.count - start <= maxMessageBytes: return nil
        default:
            throw MalformedBytes(
                offset: start, expected: "a message of at most \(maxMessageBytes) bytes")
        }
    }

    /// The id under which a message wants to be acknowledged; nil when it wants no ack.
    ///
    /// - Throws: `MalformedBytes` when it is no message.
    package static func chunk(
        of message: UnsafeRawBufferPointer
    ) throws(MalformedBytes) -> [UInt8]? {
        var reader = MessagePackReader(message)
        guard case .array(let count) = try reader.next(), (2...4).contains(count) else {
            throw reader.malformed("an array with a tag")
        }
        try reader.skip()
        var ahead = reader
        let body = try ahead.next()
        // A time is followed by its record.
        var isEvent = true
        switch body {
        case .array, .bytes: isEvent = false
        default: break
        }
        guard count == (isEvent ? 4 : 3) else { return nil }
        try reader.skip()
        if isEvent { try reader.skip() }
        guard case .map(let pairs) = try reader.next() else { return nil }
        for _ in 0..<pairs {
            guard case .bytes(let key) = try reader.next() else {
                throw reader.malformed("a name in the option of a message")
            }
            if key.elementsEqual("chunk".utf8), case .bytes(let id) = try reader.next() {
                guard id.count <= 1024 else { throw reader.malformed("a chunk id of 1024 bytes") }
                return Array(id)
            } else if !key.elementsEqual("chunk".utf8) {
                try reader.skip()
            }
        }
        return nil
    }

    /// The answer to a chunk: `{"ack": id}`.
    package static func ack(_ chunk: [UInt8]) -> [UInt8] {
        var out: [UInt8] = [0x81, 0xa3]
        out += Array("ack".utf8)
        appendText(chunk, to: &out)
        return out
    }

    /// A string of up to 65535 bytes.
    package static func appendText(_ text: [UInt8], to out: inout [UInt8]) {
        if text.count < 32 {
            out.append(0xa0 | UInt8(text.count))
        } else {
            out += [
                0xda, UInt8(truncatingIfNeeded: text.count >> 8),
                UInt8(truncatingIfNeeded: text.count),
            ]
        }
        out += text.prefix(65_535)
    }

    // MARK: messages

    /// Takes in one whole message.
    ///
    /// - Throws: `MalformedBytes` when it is none, or for more memory than the limits allow.
    package mutating func decode(_ message: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = MessagePackReader(message)
        guard case .array(let count) = try reader.next(), (2...4).contains(count),
            case .bytes(let tag) = try reader.next()
        else { throw reader.malformed("an array with a tag") }
        let body = reader.offset
        switch try reader.next() {
        case .array(let entries):
            let first = reader
            // The entries come before the option that says how they are packed.
            for _ in 0..<entries { try reader.skip() }
            _ = try option(&reader, isThere: count > 2)
            var list = first
            for _ in 0..<entries { try decodeEntry(tag, message, &list) }
        case .bytes(let packed):
            let isCompressed = try option(&reader, isThere: count > 2)
            try decodePacked(tag, packed, isCompressed: isCompressed)
        default:
            guard count > 2 else { throw reader.malformed("a record after the time") }
            var event = MessagePackReader(message, offset: body)
            let time = try self.time(&event)
            try decodeRecord(tag, time, message, &event)
            _ = try option(&event, isThere: count > 3)
        }
    }

    /// Reads the option map and says whether the entries are compressed.
    private mutating func option(
        _ reader: inout MessagePackReader, isThere: Bool
    ) throws(MalformedBytes) -> Bool {
        guard isThere, case .map(let count) = try reader.next() else { return false }
        var isCompressed = false
        for _ in 0..<count {
            guard case .bytes(let key) = try reader.next() else {
                throw reader.malformed("a name in the option of a message")
            }
            if key.elementsEqual("compressed".utf8) {
                guard case .bytes(let name) = try reader.next() else {
                    throw reader.malformed("the name of a compression")
                }
                if name.elementsEqual("gzip".utf8) {
                    isCompressed = true
                } else if !name.elementsEqual("text".utf8) {
                    throw reader.malformed("compression gzip or text")
                }
            } else {
                try reader.skip()
            }
        }
        return isCompressed
    }

    private mutating func decodePacked(
        _ tag: UnsafeRawBufferPointer, _ packed: UnsafeRawBufferPointer, isCompressed: Bool
    ) throws(MalformedBytes) {
        guard isCompressed else { return try decodeEntries(tag, packed) }
        let plain: [UInt8]
        do {
            plain = try Deflate.decompress(packed, .gzip, limit: Self.maxUnpackedBytes)
        } catch {
            throw MalformedBytes(
                offset: 0, expected: "gzip of at most \(Self.maxUnpackedBytes) bytes")
        }
        try plain.readBytes { (bytes) throws(MalformedBytes) in try decodeEntries(tag, bytes) }
    }

    private mutating func decodeEntries(
        _ tag: UnsafeRawBufferPointer, _ bytes: UnsafeRawBufferPointer
    ) throws(MalformedBytes) {
        var reader = MessagePackReader(bytes)
        while !reader.isAtEnd { try decodeEntry(tag, bytes, &reader) }
    }

    /// `[time, record]` or `[[time, metadata], record]`.
    private mutating func decodeEntry(
        _ tag: UnsafeRawBufferPointer, _ bytes: UnsafeRawBufferPointer,
        _ reader: inout MessagePackReader
    ) throws(MalformedBytes) {
        guard case .array(2) = try reader.next() else {
            throw reader.malformed("a time and a record")
        }
        let time = try self.time(&reader)
        try decodeRecord(tag, time, bytes, &reader)
    }

    /// Nanoseconds since 1970; nil when there is no such time or it is zero.
    private func time(_ reader: inout MessagePackReader) throws(MalformedBytes) -> Int64? {
        func seconds(_ value: Int64, _ nanos: Int64 = 0) -> Int64? {
            value == 0 ? nil : LokiPush.unixNanos(seconds: value, nanos: nanos)
        }
        switch try reader.next() {
        case .int(let value): return seconds(value)
        case .float(let value):
            return value == 0 ? nil : Int64(exactly: (value * 1e9).rounded())
        case .ext(type: 0, let bytes) where bytes.count == 8:
            func word(_ at: Int) -> Int64 {
                Int64(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
            }
            return seconds(word(0), min(word(4), 999_999_999))
        case .array(let count) where count > 0:
            let time = try plainTime(&reader)
            for _ in 1..<count { try reader.skip() }
            return time
        default: throw reader.malformed("a time")
        }
    }

    /// A time that is not within another.
    private func plainTime(_ reader: inout MessagePackReader) throws(MalformedBytes) -> Int64? {
        var ahead = reader
        if case .array = try ahead.next() { throw reader.malformed("a time") }
        return try time(&reader)
    }

    // MARK: records

    private mutating func decodeRecord(
        _ tag: UnsafeRawBufferPointer, _ nanos: Int64?, _ bytes: UnsafeRawBufferPointer,
        _ reader: inout MessagePackReader
    ) throws(MalformedBytes) {
        let start = reader.offset
        guard case .map(let count) = try reader.next() else { throw reader.malformed("a record") }
        assembly.begin()
        assembly.add("tag", tag)
        try readMembers(count, &reader, depth: 1)
        var failure: MalformedBytes?
        _ = assembly.endRecord(nanos: nanos) { out in
            var json = JSONWriter(reserving: 0)
            swap(&json.bytes, &out)
            defer { swap(&json.bytes, &out) }
            var again = MessagePackReader(bytes, offset: start)
            do throws(MalformedBytes) {
                try Self.writeJSON(&again, &json, depth: 0)
            } catch { failure = error }
        }
        if let failure { throw failure }
        try assembly.checkSize()
    }

    private mutating func readMembers(
        _ count: Int, _ reader: inout MessagePackReader, depth: Int
    ) throws(MalformedBytes) {
        guard depth <= RecordAssembly.maxDepth else {
            throw reader.malformed("records nested at most \(RecordAssembly.maxDepth) deep")
        }
        for _ in 0..<count {
            let key = try Self.name(&reader)
            let mark = assembly.enter { $0 += key }
            let start = reader
            switch try reader.next() {
            case .null, .ext: break
            case .map(let count): try readMembers(count, &reader, depth: depth + 1)
            case .array:
                var text: [UInt8] = []
                var json = JSONWriter(reserving: 0)
                reader = start
                try Self.writeJSON(&reader, &json, depth: depth)
                swap(&text, &json.bytes)
                assembly.addMember { $0 += text }
            case let value: assembly.addMember { Self.appendText(of: value, to: &$0) }
            }
            assembly.leave(mark)
        }
    }

    private static func appendText(of value: MessagePackValue, to out: inout [UInt8]) {
        switch value {
        case .bytes(let bytes): out.append(contentsOf: bytes)
        case .int(let number): appendDecimal(number, into: &out)
        case .uint(let number): out += Array(String(number).utf8)
        case .float(let number): appendFloat(number, into: &out)
        case .bool(let flag): out += Array((flag ? "true" : "false").utf8)
        case .null, .array, .map, .ext: break
        }
    }

    /// The name of a member, which is no array, map or extension.
    private static func name(_ reader: inout MessagePackReader) throws(MalformedBytes) -> [UInt8] {
        var name: [UInt8] = []
        switch try reader.next() {
        case .array, .map, .ext: throw reader.malformed("a name in a record")
        case let value: appendText(of: value, to: &name)
        }
        return name
    }

    /// Writes one value as the JSON it stands for; extensions are null.
    private static func writeJSON(
        _ reader: inout MessagePackReader, _ json: inout JSONWriter, depth: Int
    ) throws(MalformedBytes) {
        guard depth <= RecordAssembly.maxDepth else {
            throw reader.malformed("records nested at most \(RecordAssembly.maxDepth) deep")
        }
        switch try reader.next() {
        case .null, .ext: json.null()
        case .bool(let flag): json.bool(flag)
        case .int(let number): json.int(number)
        case .uint(let number): json.raw(String(number))
        case .float(let number):
            if number.isFinite {
                json.raw(floatText(number))
            } else {
                json.string(floatText(number))
            }
        case .bytes(let bytes): json.string(bytes)
        case .array(let count):
            json.beginArray()
            for _ in 0..<count { try writeJSON(&reader, &json, depth: depth + 1) }
            json.endArray()
        case .map(let count):
            json.beginObject()
            for _ in 0..<count {
                let name = try name(&reader)
                name.withUnsafeBytes { json.key($0) }
                try writeJSON(&reader, &json, depth: depth + 1)
            }
            json.endObject()
        }
    }
}
