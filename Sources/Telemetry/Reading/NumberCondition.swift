// SPDX-License-Identifier: Apache-2.0
// Conditions on numbers that labels hold as text.

/// A condition on the number that a label's text is.
package struct NumberCondition: Sendable, Equatable {
    package enum Comparison: Sendable {
        case equal, notEqual, greater, greaterOrEqual, less, lessOrEqual
    }
    package var name: String
    package var comparison: Comparison
    package var value: Double
    /// Whether the engine takes a text with a minus for a number; of those that it does not take it
    /// keeps the row, to say so.
    package var takesMinus: Bool

    package init(
        _ name: String, _ comparison: Comparison, _ value: Double, takesMinus: Bool = true
    ) {
        self.name = name
        self.comparison = comparison
        self.value = value
        self.takesMinus = takesMinus
    }

    /// Whether a number between the bounds may satisfy the condition.
    package func mayHold(_ bounds: NumberBounds) -> Bool {
        if !takesMinus, bounds.least < 0 { return true }
        // Rounding keeps the order, and the engine compares what is rounded.
        let (least, greatest) = (Double(bounds.least), Double(bounds.greatest))
        return switch comparison {
        case .equal: least <= value && value <= greatest
        case .notEqual: !(least == value && value == greatest)
        case .greater: greatest > value
        case .greaterOrEqual: greatest >= value
        case .less: least < value
        case .lessOrEqual: least <= value
        }
    }

    /// Whether a label with this text may satisfy the condition: also where the text is no number
    /// as it is most often written. An empty text is a missing label, which satisfies none.
    package func mayHold(_ text: UnsafeRawBufferPointer) -> Bool {
        if text.isEmpty { return false }
        return NumberBounds(text).map(mayHold) ?? true
    }
}

/// Whole numbers that other numbers lie between, both inclusive.
package struct NumberBounds: Sendable, Hashable {
    /// Most digits before the point: what fits 63 bits.
    private static let maxDigits = 18

    package var least: Int64
    package var greatest: Int64

    package init(least: Int64, greatest: Int64) {
        self.least = least
        self.greatest = greatest
    }

    /// The bounds of one number: digits, with a minus in front or none, with a point and more digits
    /// or none. Nil for any other text, for `-0`, and for more than 18 digits before the point.
    ///
    /// - Complexity: O(n), ends at the first byte that does not belong to a number.
    package init?(_ text: UnsafeRawBufferPointer) {
        var i = 0
        let isNegative = text.first == UInt8(ascii: "-")
        if isNegative { i = 1 }
        let start = i
        var whole: Int64 = 0
        while i < text.count {
            let digit = text[i] &- UInt8(ascii: "0")
            guard digit < 10 else { break }
            guard i - start < NumberBounds.maxDigits else { return nil }
            whole = whole * 10 + Int64(digit)
            i += 1
        }
        guard i > start else { return nil }
        var fraction = false
        if i < text.count {
            guard text[i] == UInt8(ascii: "."), i + 1 < text.count else { return nil }
            for byte in text[(i + 1)...] {
                let digit = byte &- UInt8(ascii: "0")
                guard digit < 10 else { return nil }
                if digit > 0 { fraction = true }
            }
        }
        if isNegative, whole == 0, !fraction { return nil }
        let next = fraction ? whole + 1 : whole
        self.init(
            least: isNegative ? -next : whole, greatest: isNegative ? -whole : next)
    }

    package mutating func formUnion(_ other: NumberBounds) {
        least = min(least, other.least)
        greatest = max(greatest, other.greatest)
    }
}
