// SPDX-License-Identifier: Apache-2.0
// What is known of values before their coding is chosen.

import Base
import Telemetry

/// The values of one place, and the words that tell short ones apart.
struct ValueSlots {
    let slices: UnsafeMutablePointer<ByteSlice>
    /// The first up to eight bytes of each, the first in the lowest byte, zeros above.
    let keys: UnsafeMutablePointer<UInt64>
    let count: Int

    /// The first eight bytes of a slice of `text`, as many as it has.
    @inline(__always)
    static func key(of value: ByteSlice, in text: UnsafeRawBufferPointer) -> UInt64 {
        guard let base = text.baseAddress, value.count > 0 else { return 0 }
        let start = base + Int(value.offset)
        let n = min(Int(value.count), 8)
        if text.count &- Int(value.offset) >= 8 {
            let word = start.loadUnaligned(as: UInt64.self).littleEndian
            return word & (UInt64.max &>> UInt64(truncatingIfNeeded: 64 &- 8 &* n))
        }
        var key: UInt64 = 0
        for i in 0..<n {
            key |= UInt64(start.load(fromByteOffset: i, as: UInt8.self)) &<< UInt64(8 &* i)
        }
        return key
    }
}

/// Looks at the values of one column after the other; its memory is made once for all columns of a
/// block.
final class ValueSurvey {
    /// What one column is like.
    struct Facts {
        var isDecimal = true
        /// Whether a number has zeros in front.
        var isPadded = false
        /// Whether all are digits and a–f; only said of eight and more.
        var isHex = true
        var leastCount = Int.max
        var mostCount = 0
        var textBytes = 0
        /// Distinct values, as long as an index of theirs fits a byte.
        var distinctCount = 0
        var distinctBytes = 0
        var fitsDictionary = true
    }

    private static let slotCount = 1024
    /// Number of a distinct value + 1; 0 = free.
    private let slots: UnsafeMutablePointer<UInt16>
    /// The distinct values in order of appearance, the slot of each, and its key: up to eight bytes
    /// as they are, else their hash.
    private let values: UnsafeMutablePointer<ByteSlice>
    private let usedSlots: UnsafeMutablePointer<UInt16>
    private let keys: UnsafeMutablePointer<UInt64>
    private let numbers: UnsafeMutablePointer<UInt64>
    private let indices: UnsafeMutablePointer<UInt8>
    private let packed: UnsafeMutableRawPointer

    /// - Parameter rows: most values of a column.
    init(rows: Int) {
        slots = .allocate(capacity: ValueSurvey.slotCount)
        slots.initialize(repeating: 0, count: ValueSurvey.slotCount)
        values = .allocate(capacity: LogFormat.Value.maxDictionary)
        usedSlots = .allocate(capacity: LogFormat.Value.maxDictionary)
        keys = .allocate(capacity: LogFormat.Value.maxDictionary)
        numbers = .allocate(capacity: rows)
        indices = .allocate(capacity: rows)
        packed = .allocate(byteCount: rows * 10, alignment: 16)
    }

    deinit {
        slots.deallocate()
        values.deallocate()
        usedSlots.deallocate()
        keys.deallocate()
        numbers.deallocate()
        indices.deallocate()
        packed.deallocate()
    }

    /// Looks at a column. O(bytes), without allocation.
    func look(at column: ValueSlots, _ text: UnsafeRawBufferPointer) -> Facts {
        var facts = Facts()
        guard let base = text.baseAddress else {
            // Values without a byte: all the same.
            values[0] = .empty
            facts.distinctCount = 1
            facts.leastCount = 0
            facts.isDecimal = false
            facts.isHex = false
            return facts
        }
        var least = UInt32.max, most: UInt32 = 0
        var textBytes = 0
        for row in 0..<column.count {
            let n = column.slices[row].count
            least = min(least, n)
            most = max(most, n)
            textBytes &+= Int(n)
        }
        facts.leastCount = Int(least)
        facts.mostCount = Int(most)
        facts.textBytes = textBytes
        if least > 0, most <= 8 {
            if least == most, isConstant(column) {
                values[0] = column.slices[0]
                facts.distinctCount = 1
                return facts
            }
            lookAtShort(column, &facts)
        } else {
            lookAtLong(column, base, &facts)
        }
        number(column, base, &facts)
        return facts
    }

    /// Whether values of one length, eight bytes at most, are all the same.
    private func isConstant(_ column: ValueSlots) -> Bool {
        let first = column.keys[0]
        for row in 1..<column.count where column.keys[row] != first { return false }
        return true
    }

    /// What kind of digits values of one to eight bytes have.
    private func lookAtShort(_ column: ValueSlots, _ facts: inout Facts) {
        for row in 0..<column.count {
            let key = column.keys[row], n = Int(column.slices[row].count)
            let digits = EightDigits.padded(key, n)
            guard EightDigits.areDecimal(digits) else {
                facts.isDecimal = false
                break
            }
            if n > 1, key & 0xff == UInt64(UInt8(ascii: "0")) { facts.isPadded = true }
            numbers[row] = EightDigits.decimal(digits)
        }
        guard !facts.isDecimal else { return }
        guard facts.leastCount == 8 else {
            // So few digits are not worth a coding.
            facts.isHex = false
            return
        }
        for row in 0..<column.count {
            guard EightDigits.areLowerHex(column.keys[row]) else {
                facts.isHex = false
                return
            }
        }
    }

