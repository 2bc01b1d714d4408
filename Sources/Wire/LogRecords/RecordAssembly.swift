// SPDX-License-Identifier: Apache-2.0
// Turns records with named fields into rows of a log batch.

import Base
import Telemetry

/// Collects the fields of one record after another and makes lines of them.
///
/// A record's message becomes the line; stream fields become labels, the other fields structured
/// metadata. A record without a message becomes a line as a whole, and then its fields are not kept
/// a second time: `| json` finds them. Names become label names (`.` and the like turn to `_`).
struct RecordAssembly {
    var logs: LogAssembly
    let mapping: LogRecordMapping
    /// Time of records that carry none, in nanoseconds since 1970.
    let receivedNanos: Int64

    private struct Field {
        var name: Range<Int>
        var value: Range<Int>
        /// Whether it does not come out of the record's text.
        var isAdded: Bool
    }
    private let streamNames: [[UInt8]]
    private let messageNames: [[UInt8]]
    private let timeNames: [[UInt8]]
    private let ignoredNames: [[UInt8]]
    /// Names and values of the record at hand, and where they lie.
    private var texts: [UInt8] = []
    private var fields: [Field] = []
    /// Path of the member at hand.
    private var path: [UInt8] = []
    private var clean: [UInt8] = []
    /// Why the record at hand cannot be taken.
    private var problem: String?

    init(_ mapping: LogRecordMapping, receivedNanos: Int64, limits: LogLimits) {
        logs = LogAssembly(limits)
        self.mapping = mapping
        self.receivedNanos = receivedNanos
        streamNames = mapping.streamFields.map { Array($0.utf8) }
        messageNames = mapping.messageFields.map { Array($0.utf8) }
        timeNames = mapping.timeFields.map { Array($0.utf8) }
        ignoredNames = mapping.ignoredFields.map { Array($0.utf8) }
    }

    // MARK: fields

    /// Starts a record; what an unfinished one left is forgotten.
    mutating func begin() {
        texts.removeAll(keepingCapacity: true)
        fields.removeAll(keepingCapacity: true)
        path.removeAll(keepingCapacity: true)
        problem = nil
        for field in mapping.extraFields { add(field.name, field.value) }
    }

    mutating func add(_ name: String, _ value: String) {
        var name = name, value = value
        name.withUTF8 { n in
            value.withUTF8 { v in add(UnsafeRawBufferPointer(n), UnsafeRawBufferPointer(v)) }
        }
    }

    mutating func add(_ name: StaticString, _ value: UnsafeRawBufferPointer) {
        add(name.bytes, value)
    }

    /// Adds a field that is kept whatever becomes the line; an empty value is none.
    mutating func add(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        let start = texts.count
        texts.append(contentsOf: name)
        let middle = texts.count
        texts.append(contentsOf: value)
        endField(start..<middle, isAdded: true)
    }

    /// Makes what was appended behind a name its value.
    private mutating func endField(_ name: Range<Int>, isAdded: Bool) {
        let value = name.upperBound..<texts.count
        if value.isEmpty || isIgnored(name) {
            texts.removeSubrange(name.lowerBound...)
            return
        }
        fields.append(Field(name: name, value: value, isAdded: isAdded))
    }

    private func isIgnored(_ name: Range<Int>) -> Bool {
        if ignoredNames.isEmpty { return false }
        return texts.withUnsafeBytes { all in
            let name = UnsafeRawBufferPointer(rebasing: all[name])
            return ignoredNames.contains { pattern in
                pattern.last == UInt8(ascii: "*")
                    ? name.starts(with: pattern.dropLast()) : name.elementsEqual(pattern)
            }
        }
    }

    // MARK: paths

    /// Goes into a member of a record; `leave` with the result goes out again.
    mutating func enter(_ name: (inout [UInt8]) -> Void) -> Int {
        let mark = path.count
        if mark > 0 { path.append(UInt8(ascii: ".")) }
        name(&path)
        return mark
    }

    mutating func leave(_ mark: Int) { path.removeSubrange(mark...) }

    /// Adds the member at hand with the value that `write` appends. What makes a record larger than
    /// lines and metadata may be is not collected: the record is refused.
    mutating func addMember(isAdded: Bool = false, _ write: (inout [UInt8]) -> Void) {
        let limits = logs.limits
        if problem != nil { return }
        guard path.count <= limits.maxLabelNameBytes else {
            problem = "field name of more than \(limits.maxLabelNameBytes) bytes"
            return
        }
        let start = texts.count
        texts.append(contentsOf: path)
        let name = start..<texts.count
        write(&texts)
        guard texts.count <= limits.maxLineBytes &+ limits.maxMetadataBytes,
            fields.count <= 2 &* limits.maxMetadataCount
        else {
            problem = "record has more fields or bytes than a line with its metadata may have"
            return
        }
        endField(name, isAdded: isAdded)
    }

    // MARK: rows

