// SPDX-License-Identifier: Apache-2.0
// Paths such as `request.headers["x-id"][0]`.

import Base

struct JSONPathError: Error, CustomStringConvertible {
    let description: String
}

/// Steps from a JSON value to one inside it.
struct JSONPath: Sendable {
    private enum Step: Sendable {
        case key(SharedBytes)
        case index(Int)
    }
    private var steps: [Step] = []

    init(_ text: String) throws(JSONPathError) {
        var rest = Array(text.utf8)[...]
        func fail(_ what: String) -> JSONPathError { JSONPathError(description: what) }
        var first = true
        while let byte = rest.first {
            if byte == UInt8(ascii: "[") {
                rest = rest.dropFirst()
                if let quote = rest.first,
                    quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'")
                {
                    let inner = rest.dropFirst()
                    guard let end = inner.firstIndex(of: quote) else {
                        throw fail("string is not terminated")
                    }
                    steps.append(.key(SharedBytes(Array(inner[..<end]))))
                    rest = rest[(end + 1)...]
                } else {
                    let digits = rest.prefix(while: isASCIIDigit)
                    guard !digits.isEmpty, let index = Int(String(decoding: digits, as: UTF8.self))
                    else { throw fail("syntax error: index or quoted key expected after '['") }
                    steps.append(.index(index))
                    rest = rest.dropFirst(digits.count)
                }
                guard rest.first == UInt8(ascii: "]") else {
                    throw fail("syntax error: ']' expected")
                }
                rest = rest.dropFirst()
            } else {
                if byte == UInt8(ascii: ".") {
                    guard !first else { throw fail("syntax error: unexpected '.'") }
                    rest = rest.dropFirst()
                } else if !first {
                    throw fail("syntax error: '.' or '[' expected")
                }
                let name = rest.prefix { $0 != UInt8(ascii: ".") && $0 != UInt8(ascii: "[") }
                guard name.first != nil, name.allSatisfy(JSONPath.isFieldByte) else {
                    throw fail("syntax error: field name expected")
                }
                steps.append(.key(SharedBytes(Array(name))))
                rest = rest.dropFirst(name.count)
            }
            first = false
        }
        if steps.isEmpty { throw fail("empty expression") }
    }

    private static func isFieldByte(_ byte: UInt8) -> Bool {
        isASCIILetter(byte) || isASCIIDigit(byte) || byte >= 0x80 || "_-@$".utf8.contains(byte)
    }

    /// The value at the end of the path, or nil when a step leads nowhere.
    func value(in line: Bytes, _ arena: ScratchArena) throws(JSONFault) -> JSONValue? {
        var text = JSONCursor(line)
        var current = try text.value()
        for step in steps {
            var inner = JSONCursor(current.raw)
            var found: JSONValue?
            switch step {
            case .key(let wanted):
                guard current.kind == .object else { return nil }
                try inner.forEachMember { (key, hasEscapes, text) throws(JSONFault) in
                    let value = try text.value()
                    let name = JSONCursor.unescaped(key, hasEscapes: hasEscapes, arena)
                    if found == nil, equalBytes(name, wanted.buffer) { found = value }
                }
            case .index(let wanted):
                guard current.kind == .array, inner.take(UInt8(ascii: "[")) else { return nil }
                var index = 0
                while found == nil, !inner.take(UInt8(ascii: "]")) {
                    let value = try inner.value()
                    if index == wanted { found = value }
                    index += 1
                    _ = inner.take(UInt8(ascii: ","))
                }
            }
            guard let found else { return nil }
            current = found
        }
        return current
    }
}
