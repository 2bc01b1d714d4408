// SPDX-License-Identifier: Apache-2.0
// | json

import Base

/// Bytes a parsed name may not hold become `_`; so does a leading digit's left neighbour. Returns
/// the name itself where nothing has to change.
func sanitizedName(_ name: Bytes, isFirst: Bool, _ arena: ScratchArena) -> Bytes {
    var start = 0, end = name.count
    while start < end, name[start] <= 32 { start += 1 }
    while end > start, name[end - 1] <= 32 { end -= 1 }
    let name = name.part(start..<end)
    guard let first = name.first else { return name }
    let needsPrefix = isFirst && isASCIIDigit(first)
    if !needsPrefix, name.allSatisfy(isNameByte) { return name }
    let out = arena.allocate(name.count + (needsPrefix ? 1 : 0))
    var count = 0
    if needsPrefix {
        out[0] = UInt8(ascii: "_")
        count = 1
    }
    for byte in name {
        // One underscore per character, not per byte.
        if byte & 0xc0 == 0x80 { continue }
        out[count] = isNameByte(byte) ? byte : UInt8(ascii: "_")
        count += 1
    }
    return Bytes(rebasing: out[..<count])
}

@inline(__always) private func isNameByte(_ byte: UInt8) -> Bool {
    isASCIILetter(byte) || isASCIIDigit(byte) || byte == UInt8(ascii: "_")
}

/// Makes labels of all members of a JSON object; nested names are joined with `_`, arrays and nulls
/// are left out.
final class JSONStage: Stage {
    private var prefix: [UInt8] = []
    /// Set when nothing more is wanted of the line; what is thrown then is no fault.
    private var isDone = false

    func process(_ state: LineState) -> Bool {
        if state.wantsNothing { return true }
        var text = JSONCursor(state.line)
        prefix.removeAll(keepingCapacity: true)
        isDone = false
        do {
            try object(&text, state, depth: 0)
        } catch {
            if !isDone { state.fail(.json, error.message) }
        }
        return true
    }

    private func object(
        _ text: inout JSONCursor, _ state: LineState, depth: Int
    ) throws(JSONFault) {
        guard depth < JSONCursor.maxDepth else {
            throw JSONFault(message: "nested deeper than \(JSONCursor.maxDepth) levels")
        }
        try text.forEachMember { (key, hasEscapes, text) throws(JSONFault) in
            let raw = JSONCursor.unescaped(key, hasEscapes: hasEscapes, state.arena)
            let name = sanitizedName(raw, isFirst: depth == 0, state.arena)
            if text.peek() == UInt8(ascii: "{") {
                let length = prefix.count
                prefix.append(contentsOf: name)
                prefix.append(UInt8(ascii: "_"))
                try object(&text, state, depth: depth + 1)
                prefix.removeSubrange(length...)
                return
            }
            let value = try text.value()
            switch value.kind {
            case .object, .array, .null: return
            case .string, .number, .bool: break
            }
            guard !name.isEmpty else { return }
            let full =
                prefix.isEmpty
                ? name : prefix.withUnsafeBytes { state.arena.join($0, name) }
            if state.ignores(full) { return }
            let content = JSONCursor.unescaped(
                value.raw, hasEscapes: value.hasEscapes, state.arena)
            state.extract(full, validText(content, state.arena))
            if state.hasAllWanted {
                isDone = true
                throw JSONFault(message: "")
            }
        }
    }
}

/// Makes labels of chosen values; one that is missing becomes an empty label.
final class JSONFieldsStage: Stage {
    private let fields: [(label: SharedBytes, path: JSONPath)]

    init(_ fields: [FieldExpression]) throws {
        self.fields = try fields.map {
            (SharedBytes(Array($0.label.utf8)), try JSONPath($0.path))
        }
    }

    func process(_ state: LineState) -> Bool {
        let line = state.line
        if line.isEmpty || state.wantsNothing { return true }
        guard [UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: "\"")].contains(line[0]) else {
            state.fail(.json, "expecting json object, array or string")
            return true
        }
        for field in fields {
            let value: JSONValue?
            do {
                value = try field.path.value(in: line, state.arena)
            } catch {
                state.fail(.json, error.message)
                return true
            }
            guard let value, value.kind != .null else {
                state.extract(field.label.buffer, .nothing)
                continue
            }
            let content = JSONCursor.unescaped(
                value.raw, hasEscapes: value.hasEscapes, state.arena)
            state.extract(field.label.buffer, validText(content, state.arena))
        }
        return true
    }
}
