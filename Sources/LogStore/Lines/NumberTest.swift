// SPDX-License-Identifier: Apache-2.0
// Tests numbers by their decimal digits without writing them out.

import Base

/// A condition on the decimal text of numbers.
struct NumberTest {
    private enum Form {
        case equals(UInt64)
        /// By count of digits: numbers from `low` to `high` begin with the text.
        case prefix(low: [UInt64], high: [UInt64])
        case suffix(modulus: UInt64, rest: UInt64)
        /// A text of this value, without zeros in front, lies in no smaller number.
        case contains(least: UInt64)
        case written
    }
    private let form: Form
    private let condition: ValueCondition
    private let text: UnsafeRawBufferPointer
    private let width: Int

    /// - Parameters:
    ///   - text: borrowed for as long as the test is used.
    ///   - width: digits that numbers are padded to; 0 = not padded.
    /// - Returns: nil when no number can satisfy it.
    init?(_ condition: ValueCondition, _ text: UnsafeRawBufferPointer, width: Int) {
        self.condition = condition
        self.text = text
        self.width = width
        guard text.count <= 20, text.allSatisfy({ $0 &- UInt8(ascii: "0") < 10 }) else {
            return nil
        }
        var value: UInt64 = 0
        var isLarge = false
        for byte in text {
            let (product, a) = value.multipliedReportingOverflow(by: 10)
            let (sum, b) = product.addingReportingOverflow(UInt64(byte &- UInt8(ascii: "0")))
            isLarge = isLarge || a || b
            value = sum
        }
        if text.isEmpty {
            if condition == .equals { return nil }
            form = .written
            return
        }
        let hasZeros = text.count > 1 && text[0] == UInt8(ascii: "0")
        switch condition {
        case .equals:
            if isLarge || text.count < width { return nil }
            if hasZeros && text.count != width { return nil }
            form = .equals(value)
        case .contains where !hasZeros && width == 0:
            if isLarge { return nil }
            form = .contains(least: value)
        case .suffix where width == 0 && !hasZeros && !isLarge && text.count < 20:
            form = .suffix(modulus: powerOfTen(text.count), rest: value)
        case .prefix where width == 0:
            if hasZeros || isLarge { return nil }
            var low = [UInt64](repeating: 1, count: 21), high = [UInt64](repeating: 0, count: 21)
            for digits in text.count...20 {
                let scale = powerOfTen(digits - text.count)
                let (first, over) = value.multipliedReportingOverflow(by: scale)
                if over { break }
                let (last, isOver) = first.addingReportingOverflow(scale - 1)
                low[digits] = first
                high[digits] = isOver ? .max : last
                // Zero is written as one digit.
                if value == 0 { break }
            }
            form = .prefix(low: low, high: high)
        default: form = .written
        }
    }

    /// The least number that the digits of a text may lie in, when they may lie anywhere in it.
    var leastHolding: UInt64? {
        guard condition == .contains, !text.isEmpty else { return nil }
        if case .contains(let least) = form { return least }
        return 0
    }

    @inline(__always)
    func holds(_ number: UInt64) -> Bool {
        switch form {
        case .equals(let wanted): return number == wanted
        case .prefix(let low, let high):
            let digits = decimalDigits(number)
            return number >= low[digits] && number <= high[digits]
        case .suffix(let modulus, let rest):
            // Without zeros in front, a number that ends so is long enough, but for a lone zero.
            return number % modulus == rest
        case .contains(let least): return number >= least && isWritten(number)
        case .written: return isWritten(number)
        }
    }

    private func isWritten(_ number: UInt64) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { room in
            var rest = number
            var start = 32
            repeat {
                start &-= 1
                room[start] = UInt8(truncatingIfNeeded: rest % 10) &+ UInt8(ascii: "0")
                rest /= 10
            } while rest > 0
            while 32 &- start < width {
                start &-= 1
                room[start] = UInt8(ascii: "0")
            }
            return condition.holds(
                text, UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[start..<32]))
        }
    }
}

/// - Parameter exponent: 0 to 19.
private func powerOfTen(_ exponent: Int) -> UInt64 {
    (0..<min(exponent, 19)).reduce(UInt64(1)) { product, _ in product &* 10 }
}

/// Digits of a number in decimal, at least one.
@inline(__always)
func decimalDigits(_ number: UInt64) -> Int {
    if number < 10 { return 1 }
    // 1233 / 4096 is a little more than log10(2): right, or one too few.
    let bits = 64 &- number.leadingZeroBitCount
    let guess = (bits &* 1233) &>> 12
    return guess &+ (number >= powersOfTen[guess] ? 1 : 0)
}

private let powersOfTen: [UInt64] = (0..<20).map { powerOfTen($0) }
