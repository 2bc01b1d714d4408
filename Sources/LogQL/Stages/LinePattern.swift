// SPDX-License-Identifier: Apache-2.0
// Patterns such as `<ip> - <_> [<time>]`.

import Base

/// A pattern that is none.
struct LinePatternError: Error, CustomStringConvertible {
    let description: String
}

/// Literals and captures in turn. Used as a parser (named captures) and as a line filter (`<_>`
/// only).
struct LinePattern: Sendable {
    private enum Node: Sendable {
        case literal(SharedBytes)
        /// Nil for `<_>`.
        case capture(SharedBytes?)
    }
    private let nodes: [Node]

    /// A parser's pattern: at least one named capture, none of them twice.
    init(captures text: String) throws(LinePatternError) {
        nodes = try LinePattern.parse(text)
        var names: Set<String> = []
        for case .capture(let name?) in nodes {
            let name = name.buffer.text
            if !names.insert(name).inserted {
                throw LinePatternError(
                    description: "invalid pattern: duplicate capture name (\(name))")
            }
        }
        if names.isEmpty {
            throw LinePatternError(description: "at least one capture is required")
        }
    }

    /// A filter's pattern: `<_>` is its only capture.
    init(filter text: String) throws(LinePatternError) {
        nodes = try LinePattern.parse(text)
        for case .capture(_?) in nodes {
            throw LinePatternError(description: "named captures are not allowed in line filters")
        }
    }

    private static func parse(_ text: String) throws(LinePatternError) -> [Node] {
        var nodes: [Node] = []
        var literal: [UInt8] = []
        var rest = Array(text.utf8)[...]
        var afterCapture = false
        while let byte = rest.first {
            if byte == UInt8(ascii: "<"), let name = captureName(rest) {
                if afterCapture, literal.isEmpty {
                    throw LinePatternError(
                        description: "found consecutive capture '<\(name)>': at least one "
                            + "literal is required between captures")
                }
                if !literal.isEmpty { nodes.append(.literal(SharedBytes(literal))) }
                literal = []
                nodes.append(.capture(name == "_" ? nil : SharedBytes(Array(name.utf8))))
                rest = rest.dropFirst(name.utf8.count + 2)
                afterCapture = true
                continue
            }
            literal.append(byte)
            rest = rest.dropFirst()
        }
        if !literal.isEmpty { nodes.append(.literal(SharedBytes(literal))) }
        return nodes
    }

    /// The name in `<name>` at the start of `rest`: letters, digits and `_`, no digit first.
    private static func captureName(_ rest: ArraySlice<UInt8>) -> String? {
        let name = rest.dropFirst().prefix { byte in
            isASCIILetter(byte) || isASCIIDigit(byte) || byte == UInt8(ascii: "_")
        }
        guard let first = name.first, !isASCIIDigit(first), name.endIndex < rest.endIndex,
            rest[name.endIndex] == UInt8(ascii: ">")
        else { return nil }
        return String(decoding: name, as: UTF8.self)
    }

    /// Literals of the pattern: a matching line contains them all.
    var literals: [String] {
        nodes.compactMap { node in
            if case .literal(let bytes) = node { bytes.buffer.text } else { nil }
        }
    }

    /// Calls `body` with each named capture and its bytes; nothing when the line does not begin like
    /// the pattern. A literal that is missing lets the capture in front of it take the rest.
    func forEachCapture(in line: Bytes, _ body: (Bytes, Bytes) -> Void) {
        var offset = 0
        var pending: SharedBytes?
        var hasPending = false
        func emit(_ end: Int) {
            if hasPending, let name = pending { body(name.buffer, line.part(offset..<end)) }
        }
        for node in nodes {
            switch node {
            case .capture(let name):
                pending = name
                hasPending = true
            case .literal(let literal):
                let rest = line.part(offset..<line.count)
                guard let found = find(literal.buffer, in: rest) else {
                    emit(line.count)
                    return
                }
                if !hasPending {
                    if found != 0 { return }
                } else {
                    emit(offset + found)
                }
                offset += found + literal.count
                hasPending = false
            }
        }
        emit(line.count)
    }

    /// Whether a whole line has the pattern's shape: every capture takes at least one byte.
    func matches(_ line: Bytes) -> Bool {
        var offset = 0
        var hasCapture = false
        for (i, node) in nodes.enumerated() {
            guard case .literal(let literal) = node else {
                hasCapture = true
                continue
            }
            let start = offset + (hasCapture ? 1 : 0)
            guard start <= line.count else { return false }
            if i == nodes.count - 1, hasCapture {
                // The last literal ends the line.
                let position = line.count - literal.count
                return position >= start
                    && equalBytes(line.part(position..<line.count), literal.buffer)
            }
            guard let found = find(literal.buffer, in: line.part(start..<line.count)) else {
                return false
            }
            if !hasCapture, found != 0 { return false }
            offset = start + found + literal.count
            hasCapture = false
        }
        return hasCapture ? offset < line.count : offset == line.count
    }
}
