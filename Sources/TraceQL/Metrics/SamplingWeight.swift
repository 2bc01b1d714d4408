// SPDX-License-Identifier: Apache-2.0
// How many spans a sampled one stands for.

/// Reads the sampling threshold that OpenTelemetry's probability samplers leave in the trace state:
/// `ot=th:c` says that 12/16 of all traces were dropped. Source: OpenTelemetry specification,
/// trace/tracestate-probability-sampling.md.
enum SamplingWeight {
    /// One over the probability; 1 where the state has no threshold or it is malformed.
    static func weight(traceState: UnsafeRawBufferPointer) -> Double {
        for member in traceState.split(separator: UInt8(ascii: ",")) {
            let trimmed = member.drop { $0 == 32 || $0 == 9 }
            guard trimmed.starts(with: "ot=".utf8) else { continue }
            for field in trimmed.dropFirst(3).split(separator: UInt8(ascii: ";"))
            where field.starts(with: "th:".utf8) {
                return threshold(field.dropFirst(3)).map {
                    Double(whole) / Double(whole - $0)
                } ?? 1
            }
        }
        return 1
    }

    /// Thresholds have 56 bits.
    private static let whole: UInt64 = 1 << 56

    /// Below `whole`, from at most 14 hexadecimal digits; those left out are zeros.
    private static func threshold(_ digits: Slice<UnsafeRawBufferPointer>) -> UInt64? {
        let text = digits.prefix { $0 != 32 && $0 != 9 }
        guard (1...14).contains(text.count) else { return nil }
        var threshold: UInt64 = 0
        for byte in text {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { return nil }
            threshold = threshold << 4 | UInt64(digit)
        }
        return threshold << UInt64((14 - text.count) * 4)
    }
}
