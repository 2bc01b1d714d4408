// SPDX-License-Identifier: Apache-2.0
// The shortest decimal of a double.

/// The shortest decimal that reads back as a double, and of those the one nearest to it:
/// `digits` · 10^`exponent`.
///
/// Source: R. Giulietti, "The Schubfach way to render doubles". Costs about 20 ns.
struct ShortestDecimal {
    /// Without zeros at its end; 0 for zero. At most 17 digits.
    private(set) var digits: UInt64
    private(set) var exponent: Int

    /// - Parameter value: finite; its sign is left out.
    init(magnitudeOf value: Double) {
        let fraction = value.significandBitPattern
        let biased = Int(value.exponentBitPattern)
        if biased == 0, fraction == 0 {
            digits = 0
            exponent = 0
            return
        }
        // value = c · 2^q.
        let c = biased == 0 ? fraction : fraction | 1 << 52
        let q = max(biased, 1) - 1075
        if q <= 0, q > -53, c & ((1 << UInt64(-q)) - 1) == 0 {
            digits = c >> UInt64(-q)
            exponent = 0
        } else {
            (digits, exponent) = ShortestDecimal.search(
                c, q, lowerIsCloser: fraction == 0 && biased > 1)
        }
        trimZeros()
    }

    /// Looks for the shortest decimal among those nearer to c · 2^q than to its neighbours.
    private static func search(
        _ c: UInt64, _ q: Int, lowerIsCloser: Bool
    ) -> (digits: UInt64, exponent: Int) {
        // Bounds belong to the number when its last bit is even.
        let isOdd = c & 1
        // ⌊log₁₀ 2^q⌋, or of 3/4 · 2^q; then ⌊log₂ 10^−k⌋.
        let k = (q &* 1_262_611 &- (lowerIsCloser ? 524_031 : 0)) >> 22
        let h = UInt64(truncatingIfNeeded: q &+ ((0 &- k) &* 1_741_647) >> 19 &+ 1)
        let power = PowersOfTen.value(0 &- k)
        let below = roundToOdd(power, (4 &* c &- 2 &+ (lowerIsCloser ? 1 : 0)) &<< h)
        let exact = roundToOdd(power, (4 &* c) &<< h)
        let above = roundToOdd(power, (4 &* c &+ 2) &<< h)
        let lower = below &+ isOdd, upper = above &- isOdd
        let s = exact / 4
        if s >= 10 {
            let tens = s / 10
            let downFits = lower <= 40 &* tens, upFits = 40 &* tens &+ 40 <= upper
            if downFits != upFits { return (tens &+ (upFits ? 1 : 0), k &+ 1) }
        }
        let downFits = lower <= 4 &* s, upFits = 4 &* s &+ 4 <= upper
        if downFits != upFits { return (s &+ (upFits ? 1 : 0), k) }
        let middle = 4 &* s &+ 2
        let roundsUp = exact > middle || (exact == middle && s & 1 != 0)
        return (s &+ (roundsUp ? 1 : 0), k)
    }

    /// The upper 64 bits of a product of 192; its last bit says whether anything was cut off.
    @inline(__always)
    private static func roundToOdd(
        _ power: (high: UInt64, low: UInt64), _ factor: UInt64
    ) -> UInt64 {
        let low = power.low.multipliedFullWidth(by: factor).high
        let high = power.high.multipliedFullWidth(by: factor)
        let (middle, carry) = high.low.addingReportingOverflow(low)
        return (high.high &+ (carry ? 1 : 0)) | (middle > 1 ? 1 : 0)
    }

    private mutating func trimZeros() {
        let (shorter, rest) = digits.quotientAndRemainder(dividingBy: 100_000_000)
        if rest == 0, digits != 0 {
            digits = shorter
            exponent &+= 8
        }
        while digits != 0 {
            let (shorter, rest) = digits.quotientAndRemainder(dividingBy: 10)
            if rest != 0 { return }
            digits = shorter
            exponent &+= 1
        }
    }
}

/// Decimal digits of a number below 10^20.
@inline(__always)
func decimalDigitCount(_ value: UInt64) -> Int {
    // log₁₀ 2 ≈ 1233 / 4096; one too few at most.
    let guess = ((64 &- value.leadingZeroBitCount) &* 1233) >> 12
    return guess &+ (value >= wholePowersOfTen[min(guess, 19)] ? 1 : 0)
}

private let wholePowersOfTen: [UInt64] = {
    var powers: [UInt64] = [1]
    for _ in 0..<19 { powers.append((powers.last ?? 1) &* 10) }
    return powers
}()

/// Writes exactly `count` digits, with zeros in front where the number is shorter.
@inline(__always)
func writeDigits(_ value: UInt64, count: Int, to out: UnsafeMutablePointer<UInt8>) {
    var rest = value
    var i = count
    while i >= 2 {
        let (shorter, pair) = rest.quotientAndRemainder(dividingBy: 100)
        let tens = (pair &* 103) >> 10
        i &-= 2
        out[i] = UInt8(truncatingIfNeeded: 48 &+ tens)
        out[i &+ 1] = UInt8(truncatingIfNeeded: 48 &+ pair &- tens &* 10)
        rest = shorter
    }
    if i == 1 { out[0] = UInt8(truncatingIfNeeded: 48 &+ rest % 10) }
}
