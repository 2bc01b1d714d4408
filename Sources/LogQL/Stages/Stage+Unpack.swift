// SPDX-License-Identifier: Apache-2.0
// | unpack

import Base

/// Opens what a collector packed: a JSON object whose `_entry` is the line and whose other strings
/// are labels. Without `_entry` nothing was packed and nothing changes.
final class UnpackStage: Stage {
    private let entryKey = SharedBytes(Array("_entry".utf8))
    private var found: [(name: Bytes, value: Bytes)] = []

    func process(_ state: LineState) -> Bool {
        if state.line.isEmpty { return true }
        found.removeAll(keepingCapacity: true)
        var entry: Bytes?
        var text = JSONCursor(state.line)
        do {
            try text.forEachMember { (key, hasEscapes, text) throws(JSONFault) in
                let value = try text.value()
                guard value.kind == .string else { return }
                let name = JSONCursor.unescaped(key, hasEscapes: hasEscapes, state.arena)
                let content = JSONCursor.unescaped(
                    value.raw, hasEscapes: value.hasEscapes, state.arena)
                if equalBytes(name, entryKey.buffer) {
                    entry = content
                } else {
                    found.append((sanitizedName(name, isFirst: true, state.arena), content))
                }
            }
        } catch {
            state.fail(.json, error.message)
            return true
        }
        guard let entry else { return true }
        for pair in found where !pair.name.isEmpty { state.extract(pair.name, pair.value) }
        state.line = entry
        return true
    }
}
