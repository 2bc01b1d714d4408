// SPDX-License-Identifier: Apache-2.0
// Hexadecimal and decimal digits, eight at a time in one word.

/// Eight characters as they lie in memory, the first in the lowest byte.
enum EightDigits {
    private static let zeros: UInt64 = 0x3030_3030_3030_3030

    /// The lower-case hexadecimal digits of four bytes.
    ///
    /// - Parameter bytes: as they lie in memory, the first in the lowest byte.
    @inline(__always)
    static func hex(_ bytes: UInt32) -> UInt64 {
        var x = UInt64(bytes)
        x = (x | x &<< 16) & 0x0000_ffff_0000_ffff
        x = (x | x &<< 8) & 0x00ff_00ff_00ff_00ff
        x = x &>> 4 & 0x000f_000f_000f_000f | (x & 0x000f_000f_000f_000f) &<< 8
        // One in each byte above nine.
        let letters = (x &+ 0x0606_0606_0606_0606) &>> 4 & 0x0101_0101_0101_0101
        return x &+ zeros &+ letters &* 0x27
    }

    /// The four bytes whose digits, of either case, these are, the first in the lowest byte.
    @inline(__always)
    static func bytes(_ digits: UInt64) -> UInt32 {
        let nibbles =
            (digits & 0x0f0f_0f0f_0f0f_0f0f) &+ (digits &>> 6 & 0x0101_0101_0101_0101) &* 9
        var x = (nibbles &<< 4 | nibbles &>> 8) & 0x00ff_00ff_00ff_00ff
        x = (x | x &>> 8) & 0x0000_ffff_0000_ffff
        return UInt32(truncatingIfNeeded: x | x &>> 16)
    }

    /// Whether all are digits or a–f.
    @inline(__always)
    static func areLowerHex(_ text: UInt64) -> Bool {
        let high: UInt64 = 0x8080_8080_8080_8080
        if text & high != 0 { return false }
        let from0 = text &+ 0x5050_5050_5050_5050, past9 = text &+ 0x4646_4646_4646_4646
        let fromA = text &+ 0x1f1f_1f1f_1f1f_1f1f, pastF = text &+ 0x1919_1919_1919_1919
        return (from0 & ~past9 | fromA & ~pastF) & high == high
    }

    /// Whether all are hexadecimal digits of either case.
    @inline(__always)
    static func areHex(_ text: UInt64) -> Bool {
        let high: UInt64 = 0x8080_8080_8080_8080
        if text & high != 0 { return false }
        let folded = text | 0x2020_2020_2020_2020
        let from0 = text &+ 0x5050_5050_5050_5050, past9 = text &+ 0x4646_4646_4646_4646
        let fromA = folded &+ 0x1f1f_1f1f_1f1f_1f1f, pastF = folded &+ 0x1919_1919_1919_1919
        return (from0 & ~past9 | fromA & ~pastF) & high == high
    }

    /// The first `n` of these characters behind zeros.
    ///
    /// - Parameter n: 1–8.
    @inline(__always)
    static func padded(_ text: UInt64, _ n: Int) -> UInt64 {
        let shift = UInt64(truncatingIfNeeded: 64 &- 8 &* n)
        return text &<< shift | zeros & ~(UInt64.max &<< shift)
    }

    /// Whether all are decimal digits.
    @inline(__always)
    static func areDecimal(_ text: UInt64) -> Bool {
        let halves: UInt64 = 0xf0f0_f0f0_f0f0_f0f0
        return (text & halves) == zeros
            && ((text &+ 0x0606_0606_0606_0606) & halves) == zeros
    }

    /// The number that eight decimal digits write.
    @inline(__always)
    static func decimal(_ text: UInt64) -> UInt64 {
        var x = ((text & 0x0f0f_0f0f_0f0f_0f0f) &* 2561) &>> 8
        x = ((x & 0x00ff_00ff_00ff_00ff) &* 6_553_601) &>> 16
        return ((x & 0x0000_ffff_0000_ffff) &* 42_949_672_960_001) &>> 32
    }
}
