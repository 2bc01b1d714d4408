// SPDX-License-Identifier: Apache-2.0
// Keys out of terminal bytes.

/// A key press.
package enum Key: Sendable, Equatable {
    case text(String)
    case control(Character)
    case alt(Character)
    case enter, tab, backTab, backspace, delete, escape
    case pageUp, pageDown
    case left, right, up, down, home, end, wordLeft, wordRight
    case endOfInput
    /// Around a text that the terminal pastes.
    case pasteStart, pasteEnd
}

/// Splits a byte stream into keys. Feed it bytes; it says when a key is complete.
package struct KeyDecoder: Sendable {
    private var pending: [UInt8] = []

    package init() {}

    /// Whether bytes of an unfinished sequence are held.
    package var isWaiting: Bool { !pending.isEmpty }

    /// Adds a byte; returns a key when one is complete.
    package mutating func feed(_ byte: UInt8) -> Key? {
        pending.append(byte)
        return decode()
    }

    /// No byte followed within the wait: a lone Escape is a key of its own.
    package mutating func timeout() -> Key? {
        defer { pending = [] }
        return pending == [0x1b] ? .escape : nil
    }

    private mutating func decode() -> Key? {
        guard let first = pending.first else { return nil }
        if first == 0x1b { return escapeSequence() }
        if first < 0x20 || first == 0x7f {
            pending = []
            switch first {
            case 0x0d, 0x0a: return .enter
            case 0x09: return .tab
            case 0x08, 0x7f: return .backspace
            default: return .control(Character(Unicode.Scalar(first + 0x60)))
            }
        }
        let length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
        guard pending.count >= length else { return nil }
        let text = String(decoding: pending, as: UTF8.self)
        pending = []
        return .text(text)
    }

    private mutating func escapeSequence() -> Key? {
        guard pending.count > 1 else { return nil }
        let second = pending[1]
        guard second == UInt8(ascii: "[") || second == UInt8(ascii: "O") else {
            pending = []
            return second == 0x7f ? .control("w") : .alt(Character(Unicode.Scalar(second)))
        }
        guard pending.count > 2, let last = pending.last else { return nil }
        guard (0x40...0x7e).contains(last) else {
            // A sequence longer than any we know is dropped, so that it can't grow without end.
            if pending.count > 16 { pending = [] }
            return nil
        }
        let body = String(decoding: pending[2...], as: UTF8.self)
        pending = []
        switch body {
        case "A": return .up
        case "B": return .down
        case "C": return .right
        case "D": return .left
        case "H", "1~", "7~": return .home
        case "F", "4~", "8~": return .end
        case "3~": return .delete
        case "5~": return .pageUp
        case "6~": return .pageDown
        case "Z": return .backTab
        case "200~": return .pasteStart
        case "201~": return .pasteEnd
        case "1;5C", "1;3C": return .wordRight
        case "1;5D", "1;3D": return .wordLeft
        default: return .text("")
        }
    }
}