    private func lookAtLong(
        _ column: ValueSlots, _ base: UnsafeRawPointer, _ facts: inout Facts
    ) {
        for row in 0..<column.count {
            let value = column.slices[row]
            numbers[row] = ValueSurvey.number(
                base + Int(value.offset), Int(value.count), &facts)
            if !facts.isHex { return }
        }
    }

    /// Numbers the distinct values, as long as they are few.
    private func number(
        _ column: ValueSlots, _ base: UnsafeRawPointer, _ facts: inout Facts
    ) {
        var last = (key: UInt64(0), count: UInt32(0), index: UInt8(0))
        for row in 0..<column.count {
            let value = column.slices[row]
            let isLong = value.count > 8
            let key =
                isLong
                ? hash64(
                    UnsafeRawBufferPointer(
                        start: base + Int(value.offset), count: Int(value.count)))
                : column.keys[row]
            if isLong || key != last.key || value.count != last.count || row == 0 {
                last = (key, value.count, number(of: value, key, base, &facts))
                if !facts.fitsDictionary { break }
            }
            indices[row] = last.index
        }
        for number in 0..<facts.distinctCount { slots[Int(usedSlots[number])] = 0 }
    }

    /// The value as a number, where it is one; notes what kind of digits it has.
    private static func number(
        _ start: UnsafeRawPointer, _ n: Int, _ facts: inout Facts
    ) -> UInt64 {
        if facts.isDecimal {
            var number: UInt64 = 0
            var i = 0
            while i < n {
                let digit = start.load(fromByteOffset: i, as: UInt8.self) &- UInt8(ascii: "0")
                if digit > 9 { break }
                number = number &* 10 &+ UInt64(digit)
                i &+= 1
            }
            if n > 1, start.load(as: UInt8.self) == UInt8(ascii: "0") { facts.isPadded = true }
            if i == n { return number }
            facts.isDecimal = false
        }
        var i = 0
        while i &+ 8 <= n {
            let word = start.loadUnaligned(fromByteOffset: i, as: UInt64.self).littleEndian
            if !EightDigits.areLowerHex(word) {
                facts.isHex = false
                return 0
            }
            i &+= 8
        }
        while i < n {
            if !isLowerHex(start.load(fromByteOffset: i, as: UInt8.self)) {
                facts.isHex = false
                return 0
            }
            i &+= 1
        }
        return 0
    }

    /// Number of a value among the distinct ones, which it joins when it is new. Notes when they are
    /// full.
    @inline(__always)
    private func number(
        of value: ByteSlice, _ key: UInt64, _ base: UnsafeRawPointer, _ facts: inout Facts
    ) -> UInt8 {
        let n = Int(value.count)
        var slot = Int(truncatingIfNeeded: (key &* 0x9e37_79b9_7f4a_7c15) &>> 54)
        while slots[slot] != 0 {
            let number = Int(slots[slot]) &- 1
            if keys[number] == key, values[number].count == value.count,
                n <= 8
                    || equalBytes(
                        UnsafeRawBufferPointer(start: base + Int(value.offset), count: n),
                        UnsafeRawBufferPointer(start: base + Int(values[number].offset), count: n))
            {
                return UInt8(truncatingIfNeeded: number)
            }
            slot = (slot &+ 1) & (ValueSurvey.slotCount &- 1)
        }
        let number = facts.distinctCount
        if number == LogFormat.Value.maxDictionary {
            facts.fitsDictionary = false
            return 0
        }
        values[number] = value
        keys[number] = key
        usedSlots[number] = UInt16(truncatingIfNeeded: slot)
        slots[slot] = UInt16(truncatingIfNeeded: number &+ 1)
        facts.distinctCount = number &+ 1
        facts.distinctBytes &+= n &+ 1
        return UInt8(truncatingIfNeeded: number)
    }

    // MARK: - Of the column looked at

    /// The distinct values in order of appearance.
    func distinct(_ facts: Facts) -> UnsafeBufferPointer<ByteSlice> {
        UnsafeBufferPointer(start: values, count: facts.distinctCount)
    }

    /// Bytes that numbers and their differences take.
    func costs(_ n: Int) -> (plain: Int, delta: Int) {
        var plain = 0, delta = 0
        var previous: UInt64 = 0
        for row in 0..<n {
            let number = numbers[row]
            plain &+= ByteWriter.varintCount(number)
            delta &+= ByteWriter.varintCount(
                ByteWriter.zigzag(Int64(bitPattern: number &- previous)))
            previous = number
        }
        return (plain, delta)
    }

    /// Index of each value among the distinct ones.
    func indexBytes(_ n: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: indices, count: n)
    }

    /// The numbers, or each one's distance to the one before, from 0, as varints.
    func varints(_ n: Int, isDelta: Bool) -> UnsafeRawBufferPointer {
        var count = 0
        var previous: UInt64 = 0
        for row in 0..<n {
            let number = numbers[row]
            var rest =
                isDelta ? ByteWriter.zigzag(Int64(bitPattern: number &- previous)) : number
            previous = number
            while rest >= 0x80 {
                packed.storeBytes(
                    of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: count,
                    as: UInt8.self)
                rest &>>= 7
                count &+= 1
            }
            packed.storeBytes(
                of: UInt8(truncatingIfNeeded: rest), toByteOffset: count, as: UInt8.self)
            count &+= 1
        }
        return UnsafeRawBufferPointer(start: packed, count: count)
    }
}
