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
        let length = characterLength(text, at: i)
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
