// SPDX-License-Identifier: Apache-2.0
// | logfmt

import Base

/// Makes labels of `key=value key="quoted value"`.
final class LogfmtStage: Stage {
    private let strict: Bool
    private let keepEmpty: Bool
    /// Wanted keys; empty = all.
    private let fields: [(label: SharedBytes, key: SharedBytes)]

    init(strict: Bool, keepEmpty: Bool, _ fields: [FieldExpression]) {
        self.strict = strict
        self.keepEmpty = keepEmpty
        self.fields = fields.map {
            (SharedBytes(Array($0.label.utf8)), SharedBytes(Array($0.path.utf8)))
        }
    }

    func process(_ state: LineState) -> Bool {
        if state.wantsNothing { return true }
        var cursor = LogfmtCursor(state.line)
        var seen: UInt64 = 0
        while let pair = cursor.next(state.arena) {
            switch pair {
            case .malformed(let message):
                if strict {
                    state.fail(.logfmt, message)
                    return true
                }
            case .pair(let key, let text):
                // Such values are no labels to Loki.
                let value = holdsReplacementCharacter(text) ? .nothing : text
                if value.isEmpty, !keepEmpty, fields.isEmpty { continue }
                let name = sanitizedName(key, isFirst: true, state.arena)
                if name.isEmpty { continue }
                if fields.isEmpty {
                    if state.ignores(name) { continue }
                    state.extract(name, value)
                    if state.hasAllWanted { return true }
                    continue
                }
                for (i, field) in fields.enumerated()
                where equalBytes(field.key.buffer, name) || equalBytes(field.key.buffer, key) {
                    if i < 64 { seen |= 1 << UInt64(i) }
                    if !value.isEmpty || keepEmpty { state.extract(field.label.buffer, value) }
                }
            }
        }
        for (i, field) in fields.enumerated() where i >= 64 || seen & (1 << UInt64(i)) == 0 {
            if state.value(of: field.label.buffer) == nil {
                state.extract(field.label.buffer, .nothing)
            }
        }
        return true
    }
}

/// Walks the pairs of a logfmt line.
struct LogfmtCursor {
    enum Item {
        case pair(Bytes, Bytes)
        case malformed(String)
    }
    private let line: Bytes
    private var offset = 0

    init(_ line: Bytes) { self.line = line }

    /// The next pair, or what is wrong with it; nil at the end. Quoted values with escapes are
    /// unescaped into the arena.
    mutating func next(_ arena: ScratchArena) -> Item? {
        while offset < line.count, line[offset] <= 32 { offset += 1 }
        guard offset < line.count else { return nil }
        let start = offset
        while offset < line.count {
            let byte = line[offset]
            if byte <= 32 || byte == UInt8(ascii: "=") { break }
            if byte == UInt8(ascii: "\"") {
                return malformed("unexpected '\"'", at: offset)
            }
            offset += 1
        }
        let key = line.part(start..<offset)
        if holdsReplacementCharacter(key) { return malformed("invalid key", at: start) }
        guard offset < line.count, line[offset] == UInt8(ascii: "=") else {
            return .pair(key, .nothing)
        }
        if key.isEmpty { return malformed("unexpected '='", at: offset) }
        offset += 1
        guard offset < line.count, line[offset] > 32 else { return .pair(key, .nothing) }
        if line[offset] == UInt8(ascii: "\"") { return quotedValue(key, arena) }
        let valueStart = offset
        while offset < line.count, line[offset] > 32 {
            let byte = line[offset]
            if byte == UInt8(ascii: "=") || byte == UInt8(ascii: "\"") {
                return malformed(
                    "unexpected '\(Character(Unicode.Scalar(byte)))'", at: offset)
            }
            offset += 1
        }
        return .pair(key, line.part(valueStart..<offset))
    }

    private mutating func quotedValue(_ key: Bytes, _ arena: ScratchArena) -> Item {
        let start = offset + 1
        var hasEscapes = false
        var i = start
        while i < line.count, line[i] != UInt8(ascii: "\"") {
            if line[i] == UInt8(ascii: "\\") {
                hasEscapes = true
                i += 1
            }
            i += 1
        }
        guard i < line.count else {
            return malformed("unterminated quoted value", at: offset)
        }
        offset = i + 1
        let raw = line.part(start..<i)
        return .pair(key, JSONCursor.unescaped(raw, hasEscapes: hasEscapes, arena))
    }

    /// Reports a fault and steps over the rest of the word.
    private mutating func malformed(_ what: String, at place: Int) -> Item {
        while offset < line.count, line[offset] > 32 { offset += 1 }
        return .malformed("logfmt syntax error at pos \(place + 1) : \(what)")
    }
}
