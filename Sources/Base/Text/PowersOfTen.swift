// SPDX-License-Identifier: Apache-2.0
// Powers of ten to 128 bits, for the conversion of floating-point numbers to decimal.

/// The first 128 bits of powers of ten, rounded up: 10^k ≈ `value(k)` · 2^(⌊log₂ 10^k⌋ − 127).
///
/// Made once, at first use, from exact integers; that takes less than a millisecond.
enum PowersOfTen {
    /// Powers that occur when doubles are converted.
    static let exponents = -292...324

    private static let table: [UInt64] = {
        var table = [UInt64](repeating: 0, count: 2 * exponents.count)
        // Upwards by multiplication: 10^324 has 1,077 bits.
        var whole = [UInt64](repeating: 0, count: 18)
        whole[0] = 1
        for exponent in 0...exponents.upperBound {
            store(whole, isExact: true, at: exponent, into: &table)
            multiplyByTen(&whole)
        }
        // Downwards by division of 2^1,472, of which 500 bits are left at the end. Dividing the
        // rounded-down quotient again rounds down the exact one.
        var part = [UInt64](repeating: 0, count: 24)
        part[23] = 1
        for exponent in stride(from: -1, through: exponents.lowerBound, by: -1) {
            divideByTen(&part)
            store(part, isExact: false, at: exponent, into: &table)
        }
        return table
    }()

    /// - Parameter exponent: within `exponents`.
    @inline(__always)
    static func value(_ exponent: Int) -> (high: UInt64, low: UInt64) {
        let index = 2 * (exponent - exponents.lowerBound)
        return (table[index], table[index + 1])
    }

    private static func multiplyByTen(_ limbs: inout [UInt64]) {
        var carry: UInt64 = 0
        for i in limbs.indices {
            let (high, low) = limbs[i].multipliedFullWidth(by: 10)
            let (sum, overflow) = low.addingReportingOverflow(carry)
            limbs[i] = sum
            carry = high + (overflow ? 1 : 0)
        }
    }

    private static func divideByTen(_ limbs: inout [UInt64]) {
        var rest: UInt64 = 0
        for i in limbs.indices.reversed() {
            (limbs[i], rest) = UInt64(10).dividingFullWidth((rest, limbs[i]))
        }
    }

    /// Stores the first 128 bits of a number, its lowest limb first, rounded up.
    private static func store(
        _ limbs: [UInt64], isExact: Bool, at exponent: Int, into table: inout [UInt64]
    ) {
        guard let top = limbs.lastIndex(where: { $0 != 0 }) else { return }
        func limb(_ index: Int) -> UInt64 { index < 0 ? 0 : limbs[index] }
        let shift = UInt64(limbs[top].leadingZeroBitCount)
        func shifted(_ index: Int) -> UInt64 {
            shift == 0 ? limb(index) : limb(index) << shift | limb(index - 1) >> (64 - shift)
        }
        var high = shifted(top), low = shifted(top - 1)
        let restOfLimb = limb(top - 2) << shift
        let isWhole =
            isExact && restOfLimb == 0 && limbs.prefix(max(0, top - 2)).allSatisfy { $0 == 0 }
        if !isWhole {
            low &+= 1
            if low == 0 { high += 1 }
        }
        let index = 2 * (exponent - exponents.lowerBound)
        table[index] = high
        table[index + 1] = low
    }
}
