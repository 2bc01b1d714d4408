// SPDX-License-Identifier: Apache-2.0
// The export format of systemd's journal, as it arrives.

import Base
import Telemetry

/// Reads entries of the journal from bytes that come in pieces of any size.
///
/// MESSAGE is the line, `__REALTIME_TIMESTAMP` the time, PRIORITY the level. Names lose their
/// leading underscores and become lower case; fields with two underscores belong to the transport
/// and are left out. Stream labels are `job="systemd-journal"`, `hostname`, `systemd_unit` and
/// `service_name` (the unit where it is a service, else the syslog identifier or the command). Memory
/// is bounded: a field of more than `maxFieldBytes` is left out of its entry while it passes. Source:
/// systemd.io, "Journal Export Formats"; systemd.journal-fields(7).
package struct JournalExportReader {
    /// Bytes of a name with its value.
    package static let maxFieldBytes = 1 << 20

    private enum State {
        case field
        /// Bytes of a field that is left out.
        case skipping(Int)
        /// Up to a line end, of a field that is left out.
        case skippingLine
    }
    private let mapping: LogRecordMapping
    private let limits: LogLimits
    private let receivedNanos: Int64
    private var assembly: RecordAssembly
    private var state = State.field
    private var pending: [UInt8] = []
    // What is known of the entry at hand.
    private var nanos: Int64?
    private var level: LogLevel?
    private var message: [UInt8] = []
    private var service: (unit: [UInt8], identifier: [UInt8], command: [UInt8]) = ([], [], [])
    private var isEmpty = true
    /// Fields left out because of their size.
    package private(set) var fieldsLeftOut = 0

    package static let mapping: LogRecordMapping = {
        var mapping = LogRecordMapping()
        mapping.streamFields = ["hostname", "systemd_unit", "service_name"]
        mapping.messageFields = []
        mapping.timeFields = []
        mapping.labels = [.init("job", "systemd-journal")]
        return mapping
    }()

    /// - Parameter mapping: stream and ignored fields may be named as the journal does.
    package init(
        _ mapping: LogRecordMapping = JournalExportReader.mapping, receivedNanos: Int64,
        limits: LogLimits = LogLimits()
    ) {
        var mapping = mapping
        mapping.streamFields = mapping.streamFields.map { Self.plainName($0) }
        mapping.ignoredFields = mapping.ignoredFields.map { Self.plainName($0) }
        self.mapping = mapping
        self.limits = limits
        self.receivedNanos = receivedNanos
        assembly = RecordAssembly(mapping, receivedNanos: receivedNanos, limits: limits)
        assembly.begin()
    }

    private static func plainName(_ name: String) -> String {
        let bytes = Array(name.utf8)
        return bytes.withUnsafeBytes { String(decoding: plainName($0), as: UTF8.self) }
    }

    private static func plainName(_ name: UnsafeRawBufferPointer) -> [UInt8] {
        name.drop { $0 == UInt8(ascii: "_") }.map { $0 &- UInt8(ascii: "A") < 26 ? $0 | 0x20 : $0 }
    }

    // MARK: bytes in, rows out

    /// Bytes that rows and the entry at hand hold.
    package var heldBytes: Int { assembly.logs.result.batch.arena.count + pending.count }
    package var rowCount: Int { assembly.logs.result.batch.rowCount }

    /// The rows of whole entries so far; the entry at hand stays.
    package mutating func take() -> DecodedLogs {
        let taken = assembly.logs.result
        assembly.logs = LogAssembly(limits)
        return taken
    }

    /// - Throws: `MalformedBytes` for what is no field: the rest cannot be read then.
    package mutating func feed(_ bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        pending.append(contentsOf: bytes)
        var taken = 0
        // Taken out of `self`, which is changed while they are borrowed.
        var all: [UInt8] = []
        swap(&all, &pending)
        defer {
            all.removeSubrange(..<taken)
            swap(&all, &pending)
        }
        try all.readBytes { (all) throws(MalformedBytes) in
            while true {
                let used = try step(UnsafeRawBufferPointer(rebasing: all[taken...]))
                if used == 0 { break }
                taken += used
            }
        }
    }

    /// Ends the last entry, which may lack its empty line.
    ///
    /// - Throws: `MalformedBytes` when it lacks more than that.
    package mutating func finish() throws(MalformedBytes) {
        if !pending.isEmpty { try feed(StaticString("\n").bytes) }
        guard pending.isEmpty, case .field = state else {
            throw MalformedBytes(offset: 0, expected: "the rest of a journal entry")
        }
        endEntry()
    }

    /// Reads one field or what is there of one to be left out; the bytes that it took, 0 when more
    /// are needed.
    private mutating func step(_ bytes: UnsafeRawBufferPointer) throws(MalformedBytes) -> Int {
        switch state {
        case .skipping(let count):
            let taken = min(count, bytes.count)
            state = taken == count ? .field : .skipping(count - taken)
            return taken
        case .skippingLine:
            let end = findEither(0x0a, 0x0a, in: bytes)
            if end < bytes.count { state = .field }
            return min(bytes.count, end + 1)
        case .field: break
        }
        let lineEnd = findEither(0x0a, 0x0a, in: bytes)
        guard lineEnd < bytes.count else {
            guard bytes.count <= Self.maxFieldBytes else {
                fieldsLeftOut += 1
                state = .skippingLine
                return bytes.count
            }
            return 0
        }
        if lineEnd > Self.maxFieldBytes {
            fieldsLeftOut += 1
            return lineEnd + 1
        }
        if lineEnd == 0 {
            endEntry()
            return 1
        }
        let line = UnsafeRawBufferPointer(rebasing: bytes[..<lineEnd])
        let equal = findEither(UInt8(ascii: "="), UInt8(ascii: "="), in: line)
        if equal < line.count {
            try add(
                UnsafeRawBufferPointer(rebasing: line[..<equal]),
                UnsafeRawBufferPointer(rebasing: line[(equal + 1)...]))
            return lineEnd + 1
        }
        // Binary: a length of 64 bits, little-endian, the bytes, a line end.
        guard bytes.count >= lineEnd + 9 else { return 0 }
        let size = UInt64(
            littleEndian: bytes.loadUnaligned(fromByteOffset: lineEnd + 1, as: UInt64.self))
        guard size <= UInt64(Self.maxFieldBytes) else {
            guard size < 1 << 40 else {
                throw MalformedBytes(offset: 0, expected: "a journal field of less than 2^40 bytes")
            }
            try checkName(line)
            fieldsLeftOut += 1
            state = .skipping(Int(size) + 1)
            return lineEnd + 9
        }
        let start = lineEnd + 9, end = start + Int(size)
        guard bytes.count > end else { return 0 }
        guard bytes[end] == 0x0a else {
            throw MalformedBytes(offset: end, expected: "a line end after a journal field")
        }
        try add(line, UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
        return end + 1
    }

    // MARK: entries

    /// Source: systemd `journal_field_valid`: upper case letters, digits, underscores, no digit first.
    private func checkName(_ name: UnsafeRawBufferPointer) throws(MalformedBytes) {
        guard (1...256).contains(name.count), !(name[0] &- UInt8(ascii: "0") < 10),
            name.allSatisfy({
                $0 &- UInt8(ascii: "A") < 26 || $0 &- UInt8(ascii: "0") < 10
                    || $0 == UInt8(ascii: "_")
            })
        else {
            throw MalformedBytes(
                offset: 0,
                expected: "the name of a journal field, not "
                    + quotedText(String(decoding: name.prefix(64), as: UTF8.self)))
        }
    }

    private mutating func add(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
    ) throws(MalformedBytes) {
        try checkName(name)
        isEmpty = false
        if name.elementsEqual("__REALTIME_TIMESTAMP".utf8) {
            if let micros = parseInteger(value, as: Int64.self), micros >= 0,
                micros <= Int64.max / 1000
            {
                nanos = micros * 1000
            }
            return
        }
        if name.starts(with: "__".utf8) { return }
        let plain = Self.plainName(name)
        if plain.isEmpty { return }
        switch String(decoding: name, as: UTF8.self) {
        case "MESSAGE":
            message = Array(value)
            return
        case "PRIORITY":
            if value.count == 1, let digit = value.first, digit &- UInt8(ascii: "0") < 8 {
                level = Syslog.level(severity: Int(digit - UInt8(ascii: "0")))
            }
        case "_SYSTEMD_UNIT": if value.count < 256 { service.unit = Array(value) }
        case "SYSLOG_IDENTIFIER": if value.count < 256 { service.identifier = Array(value) }
        case "_COMM": if value.count < 256 { service.command = Array(value) }
        default: break
        }
        // Beyond the limits the entry is refused, so the rest need not be kept.
        plain.withUnsafeBytes { plain in
            let mark = assembly.enter { $0.append(contentsOf: plain) }
            assembly.addMember(isAdded: true) { $0.append(contentsOf: value) }
            assembly.leave(mark)
        }
    }

    private mutating func endEntry() {
        defer {
            assembly.begin()
            nanos = nil
            level = nil
            message.removeAll(keepingCapacity: true)
            service = ([], [], [])
            isEmpty = true
        }
        if isEmpty { return }
        let suffix = Array(".service".utf8)
        var name = service.identifier.isEmpty ? service.command : service.identifier
        if service.unit.count > suffix.count,
            service.unit.suffix(suffix.count).elementsEqual(suffix)
        {
            name = service.unit.dropLast(suffix.count)
        }
        name.withUnsafeBytes { assembly.add("service_name", $0) }
        _ = assembly.endRecord(nanos: nanos ?? receivedNanos, level: level) {
            $0.append(contentsOf: message)
        }
    }
}
