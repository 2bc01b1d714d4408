// SPDX-License-Identifier: Apache-2.0
// Pull reader of JSON over raw bytes.

/// JSON that is not what RFC 8259 or the caller's format says.
package struct MalformedJSON: Error, Equatable, Sendable, CustomStringConvertible {
    /// Byte offset from the start of the input.
    package var offset: Int
    /// What was expected there, as a fragment: "a string", "comma or closing bracket".
    package var expected: String

    package init(offset: Int, expected: String) {
        self.offset = offset
        self.expected = expected
    }

    package var description: String {
        "malformed JSON at offset \(offset): expected \(expected)"
    }
}

/// A cursor over JSON text that somebody else keeps alive: no tree, no allocation, strings and
/// numbers as borrowed slices.
///
/// The caller asks for what its format demands and gets it or a `MalformedJSON`:
///
///     try reader.beginObject()
///     while let key = try reader.nextKey() {
///         if key.equals("name") { name = try reader.string() } else { try reader.skipValue() }
///     }
///     try reader.end()
///
/// After `nextKey` or a true `nextElement` exactly one value must be read or skipped. Strict
/// RFC 8259: no comments, no trailing commas, no control characters in strings. Repeated keys are
/// handed over as they come. Depth is limited, so no input can exhaust the stack. Nothing here
/// checks UTF-8 (`JSONText`).
package struct JSONReader {
    /// What a value starts with.
    package enum Kind: UInt8, Sendable {
        case object, array, string, number, bool, null
    }

    private let base: UnsafeRawPointer
    /// Bytes in the whole input.
    package let count: Int
    /// Offset of the next byte.
    package private(set) var offset = 0
    /// Objects and arrays that are open.
    package private(set) var depth = 0
    private let maxDepth: Int
    /// Whether the innermost open object or array has handed over nothing yet.
    private var isAtStart = false

    /// - Parameter maxDepth: most objects and arrays that may be open at once.
    package init(_ bytes: UnsafeRawBufferPointer, maxDepth: Int = 64) {
        // A zero-length buffer may have no address; any address serves, since nothing is read.
        base = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
        count = bytes.count
        self.maxDepth = maxDepth
    }

    @inline(never)
    package func malformed(_ expected: String, at offset: Int? = nil) -> MalformedJSON {
        MalformedJSON(offset: offset ?? self.offset, expected: expected)
    }

    private func byte(_ i: Int) -> UInt8 { base.load(fromByteOffset: i, as: UInt8.self) }

    /// The next byte that is not white space, not consumed; 0 at the end, which starts nothing.
    private mutating func significant() -> UInt8 {
        while offset < count {
            let next = byte(offset)
            if next > 0x20 { return next }
            guard next == 0x20 || next == 0x0a || next == 0x0d || next == 0x09 else { return next }
            offset &+= 1
        }
        return 0
    }

    // MARK: structure

    /// What the next value is, without consuming it.
    package mutating func peek() throws(MalformedJSON) -> Kind {
        switch significant() {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
        case UInt8(ascii: "n"): return .null
        default: throw malformed("a value")
        }
    }

    private mutating func open(
        _ bracket: UInt8, _ expected: StaticString
    ) throws(MalformedJSON) {
        guard significant() == bracket else { throw malformed("\(expected)") }
        guard depth < maxDepth else { throw malformed("nesting of at most \(maxDepth)") }
        offset &+= 1
        depth &+= 1
        isAtStart = true
    }

    /// Consumes the closing bracket, or the comma before a further item; true when an item follows.
    private mutating func advance(
        _ bracket: UInt8, _ expected: StaticString
    ) throws(MalformedJSON) -> Bool {
        let next = significant()
        if next == bracket {
            offset &+= 1
            depth &-= 1
            isAtStart = false
            return false
        }
        if isAtStart {
            isAtStart = false
            return true
        }
        guard next == UInt8(ascii: ",") else { throw malformed("\(expected)") }
        offset &+= 1
        return true
    }

    package mutating func beginObject() throws(MalformedJSON) {
        try open(UInt8(ascii: "{"), "an object")
    }

    /// The next member's name, its colon consumed; nil when the object ends, which closes it.
    package mutating func nextKey() throws(MalformedJSON) -> JSONText? {
        guard try advance(UInt8(ascii: "}"), "comma or closing brace") else { return nil }
        let key = try string()
        guard significant() == UInt8(ascii: ":") else { throw malformed("colon") }
        offset &+= 1
        return key
    }

    package mutating func beginArray() throws(MalformedJSON) {
        try open(UInt8(ascii: "["), "an array")
    }

    /// Whether an element follows; false when the array ends, which closes it.
    package mutating func nextElement() throws(MalformedJSON) -> Bool {
        try advance(UInt8(ascii: "]"), "comma or closing bracket")
    }

    /// Checks that nothing but white space is left.
    package mutating func end() throws(MalformedJSON) {
        _ = significant()
        guard offset == count else { throw malformed("end of input") }
    }

    /// Steps over one value, checking it, and gives its text.
    @discardableResult
    package mutating func skipValue() throws(MalformedJSON) -> UnsafeRawBufferPointer {
        let kind = try peek()
        let start = offset
        switch kind {
        case .object:
            try beginObject()
            while try nextKey() != nil { try skipValue() }
        case .array:
            try beginArray()
            while try nextElement() { try skipValue() }
        case .string: _ = try string()
        case .number: _ = try number()
        case .bool: _ = try bool()
        case .null: try literal("null")
        }
        return UnsafeRawBufferPointer(start: base + start, count: offset &- start)
    }

    // MARK: scalars

    /// A string; escapes are checked here and resolved by `JSONText`.
    package mutating func string() throws(MalformedJSON) -> JSONText {
        guard significant() == UInt8(ascii: "\"") else { throw malformed("a string") }
        let start = offset &+ 1
        var i = start
        var hasEscapes = false
        while true {
            i = plainEnd(from: i)
            guard i < count else { throw malformed("closing quote", at: count) }
            let next = byte(i)
            if next == UInt8(ascii: "\"") { break }
            guard next == UInt8(ascii: "\\") else {
                throw malformed("no control character in a string", at: i)
            }
            hasEscapes = true
            guard i &+ 1 < count else { throw malformed("escape", at: count) }
            switch byte(i &+ 1) {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"),
                UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
                i &+= 2
            case UInt8(ascii: "u"):
                let all = UnsafeRawBufferPointer(start: base, count: count)
                guard hexUnit(all, at: i &+ 2) != nil else {
                    throw malformed("four hexadecimal digits", at: i &+ 2)
                }
                i &+= 6
            default: throw malformed("escape", at: i &+ 1)
            }
        }
        offset = i &+ 1
        return JSONText(
            raw: UnsafeRawBufferPointer(start: base + start, count: i &- start),
            hasEscapes: hasEscapes)
    }

    /// Offset of the first quote, backslash or control character at or after `i`, or `count`;
    /// eight bytes at a time.
    private func plainEnd(from i: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101, tops: UInt64 = 0x8080_8080_8080_8080
        var i = i
        while i &+ 8 <= count {
            let word = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: i, as: UInt64.self))
            let quote = word ^ (ones &* 0x22), backslash = word ^ (ones &* 0x5c)
            // The lowest flag is exact; flags above it may be false, which does not matter.
            let hits =
                ((quote &- ones) & ~quote | (backslash &- ones) & ~backslash
                    | (word &- ones &* 0x20) & ~word) & tops
            if hits != 0 { return i &+ hits.trailingZeroBitCount &>> 3 }
            i &+= 8
        }
        while i < count {
            let next = byte(i)
            if next < 0x20 || next == UInt8(ascii: "\"") || next == UInt8(ascii: "\\") { break }
            i &+= 1
        }
        return i
    }

    private mutating func digits() throws(MalformedJSON) {
        let start = offset
        while offset < count, byte(offset) &- UInt8(ascii: "0") < 10 { offset &+= 1 }
        guard offset > start else { throw malformed("a digit") }
    }

    /// A number's text, checked against the grammar of RFC 8259.
    package mutating func number() throws(MalformedJSON) -> UnsafeRawBufferPointer {
        let first = significant()
        guard first == UInt8(ascii: "-") || first &- UInt8(ascii: "0") < 10 else {
            throw malformed("a number")
        }
        let start = offset
        if first == UInt8(ascii: "-") { offset &+= 1 }
        if offset < count, byte(offset) == UInt8(ascii: "0") {
            offset &+= 1
            if offset < count, byte(offset) &- UInt8(ascii: "0") < 10 {
                throw malformed("no digit after a leading zero")
            }
        } else {
            try digits()
        }
        if offset < count, byte(offset) == UInt8(ascii: ".") {
            offset &+= 1
            try digits()
        }
        if offset < count, byte(offset) | 0x20 == UInt8(ascii: "e") {
            offset &+= 1
            if offset < count,
                byte(offset) == UInt8(ascii: "+") || byte(offset) == UInt8(ascii: "-")
            {
                offset &+= 1
            }
            try digits()
        }
        return UnsafeRawBufferPointer(start: base + start, count: offset &- start)
    }

    private mutating func literal(_ text: StaticString) throws(MalformedJSON) {
        let n = text.utf8CodeUnitCount
        _ = significant()
        guard count &- offset >= n,
            equalBytes(
                UnsafeRawBufferPointer(start: base + offset, count: n),
                UnsafeRawBufferPointer(start: text.utf8Start, count: n))
        else { throw malformed("\(text)") }
        offset &+= n
    }

    package mutating func bool() throws(MalformedJSON) -> Bool {
        if significant() == UInt8(ascii: "t") {
            try literal("true")
            return true
        }
        guard significant() == UInt8(ascii: "f") else { throw malformed("true or false") }
        try literal("false")
        return false
    }

    /// Consumes a null if the next value is one.
    package mutating func nullIfPresent() throws(MalformedJSON) -> Bool {
        guard significant() == UInt8(ascii: "n") else { return false }
        try literal("null")
        return true
    }
}
