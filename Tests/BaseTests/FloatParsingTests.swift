// SPDX-License-Identifier: Apache-2.0
// Numbers from text by Go's rules.

import Testing

@testable import Base

@Suite struct FloatParsingTests {
    @Test func textsAreReadAsGoReadsThem() {
        let cases: [(String, Double?)] = [
            ("0", 0), ("-0", -0.0), ("1", 1), ("+1", 1), (".5", 0.5), ("5.", 5), ("1e3", 1000),
            ("1E+3", 1000), ("1e-3", 0.001), ("00012.500", 12.5),
            ("123456789012345", 123456789012345),
            ("0.1", 0.1), ("7.424100000000001e-05", 7.424100000000001e-05),
            ("9007199254740993", 9007199254740992), ("9007199254740993.0000001", 9007199254740994),
            ("1.7976931348623157e308", .greatestFiniteMagnitude), ("1e309", nil), ("-1e400", nil),
            ("4.9e-324", Double.leastNonzeroMagnitude), ("1e-400", 0), ("1e99999999999", nil),
            ("0e99999999999", 0),
            ("2.2250738585072011e-308", Double(bitPattern: 0x000f_ffff_ffff_ffff)),
            ("inf", .infinity), ("+Inf", .infinity), ("-INFINITY", -.infinity), ("infi", nil),
            ("nan", .nan), ("NaN", .nan), ("+nan", nil), ("-NaN", nil), ("nans", nil),
            ("0x1p-2", 0.25), ("0X1.8P1", 3), ("-0x1p4", -16), ("0x1", nil), ("0x", nil),
            ("0xp1", nil), ("0x.8p0", 0.5), ("0x1p", nil), ("0x1.1.1p0", nil), ("0x1p1024", nil),
            ("", nil), ("+", nil), ("-", nil), (".", nil), ("e1", nil), ("1e", nil), ("1e+", nil),
            ("1_0", nil), ("1 ", nil), (" 1", nil), ("1.2.3", nil), ("--1", nil), ("1x", nil),
            ("0b1", nil), ("١", nil),
        ]
        for (text, want) in cases {
            let got = parseFloat(text)
            #expect(
                got?.bitPattern == want?.bitPattern || got?.isNaN == true && want?.isNaN == true,
                "\(text): \(String(describing: got))")
        }
    }

    @Test func everyShortestTextReadsBack() {
        var state: UInt64 = 88_172_645_463_325_252
        for _ in 0..<20_000 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            let value = Double(bitPattern: state)
            guard value.isFinite else { continue }
            #expect(parseFloat("\(value)")?.bitPattern == value.bitPattern)
        }
    }

    @Test func overflowIsToldFromBadSyntax() {
        func error(_ text: String) -> FloatParsingError? {
            var text = text
            let result = text.withUTF8 { floatOrError(UnsafeRawBufferPointer($0)) }
            if case .failure(let error) = result { return error }
            return nil
        }
        #expect(error("1e999") == .range)
        #expect(error("x") == .syntax)
        #expect(error("1") == nil)
        // A number of any length costs no more than reading it.
        #expect(error(String(repeating: "9", count: 100_000)) == .range)
    }
}
