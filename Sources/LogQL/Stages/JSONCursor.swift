// SPDX-License-Identifier: Apache-2.0
// A forgiving cursor over JSON in a log line.

import Glibc

/// Where a JSON value lies in a line.
struct JSONValue {
    enum Kind { case object, array, string, number, bool, null }
    var kind: Kind
    /// The raw text; of a string the part between the quotes, escapes unresolved.
    var raw: Bytes
    var hasEscapes = false
}

/// Why a line is not the JSON that was expected.
struct JSONFault: Error {
    var message: String
}

/// Walks JSON without building anything. Checks what it walks over and nothing behind it.
struct JSONCursor {
    static let maxDepth = 64

    private let bytes: Bytes
    private(set) var offset: Int

    init(_ bytes: Bytes) {
        self.bytes = bytes
        offset = 0
    }

    private func fault(_ message: String) -> JSONFault { JSONFault(message: message) }

    mutating func skipBlanks() {
        while offset < bytes.count {
            switch bytes[offset] {
            case 9, 10, 13, 32: offset += 1
            default: return
            }
        }
    }

    /// The next byte that is not blank; not consumed.
    mutating func peek() -> UInt8? {
        skipBlanks()
        return offset < bytes.count ? bytes[offset] : nil
    }

    mutating func take(_ byte: UInt8) -> Bool {
        guard peek() == byte else { return false }
        offset += 1
        return true
    }

    /// A string's content and whether it has escapes.
    mutating func string() throws(JSONFault) -> (raw: Bytes, hasEscapes: Bool) {
        guard take(UInt8(ascii: "\"")) else { throw fault("string expected") }
        let start = offset
        var hasEscapes = false
        while offset < bytes.count {
            switch bytes[offset] {
            case UInt8(ascii: "\""):
                let raw = bytes.part(start..<offset)
                offset += 1
                return (raw, hasEscapes)
            case UInt8(ascii: "\\"):
                hasEscapes = true
                offset += 2
            default: offset += 1
            }
        }
        throw fault("string is not terminated")
    }

    /// Steps over one value and says where it lies.
    mutating func value(depth: Int = 0) throws(JSONFault) -> JSONValue {
        guard let first = peek() else { throw fault("value expected") }
        let start = offset
        switch first {
        case UInt8(ascii: "\""):
            let (raw, hasEscapes) = try string()
            return JSONValue(kind: .string, raw: raw, hasEscapes: hasEscapes)
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            try skipContainer()
            return JSONValue(
                kind: first == UInt8(ascii: "{") ? .object : .array,
                raw: bytes.part(start..<offset))
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            while offset < bytes.count, isNumberByte(bytes[offset]) { offset += 1 }
            return JSONValue(kind: .number, raw: bytes.part(start..<offset))
        default:
            let word: StaticString =
                first == UInt8(ascii: "t") ? "true" : first == UInt8(ascii: "f") ? "false" : "null"
            let end = start + word.utf8CodeUnitCount
            guard end <= bytes.count, let text = bytes.part(start..<end).baseAddress,
                memcmp(text, word.utf8Start, end - start) == 0
            else { throw fault("unknown value type") }
            offset = end
            return JSONValue(
                kind: first == UInt8(ascii: "n") ? .null : .bool, raw: bytes.part(start..<end))
        }
    }

    private func isNumberByte(_ byte: UInt8) -> Bool {
        isASCIIDigit(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-")
            || byte == UInt8(ascii: "+") || byte | 0x20 == UInt8(ascii: "e")
    }

    /// Steps over an object or array by counting brackets outside strings.
    private mutating func skipContainer() throws(JSONFault) {
        var open = 0
        while offset < bytes.count {
            switch bytes[offset] {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                open += 1
                offset += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                open -= 1
                offset += 1
                if open == 0 { return }
            case UInt8(ascii: "\""): _ = try string()
            default: offset += 1
            }
        }
        throw fault("value is not terminated")
    }

    /// Calls `body` with each member of the object at this place.
    mutating func forEachMember(
        _ body: (
            _ key: Bytes, _ keyHasEscapes: Bool, _ text: inout JSONCursor
        ) throws(JSONFault) -> Void
    ) throws(JSONFault) {
        guard take(UInt8(ascii: "{")) else { throw fault("object expected") }
        if take(UInt8(ascii: "}")) { return }
        while true {
            let (key, hasEscapes) = try string()
            guard take(UInt8(ascii: ":")) else { throw fault("':' expected") }
            try body(key, hasEscapes, &self)
            if take(UInt8(ascii: "}")) { return }
            guard take(UInt8(ascii: ",")) else { throw fault("',' or '}' expected") }
        }
    }

    /// The text of a string with its escapes resolved, in the arena where there are any.
    static func unescaped(_ raw: Bytes, hasEscapes: Bool, _ arena: ScratchArena) -> Bytes {
        guard hasEscapes else { return raw }
        let out = arena.allocate(raw.count)
        var count = 0
        var i = 0
        func put(_ byte: UInt8) {
            out[count] = byte
            count += 1
        }
        while i < raw.count {
            let byte = raw[i]
            i += 1
            guard byte == UInt8(ascii: "\\"), i < raw.count else {
                put(byte)
                continue
            }
            let kind = raw[i]
            i += 1
            switch kind {
            case UInt8(ascii: "n"): put(10)
            case UInt8(ascii: "t"): put(9)
            case UInt8(ascii: "r"): put(13)
            case UInt8(ascii: "b"): put(8)
            case UInt8(ascii: "f"): put(12)
            case UInt8(ascii: "u"):
                var scalar: UInt32? = hexadecimal(raw, i)
                if scalar != nil { i += 4 }
                if let high = scalar, (0xd800..<0xdc00).contains(high), i + 1 < raw.count,
                    raw[i] == UInt8(ascii: "\\"), raw[i + 1] == UInt8(ascii: "u"),
                    let low = hexadecimal(raw, i + 2), (0xdc00..<0xe000).contains(low)
                {
                    scalar = 0x10000 + (high - 0xd800) << 10 + (low - 0xdc00)
                    i += 6
                }
                // Six bytes of escape hold any scalar's UTF-8, so `out` cannot overflow.
                let valid = scalar.flatMap(Unicode.Scalar.init) ?? "\u{fffd}"
                if scalar == nil {
                    put(UInt8(ascii: "u"))
                } else {
                    for unit in UTF8.encode(valid) ?? UTF8.encodedReplacementCharacter { put(unit) }
                }
            default: put(kind)
            }
        }
        return Bytes(rebasing: out[..<count])
    }

    private static func hexadecimal(_ raw: Bytes, _ start: Int) -> UInt32? {
        guard start + 4 <= raw.count else { return nil }
        var value: UInt32 = 0
        for i in start..<start + 4 {
            guard let digit = Character(Unicode.Scalar(raw[i])).hexDigitValue else { return nil }
            value = value << 4 | UInt32(digit)
        }
        return value
    }
}
