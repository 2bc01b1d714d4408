// SPDX-License-Identifier: Apache-2.0
// Base64, both ways.

import Base
import Testing

private func encode(_ bytes: [UInt8]) -> String {
    var out: [UInt8] = []
    bytes.withUnsafeBytes { appendBase64($0, to: &out) }
    return String(decoding: out, as: UTF8.self)
}
private func decode(_ text: String) -> [UInt8]? {
    var out: [UInt8] = [7]
    let isGood = Array(text.utf8).withUnsafeBytes { appendDecodedBase64($0, to: &out) }
    if !isGood { #expect(out == [7]) }
    return isGood ? Array(out.dropFirst()) : nil
}

@Test func base64FollowsTheRFC() {
    let vectors = [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ]
    for (text, code) in vectors {
        #expect(encode(Array(text.utf8)) == code)
        #expect(decode(code) == Array(text.utf8))
        #expect(decode(code.filter { $0 != "=" }) == Array(text.utf8))
    }
    #expect(decode("-_-_") == decode("+/+/"))
    for bad in ["Z", "Zg=", "Z===", "=", "Zg==Zg==", "Zm9v=", "Z g=", "é", "Zm8=x"] {
        #expect(decode(bad) == nil, "\(bad)")
    }
    for length in 0..<70 {
        let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 37) }
        #expect(decode(encode(bytes)) == bytes)
    }
}
