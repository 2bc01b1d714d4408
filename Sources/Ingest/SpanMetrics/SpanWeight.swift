// SPDX-License-Identifier: Apache-2.0
// How many spans a sampled span stands for.

import Base

/// The weight of a span by OpenTelemetry's consistent probability sampling: the inverse of the
/// probability that a trace state's `ot=th:` says.
///
/// Source: OpenTelemetry specification, "TraceState: Probability Sampling" and "OpenTelemetry
/// TraceState": `th` is the rejection threshold T in 1 to 14 hexadecimal digits, filled with zeros
/// on the right; the probability is 1 − T/2^56.
package enum SpanWeight {
    private static let range: UInt64 = 1 << 56

    /// 1 without a threshold or with one that cannot be read. At most 2^56.
    package static func of(traceState: UnsafeRawBufferPointer) -> Double {
        if traceState.count < 7 { return 1 }
        for member in traceState.split(separator: UInt8(ascii: ",")) {
            let text = member.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
            guard text.starts(with: "ot=".utf8) else { continue }
            for field in text.dropFirst(3).split(separator: UInt8(ascii: ";"))
            where field.starts(with: "th:".utf8) {
                return weight(field.dropFirst(3))
            }
            return 1
        }
        return 1
    }

    private static func weight(_ digits: Slice<UnsafeRawBufferPointer>) -> Double {
        var digits = digits
        while let last = digits.last, last == UInt8(ascii: " ") || last == UInt8(ascii: "\t") {
            digits.removeLast()
        }
        guard (1...14).contains(digits.count) else { return 1 }
        var threshold: UInt64 = 0
        for byte in digits {
            guard let digit = hexValue(byte) else { return 1 }
            threshold = threshold << 4 | digit
        }
        threshold <<= UInt64(4 * (14 - digits.count))
        return Double(range) / Double(range - threshold)
    }

    private static func hexValue(_ byte: UInt8) -> UInt64? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(byte - UInt8(ascii: "a") + 10)
        default: nil
        }
    }
}
