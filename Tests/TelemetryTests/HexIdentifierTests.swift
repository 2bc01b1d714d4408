// SPDX-License-Identifier: Apache-2.0
// Ids from hexadecimal digits.

import Testing

@testable import Telemetry

@Suite struct HexIdentifierTests {
    /// Every byte at every place, alone wrong or right, beside the reading of one digit.
    @Test func everyByteIsJudged() {
        let digits = Array("0123456789abcdef0F1e2D3c4B5a6978".utf8)
        for place in 0..<32 {
            for byte in UInt8.min...UInt8.max {
                var text = digits
                text[place] = byte
                let trace = text.withUnsafeBytes { TraceID(hex: $0) }
                let half = Array(text[(place / 16 * 16)..<(place / 16 * 16 + 16)])
                let span = half.withUnsafeBytes { SpanID(hex: $0) }
                guard hexDigit(byte) != nil else {
                    #expect(trace == nil && span == nil)
                    continue
                }
                let folded = text.map { (65...70).contains($0) ? $0 | 0x20 : $0 }
                #expect(trace?.description == String(decoding: folded, as: UTF8.self))
                let start = place / 16 * 16
                #expect(
                    span?.description
                        == String(decoding: folded[start..<(start + 16)], as: UTF8.self))
            }
        }
    }

    @Test func shortFormsArePadded() {
        #expect(TraceID(hex: "1f") == TraceID(high: 0, low: 31))
        #expect(SpanID(hex: "A") == SpanID(10))
        #expect(TraceID(hex: "") == nil && TraceID(hex: String(repeating: "1", count: 33)) == nil)
    }
}
