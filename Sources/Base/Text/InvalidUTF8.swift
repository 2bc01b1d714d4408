// SPDX-License-Identifier: Apache-2.0
// Bytes that are not UTF-8, as Go sees them.

/// Bytes of the character that begins at `start`; 0 when none does.
package func characterLength(_ text: UnsafeRawBufferPointer, at start: Int) -> Int {
    let length =
        switch text[start] {
        case 0..<0x80: 1
        case 0xc2...0xdf: 2
        case 0xe0...0xef: 3
        case 0xf0...0xf4: 4
        default: 0
        }
    guard length > 0, start + length <= text.count else { return 0 }
    let character = UnsafeRawBufferPointer(rebasing: text[start..<(start + length)])
    return isValidUTF8(character) ? length : 0
}

/// The text with U+FFFD for each byte that is not UTF-8; nil when all of it is.
///
/// Source: Go's `for range` over a string. One pass over texts that are.
package func replacingInvalidUTF8(_ text: UnsafeRawBufferPointer) -> [UInt8]? {
    guard text.contains(where: { $0 >= 0x80 }), !isValidUTF8(text) else { return nil }
    var out: [UInt8] = []
    out.reserveCapacity(text.count + text.count / 2)
    var i = 0
    while i < text.count {
        let length = characterLength(text, at: i)
        if length == 0 {
            out += [0xef, 0xbf, 0xbd]
        } else {
            out.append(contentsOf: text[i..<(i + length)])
        }
        i += max(length, 1)
    }
    return out
}
