// SPDX-License-Identifier: Apache-2.0
// Values that are not UTF-8.

import Base

/// Whether decoding the bytes as UTF-8 gives U+FFFD, which Loki keeps out of labels: for bytes that
/// are not UTF-8, or because the text holds it.
func holdsReplacementCharacter(_ text: Bytes) -> Bool {
    guard text.contains(where: { $0 >= 0x80 }) else { return false }
    if !isValidUTF8(text) { return true }
    var i = 0
    while i + 2 < text.count {
        if text[i] == 0xef, text[i + 1] == 0xbf, text[i + 2] == 0xbd { return true }
        i += 1
    }
    return false
}

/// The text with a blank in place of each U+FFFD and of each byte that is not UTF-8.
func validText(_ text: Bytes, _ arena: ScratchArena) -> Bytes {
    guard holdsReplacementCharacter(text) else { return text }
    let out = arena.allocate(text.count)
    var count = 0
    var i = 0
    while i < text.count {
        let length = characterLength(text, i)
        let isReplacement =
            length == 0
            || (length == 3 && text[i] == 0xef && text[i + 1] == 0xbf && text[i + 2] == 0xbd)
        if isReplacement {
            out[count] = 32
            count += 1
        } else {
            for j in i..<(i + length) {
                out[count] = text[j]
                count += 1
            }
        }
        i += max(length, 1)
    }
    return Bytes(rebasing: out[..<count])
}

/// Bytes of the character that begins here; 0 when none does.
private func characterLength(_ text: Bytes, _ start: Int) -> Int {
    let lead = text[start]
    let length =
        switch lead {
        case 0..<0x80: 1
        case 0xc2...0xdf: 2
        case 0xe0...0xef: 3
        case 0xf0...0xf4: 4
        default: 0
        }
    guard length > 0, start + length <= text.count else { return 0 }
    return isValidUTF8(text.part(start..<(start + length))) ? length : 0
}
