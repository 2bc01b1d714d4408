// SPDX-License-Identifier: Apache-2.0
// Numbers written straight into memory, against the standard library's own.

import Base
import Testing

@Suite struct FloatWritingTests {
    /// Digits without zeros at either end, and the power of ten of the first.
    private func parts(_ text: String) -> (digits: String, power: Int) {
        var digits = "", power = 0, sawPoint = false, scale = 0
        var rest = text.drop { $0 == "-" }
        while let character = rest.popFirst() {
            switch character {
            case ".": sawPoint = true
            case "e":
                scale = Int(rest) ?? Int(rest.dropFirst()) ?? 0
                rest = ""
            case "0" where digits.isEmpty: if sawPoint { power -= 1 }
            default:
                digits.append(character)
                if !sawPoint { power += 1 }
            }
        }
        while digits.last == "0" { digits.removeLast() }
        return (digits, digits.isEmpty ? 0 : power + scale)
    }

    private func check(_ value: Double) {
        let text = floatText(value)
        #expect(parseFloat(text)?.bitPattern == value.bitPattern, "\(value) printed as \(text)")
        let (digits, power) = parts(text)
        let (wanted, wantedPower) = parts(value.description)
        #expect(digits == wanted && power == wantedPower, "\(value) printed as \(text)")
    }

    @Test func digitsAreTheShortestAndNearest() {
        var random = SplitMix64(seed: 5)
        for _ in 0..<100_000 {
            let value = Double(bitPattern: random.next())
            if value.isFinite { check(value) }
        }
        for _ in 0..<50_000 {
            check(Double(random.next() % 1_000_000_000) / 1000)
            check(Double.random(in: -1000...1000, using: &random))
        }
    }

    @Test func edgesOfTheFormat() {
        var value = Double.leastNonzeroMagnitude
        while value.isFinite {
            for near in [value.nextDown, value, value.nextUp] where near.isFinite { check(near) }
            value *= 2
        }
        for power in -323...308 {
            guard let value = parseFloat("1e\(power)") else { continue }
            for near in [value.nextDown, value, -value, value.nextUp] { check(near) }
        }
        check(.greatestFiniteMagnitude)
        check(.leastNormalMagnitude.nextDown)
    }

    @Test func timesHaveThreeDecimalsOrNone() {
        let cases: [(Int64, String)] = [
            (0, "0"), (1_435_781_430_781, "1435781430.781"), (1_435_781_430_000, "1435781430"),
            (-1, "-0.001"), (10, "0.010"), (-12_500, "-12.500"),
            (.max, "9223372036854775.807"), (.min, "-9223372036854775.808"),
        ]
        for (millis, text) in cases {
            var out: [UInt8] = []
            appendSeconds(millis: millis, into: &out)
            #expect(String(decoding: out, as: UTF8.self) == text)
        }
    }
}
