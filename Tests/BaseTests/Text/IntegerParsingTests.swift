// SPDX-License-Identifier: Apache-2.0
// Whole numbers from text.

import Base
import Testing

@Test func wholeNumbersAreReadAsTheStandardLibraryReadsThem() {
    let texts = [
        "", "0", "-0", "+0", "7", "-7", "+7", "007", "9223372036854775807", "9223372036854775808",
        "-9223372036854775808", "-9223372036854775809", "18446744073709551615",
        "18446744073709551616", "-1", "1x", "x1", "-", "+", "--1", " 1", "1 ", "1.0", "٣",
        "99999999999999999999999999",
    ]
    for text in texts {
        var text = text
        text.withUTF8 {
            let bytes = UnsafeRawBufferPointer($0)
            let string = String(decoding: $0, as: UTF8.self)
            #expect(parseInteger(bytes, as: Int64.self) == Int64(string), "\(string)")
            #expect(parseInteger(bytes, as: UInt64.self) == UInt64(string), "\(string)")
            #expect(parseInteger(bytes, as: Int8.self) == Int8(string), "\(string)")
        }
    }
}
