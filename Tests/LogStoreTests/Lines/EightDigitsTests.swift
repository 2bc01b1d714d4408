// SPDX-License-Identifier: Apache-2.0
// Digits eight at a time against one at a time.

import TestKit
import Testing

@testable import LogStore

struct EightDigitsTests {
    private func word(_ text: String) -> UInt64 {
        text.utf8.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private func hex(_ number: UInt32) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }

    @Test func hexadecimalDigitsGoThereAndBack() {
        var random = Chance(seed: 7, 1)
        for _ in 0..<10_000 {
            let number = UInt32(random.below(1 << 32))
            let digits = word(hex(number))
            #expect(EightDigits.hex(number.byteSwapped) == digits)
            #expect(EightDigits.bytes(digits) == number.byteSwapped)
            #expect(EightDigits.bytes(word(hex(number).uppercased())) == number.byteSwapped)
            #expect(EightDigits.areLowerHex(digits))
        }
    }

    @Test func kindsOfDigitsAreToldApart() {
        for byte in UInt8.min...UInt8.max {
            for place in 0..<8 {
                let text =
                    word("12345678") & ~(0xff << UInt64(8 * place))
                    | UInt64(byte) << UInt64(8 * place)
                let isDigit = (0x30...0x39).contains(byte)
                let isLower = isDigit || (0x61...0x66).contains(byte)
                let isHex = isLower || (0x41...0x46).contains(byte)
                #expect(EightDigits.areDecimal(text) == isDigit)
                #expect(EightDigits.areLowerHex(text) == isLower)
                #expect(EightDigits.areHex(text) == isHex)
            }
        }
    }

    @Test func decimalNumbersAreRead() {
        for text in ["0", "7", "42", "007", "1234", "99999", "123456", "1234567", "99999999"] {
            let digits = EightDigits.padded(word(text), text.utf8.count)
            #expect(EightDigits.areDecimal(digits))
            #expect(EightDigits.decimal(digits) == UInt64(text))
        }
    }
}
