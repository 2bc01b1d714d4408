// SPDX-License-Identifier: Apache-2.0
// Label sets in their one canonical encoding.

import Base

/// A set of labels in canonical bytes: identity of a series or a stream.
///
///     repeated { varint nameCount, name, varint valueCount, value }
///
/// Names are unique and ascend bytewise; a label with an empty value is absent, as in Prometheus'
/// data model. Two sets are the same exactly when their bytes are. The same encoding holds the
/// structured metadata of a log line and the labels of an exemplar.
@usableFromInline package struct Labels: Sendable {
    /// The canonical encoding.
    @usableFromInline package let bytes: [UInt8]
    /// `hash64` of `bytes`; what heads shard and parts look up by.
    @usableFromInline package let hash: UInt64

    /// Takes bytes that are already canonical: from a decoder, a part or the log.
    @inlinable package init(canonical bytes: [UInt8]) {
        self.bytes = bytes
        hash = hash64(bytes)
    }

    /// Takes canonical bytes whose hash is known.
    @inlinable package init(canonical bytes: [UInt8], hash: UInt64) {
        self.bytes = bytes
        self.hash = hash
    }

    /// Sorts the pairs and drops empty values; of two equal names the later one wins.
    package init(_ pairs: [(name: String, value: String)]) {
        var builder = LabelsBuilder()
        for pair in pairs { builder.set(pair.name, pair.value) }
        self = builder.labels()
    }

    package static let empty = Labels(canonical: [])

    package var isEmpty: Bool { bytes.isEmpty }

    /// Number of labels. O(bytes).
    package var count: Int {
        var n = 0
        forEachBytes { _, _ in n += 1 }
        return n
    }

    /// Calls `body` with each name and value as borrowed bytes, in order of name.
    @inlinable package func forEachBytes(
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Void
    ) rethrows {
        try bytes.withUnsafeBytes { try forEachLabel(in: $0, body) }
    }

    /// Value of the named label, or nil. O(bytes).
    package subscript(name: String) -> String? {
        var name = name
        return name.withUTF8 { wanted in
            let wanted = UnsafeRawBufferPointer(wanted)
            return bytes.withUnsafeBytes { all in
                labelValue(of: wanted, in: all).map { String(decoding: $0, as: UTF8.self) }
            }
        }
    }

    /// All pairs as strings: for answers and messages, not for the data path.
    package var pairs: [(name: String, value: String)] {
        var result: [(name: String, value: String)] = []
        forEachBytes { name, value in
            result.append(
                (String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self)))
        }
        return result
    }
}

/// Walks canonical label bytes. Stops silently at the first byte that is not canonical: whoever
/// takes bytes from outside checks them first (`isCanonicalLabels`).
@inlinable package func forEachLabel(
    in bytes: UnsafeRawBufferPointer,
    _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Void
) rethrows {
    try forEachLabel(in: bytes) { name, value, _ in try body(name, value) }
}

/// The same with the place of the label's bytes, lengths included.
@inlinable package func forEachLabel(
    in bytes: UnsafeRawBufferPointer,
    _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer, Range<Int>) throws -> Void
) rethrows {
    var reader = ByteReader(bytes)
    while !reader.isAtEnd {
        let start = reader.offset
        guard let name = try? reader.lengthPrefixed(), let value = try? reader.lengthPrefixed()
        else { return }
        try body(name, value, start..<reader.offset)
    }
}

/// Value of the label called `name` in canonical bytes, or nil.
@inlinable package func labelValue(
    of name: UnsafeRawBufferPointer, in bytes: UnsafeRawBufferPointer
) -> UnsafeRawBufferPointer? {
    var reader = ByteReader(bytes)
    while !reader.isAtEnd {
        guard let key = try? reader.lengthPrefixed(), let value = try? reader.lengthPrefixed()
        else { return nil }
        if equalBytes(key, name) { return value }
    }
    return nil
}

/// Whether bytes are a canonical label set: well-formed, names ascending and unique, no empty name
/// and no empty value.
package func isCanonicalLabels(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var reader = ByteReader(bytes)
    var previous: UnsafeRawBufferPointer?
    while !reader.isAtEnd {
        guard let name = try? reader.lengthPrefixed(), let value = try? reader.lengthPrefixed(),
            !name.isEmpty, !value.isEmpty
        else { return false }
        if let previous, compareBytes(previous, name) >= 0 { return false }
        previous = name
    }
    return true
}

extension Labels: Hashable {
    @usableFromInline package static func == (a: Labels, b: Labels) -> Bool {
        a.hash == b.hash && a.bytes == b.bytes
    }
    @usableFromInline package func hash(into hasher: inout Hasher) { hasher.combine(hash) }
}

extension Labels: Comparable {
    /// Order by name and value pair by pair, then by number of labels. Source:
    /// prometheus/prometheus `model/labels`, `Compare`.
    @usableFromInline package static func < (a: Labels, b: Labels) -> Bool { compare(a, b) < 0 }

    package static func compare(_ a: Labels, _ b: Labels) -> Int {
        a.bytes.withUnsafeBytes { x in b.bytes.withUnsafeBytes { y in compareLabels(x, y) } }
    }
}

/// Order of two canonical encodings; see `Labels.<`.
package func compareLabels(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
    var x = ByteReader(a), y = ByteReader(b)
    while !x.isAtEnd, !y.isAtEnd {
        for _ in 0..<2 {
            guard let p = try? x.lengthPrefixed(), let q = try? y.lengthPrefixed() else { return 0 }
            let order = compareBytes(p, q)
            if order != 0 { return order }
        }
    }
    return x.isAtEnd ? (y.isAtEnd ? 0 : -1) : 1
}

extension Labels: CustomStringConvertible {
    /// Prometheus' text form, `{job="api", le="0.5"}`, values quoted as Go's `%q` does for the
    /// common escapes.
    @usableFromInline package var description: String {
        var text = "{"
        for (index, pair) in pairs.enumerated() {
            if index > 0 { text += ", " }
            text += isLegacyLabelName(pair.name) ? pair.name : quoted(pair.name)
            text += "="
            text += quoted(pair.value)
        }
        return text + "}"
    }
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`: a name that needs no quotes.
package func isLegacyLabelName(_ name: String) -> Bool {
    var first = true
    for byte in name.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "_"):
            break
        case UInt8(ascii: "0")...UInt8(ascii: "9"): if first { return false }
        default: return false
        }
        first = false
    }
    return !first
}

/// Text in double quotes with `\`, `"`, newline, tab and carriage return escaped.
package func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\\": result += "\\\\"
        case "\"": result += "\\\""
        case "\n": result += "\\n"
        case "\t": result += "\\t"
        case "\r": result += "\\r"
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}
