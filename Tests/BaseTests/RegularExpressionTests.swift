// SPDX-License-Identifier: Apache-2.0
// What RE2 is made to do as Go does it.

import Testing

@testable import Base

/// Go's `regexp` takes a byte that is not UTF-8 for U+FFFD; RE2 alone would let nothing match it.
@Test func bytesThatAreNotUTF8MatchAsTheReplacementCharacter() throws {
    let any = try RegularExpression(".*b")
    let text: [UInt8] = [0xff, 0x61, 0x80, 0xc3, 0x62]
    text.withUnsafeBytes { bytes in
        #expect(any.matchesWhole(bytes))
        #expect(any.matchesAnywhere(bytes))
    }
    let four = try RegularExpression("^.a..b$")
    text.withUnsafeBytes { #expect(four.matchesWhole($0)) }
    #expect(replacingInvalidUTF8(UnsafeRawBufferPointer(start: nil, count: 0)) == nil)
    let cut: [UInt8] = [0x61, 0xe2, 0x82]
    #expect(
        cut.withUnsafeBytes { replacingInvalidUTF8($0) }
            == [0x61, 0xef, 0xbf, 0xbd, 0xef, 0xbf, 0xbd])
    let whole: [UInt8] = Array("aö€😀".utf8)
    #expect(whole.withUnsafeBytes { replacingInvalidUTF8($0) } == nil)
}