    /// Makes a row of the record at hand.
    ///
    /// - Parameters:
    ///   - nanos: its time where the format has a place for it; nil = a field or the arrival.
    ///   - level: its level where the format has a place for it.
    ///   - whole: appends the record as text, for a line without a message.
    /// - Returns: why it was not taken, which `logs` has counted; nil when it was.
    mutating func endRecord(
        nanos: Int64? = nil, level: LogLevel? = nil, whole: (inout [UInt8]) -> Void
    ) -> String? {
        // Taken out of `self`, which is changed while they are borrowed.
        var texts: [UInt8] = []
        swap(&texts, &self.texts)
        defer { swap(&texts, &self.texts) }
        return texts.withUnsafeBytes { endRecord($0, nanos, level, whole) }
    }

    private mutating func endRecord(
        _ all: UnsafeRawBufferPointer, _ given: Int64?, _ level: LogLevel?,
        _ whole: (inout [UInt8]) -> Void
    ) -> String? {
        var nanos = given ?? receivedNanos
        var used = -1
        if given == nil, problem == nil { used = readTime(all, &nanos) }
        if let problem {
            logs.reject(1, problem)
            return problem
        }
        setLabels(all)
        let message = field(messageNames, all)
        let before = logs.result.batch.rowCount
        let start = logs.result.batch.arena.count
        if let message {
            logs.result.batch.arena.append(contentsOf: all[fields[message].value])
        } else {
            whole(&logs.result.batch.arena)
        }
        let line = ByteSlice(offset: start, count: logs.result.batch.arena.count - start)
        if let level { logs.addMetadata(StaticString("detected_level").bytes, level.text.bytes) }
        for (index, field) in fields.enumerated() {
            // Without a message the line has it.
            if message == nil, !field.isAdded { continue }
            if index == message || index == used { continue }
            let name = UnsafeRawBufferPointer(rebasing: all[field.name])
            if streamNames.contains(where: { name.elementsEqual($0) }) { continue }
            logs.addMetadata(name, UnsafeRawBufferPointer(rebasing: all[field.value]))
        }
        logs.endRow(nanos: nanos, line: line)
        if logs.result.batch.rowCount > before { return nil }
        return logs.result.errors.last
            ?? "record exceeds the limits of a line, its labels or metadata"
    }

    /// The first field of the best name.
    private func field(_ names: [[UInt8]], _ all: UnsafeRawBufferPointer) -> Int? {
        for name in names {
            if let index = fields.firstIndex(where: {
                $0.name.count == name.count && all[$0.name].elementsEqual(name)
            }) {
                return index
            }
        }
        return nil
    }

    /// Reads the time and gives the field it was in, or -1.
    private mutating func readTime(_ all: UnsafeRawBufferPointer, _ nanos: inout Int64) -> Int {
        for name in timeNames {
            guard let index = field([name], all) else { continue }
            let text = UnsafeRawBufferPointer(rebasing: all[fields[index].value])
            if let time = RecordTime.nanos(text) {
                // Senders that know no time write 0.
                if time != 0 { nanos = time }
                return index
            }
            if mapping.isTimeFieldGiven {
                problem =
                    "field \(quotedText(String(decoding: name, as: UTF8.self))) is no time: "
                    + quotedText(String(decoding: text.prefix(64), as: UTF8.self))
                return -1
            }
        }
        return -1
    }

    private mutating func setLabels(_ all: UnsafeRawBufferPointer) {
        for label in mapping.labels {
            var name = label.name, value = label.value
            name.withUTF8 { n in
                value.withUTF8 { v in
                    logs.setLabel(UnsafeRawBufferPointer(n), UnsafeRawBufferPointer(v))
                }
            }
        }
        for name in streamNames {
            guard let index = field([name], all) else { continue }
            let value = UnsafeRawBufferPointer(rebasing: all[fields[index].value])
            clean.removeAll(keepingCapacity: true)
            let isName = name.withUnsafeBytes { appendCompliantLabelName($0, to: &clean) }
            guard isName else { continue }
            clean.withUnsafeBytes { logs.setLabel($0, value) }
        }
        ServiceName.addIfMissing(to: &logs.labels)
        logs.beginStream()
    }

    /// - Throws: `MalformedBytes` when the request takes more memory than it may.
    func checkSize() throws(MalformedBytes) {
        guard logs.result.batch.arena.count <= logs.limits.maxDecodedBytes else {
            throw MalformedBytes(
                offset: 0,
                expected: "a request of at most \(logs.limits.maxDecodedBytes) bytes in memory; "
                    + "send fewer records at once")
        }
    }
}

// MARK: JSON

extension RecordAssembly {
    /// Most objects and arrays that may be open at once in a record.
    static let maxDepth = 64

    /// Reads the members of an object, those of objects in it by their paths: strings as they
    /// stand for, numbers and booleans as written, arrays as JSON; null is no field.
    mutating func readObject(_ reader: inout JSONReader) throws(MalformedJSON) {
        try reader.beginObject()
        while let key = try reader.nextKey() { try readMember(key, &reader) }
    }

    /// Reads the value of one member.
    mutating func readMember(
        _ key: JSONText, _ reader: inout JSONReader
    ) throws(MalformedJSON) {
        let mark = enter { key.append(to: &$0) }
        switch try reader.peek() {
        case .object: try readObject(&reader)
        case .null: _ = try reader.nullIfPresent()
        case .string:
            let text = try reader.string()
            addMember { text.append(to: &$0) }
        case .array, .number, .bool:
            let text = try reader.skipValue()
            addMember { $0.append(contentsOf: text) }
        }
        leave(mark)
    }
}
