// SPDX-License-Identifier: Apache-2.0
// Label sets out of others.

import Telemetry
import TestKit
import Testing

private func sealed(_ pairs: [(String, String)], into buffer: inout LabelSetBuffer) {
    buffer.reset()
    for (name, value) in pairs {
        var name = name, value = value
        name.withUTF8 { name in
            value.withUTF8 {
                buffer.append(UnsafeRawBufferPointer(name), UnsafeRawBufferPointer($0))
            }
        }
    }
    _ = buffer.seal()
}

/// Merging is appending everything and sealing, whatever the two sets are, also when what was merged
/// is merged again.
@Test func mergedSetsAreThoseSealedTogether() {
    var seed: UInt64 = 1
    func number(_ below: UInt64) -> Int {
        seed = Chance.hash(7, seed, 3)
        return Int(seed % below)
    }
    func pairs() -> [(String, String)] {
        (0..<number(5)).map { _ in
            // Long names and values have lengths of two bytes.
            let name = ["__name__", "A", "a", "job", "le", "z"][number(6)]
            let long = String(repeating: "n", count: number(8) == 0 ? 200 : 0)
            return (name + long, number(6) == 0 ? "" : "v\(number(9))" + long)
        }
    }
    var first = LabelSetBuffer(capacity: 64)
    var second = LabelSetBuffer(capacity: 64)
    var third = LabelSetBuffer(capacity: 64)
    var half = LabelSetBuffer(capacity: 64)
    var merged = LabelSetBuffer(capacity: 64)
    var expected = LabelSetBuffer(capacity: 64)
    for _ in 0..<2000 {
        let sets = [pairs(), pairs(), pairs()]
        sealed(sets[0], into: &first)
        sealed(sets[1], into: &second)
        sealed(sets[2], into: &third)
        half.merge(first, second)
        merged.merge(half, third)
        sealed(sets.flatMap { $0 }, into: &expected)
        let isEqual =
            merged.isSealed && merged.bytes.elementsEqual(expected.bytes)
            && merged.labelCount == expected.labelCount
        #expect(isEqual, "\(sets)")
        // A label behind the last one is noticed to be in order.
        merged.append("~", StaticString("x").asBytes)
        let isInOrder = merged.isSealed
        #expect(isInOrder)
    }
}

extension StaticString {
    fileprivate var asBytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: utf8Start, count: utf8CodeUnitCount)
    }
}
