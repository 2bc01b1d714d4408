// SPDX-License-Identifier: Apache-2.0
// Base64 of RFC 4648.

private let base64Alphabet = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

/// Appends the standard base64 of `bytes`, padded.
package func appendBase64(_ bytes: UnsafeRawBufferPointer, to out: inout [UInt8]) {
    var i = 0
    while i < bytes.count {
        let n = min(3, bytes.count &- i)
        var word: UInt32 = 0
        for j in 0..<3 { word = word &<< 8 | (j < n ? UInt32(bytes[i &+ j]) : 0) }
        for j in 0..<4 {
            let six = Int(word &>> UInt32(18 &- 6 &* j) & 63)
            out.append(j <= n ? base64Alphabet[six] : UInt8(ascii: "="))
        }
        i &+= 3
    }
}

/// Appends what base64 text stands for: standard or URL-safe alphabet, padded or not. False, with
/// `out` unchanged, when the text is not base64.
package func appendDecodedBase64(_ text: UnsafeRawBufferPointer, to out: inout [UInt8]) -> Bool {
    let start = out.count
    var word: UInt32 = 0
    var bits = 0
    var i = 0
    while i < text.count {
        let byte = text[i]
        let six: UInt8
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): six = byte &- UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): six = byte &- UInt8(ascii: "a") &+ 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): six = byte &- UInt8(ascii: "0") &+ 52
        case UInt8(ascii: "+"), UInt8(ascii: "-"): six = 62
        case UInt8(ascii: "/"), UInt8(ascii: "_"): six = 63
        case UInt8(ascii: "=") where text.count &- i <= 2 && text.count & 3 == 0:
            // Only padding may follow.
            guard text[text.count &- 1] == UInt8(ascii: "=") else { return undo() }
            i = text.count
            continue
        default: return undo()
        }
        word = word &<< 6 | UInt32(six)
        bits &+= 6
        if bits >= 8 {
            bits &-= 8
            out.append(UInt8(truncatingIfNeeded: word &>> UInt32(bits)))
        }
        i &+= 1
    }
    // Six bits left over are one digit too few for a byte.
    return bits < 6 ? true : undo()

    func undo() -> Bool {
        out.removeSubrange(start...)
        return false
    }
}
